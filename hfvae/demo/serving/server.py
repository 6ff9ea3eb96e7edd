"""The server: uvicorn with limits of this app's, ended by signals once running calls are done."""

from __future__ import annotations

import gc
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType

import uvicorn
from gradio import networking
from starlette.types import ASGIApp

from .application import application
from .blocks import ModelBlocks
from .calls import Calls
from .connections import bounded_protocol
from .middleware import hosts_of

PATIENCE = 5.0
"""Seconds that running calls have to end after SIGTERM."""
CLOSING = 2
"""Seconds in which the last answers are sent; then open streams are cut."""
PORT, PORTS = 7860, 100
"""The first port that is tried, and how many."""
MAX_CONNECTIONS = 512
MAX_SILENT = 256
"""Of them, those on which no request is under way."""
MAX_HEAD = 32 << 10
"""Bytes of a request's head."""


def serve(
    demo: ModelBlocks,
    host: str | None = None,
    port: int | None = None,
    *,
    root_path: str | None = None,
    allow_origins: Sequence[str] = (),
    forwarded_allow_ips: str | None = None,
    share: bool = False,
    mcp: bool | None = None,
) -> None:
    """Serve the app until a signal ends it; to be called in the main thread.

    Args:
        demo: what `build_demo` returned.
        host: address to listen on; None takes $GRADIO_SERVER_NAME, else 127.0.0.1.
        port: None takes $GRADIO_SERVER_PORT, else the first free one from 7860.
        root_path: path or full address under which a proxy shows the app; None takes $GRADIO_ROOT_PATH.
        allow_origins: origins of pages that may call the app and show it in a frame.
        forwarded_allow_ips: addresses of proxies whose X-Forwarded headers are believed, as uvicorn's setting of that
            name; None takes $FORWARDED_ALLOW_IPS, else no proxy's.
        share: whether to make a public link through Gradio's servers.
        mcp: whether to offer the named endpoints as tools for language models; None lets $GRADIO_MCP_SERVER decide.

    Raises:
        OSError: the address or port cannot be had.
        SystemExit: the server did not start.
    """
    stop = StopSignal()
    host = host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    root_path = root_path or os.environ.get("GRADIO_ROOT_PATH")
    trusted = forwarded_allow_ips or os.environ.get("FORWARDED_ALLOW_IPS") or None
    listener = listen(host, port)
    port = listener.getsockname()[1]
    app = application(
        demo,
        hosts=None if share else hosts_of(host, root_path),
        allow_origins=allow_origins,
        forwarded=bool(trusted or os.environ.get("SPACE_ID")),  # only the hub's own proxy reaches a Space
        root_path=root_path,
        mcp=mcp,
        local_url=address("localhost" if host in ("0.0.0.0", "::") else host, port),
    )
    server = uvicorn.Server(settings(app, trusted))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while thread.is_alive() and not server.started and not stop.received:
        time.sleep(0.02)
    if not thread.is_alive():
        sys.exit(1)
    print(f"* Running on local URL:  {address(host, port)}", flush=True)
    if share:
        print(f"* {public_link(host, port)}", flush=True)
    while thread.is_alive() and not stop.received:
        time.sleep(0.1)
    demo.registry.stopping = True
    end(server, thread, app.state.calls, stop)


def settings(app: ASGIApp, trusted: str | None) -> uvicorn.Config:
    """uvicorn's settings for an application, and the proxies that it trusts; None trusts none."""
    return uvicorn.Config(
        app,
        http=bounded_protocol(MAX_SILENT),
        ws="none",
        lifespan="on",
        log_config=None,  # the handler of logs.py takes all
        log_level="warning",
        access_log=False,
        proxy_headers=trusted is not None,
        forwarded_allow_ips=trusted,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=CLOSING,
        h11_max_incomplete_event_size=MAX_HEAD,
    )


class StopSignal:
    """SIGTERM, a scheduler's, lets running calls end; SIGINT, or any second signal, ends the app at once."""

    def __init__(self) -> None:
        self.received: list[int] = []  # and no Event: a handler that runs while the main thread waits for one may block
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received.append(number)

    @property
    def at_once(self) -> bool:
        """Whether nothing is to be waited for."""
        return signal.SIGINT in self.received or len(self.received) > 1


def end(server: uvicorn.Server, thread: threading.Thread, calls: Calls, stop: StopSignal) -> None:
    """Let running calls end if there is time for that, close the server, and end the process if a call runs still."""
    patience = time.monotonic() + PATIENCE
    while calls.busy and time.monotonic() < patience and not stop.at_once:
        time.sleep(0.05)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it reports each stream that it cuts as an error
    server.should_exit = True
    closed = time.monotonic() + CLOSING + 1
    while thread.is_alive() and time.monotonic() < closed:
        server.force_exit = stop.at_once
        if stop.at_once:
            closed = min(closed, time.monotonic() + 0.5)
        thread.join(0.05)
    print("Goodbye.", flush=True)
    gc.freeze()  # the interpreter's last collections would take two seconds
    if any(not other.daemon and other is not threading.main_thread() for other in threading.enumerate()):
        os._exit(0)  # the interpreter would wait for them


def listen(host: str, port: int | None) -> socket.socket:
    """A socket at the address: at `port`, else at $GRADIO_SERVER_PORT, else at the first free one from 7860."""
    asked = port if port is not None else os.environ.get("GRADIO_SERVER_PORT")
    ports = range(PORT, PORT + PORTS) if asked is None else [int(asked)]
    for number in ports:
        try:
            return socket.create_server((host, number), family=_family(host), backlog=MAX_CONNECTIONS)
        except OSError as error:
            problem = error
    raise OSError(f"{host} has no free port among {ports[0]} to {ports[-1]}: {problem}") from problem


def address(host: str, port: int) -> str:
    """The address of a host and port, IPv6 included."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def public_link(host: str, port: int) -> str:
    """Make a public address of the app, through Gradio's servers, and say which, or why there is none.

    Gradio offers this by `launch(share=True)` alone; `networking.setup_tunnel`, which that calls, is not documented.
    Tried with Gradio 6.31.
    """
    try:
        return f"Running on public URL: {networking.setup_tunnel(host, port, secrets.token_urlsafe(32), None, None)}"
    except Exception as error:  # of any kind: a download, a program of Gradio's, a file
        return f"There is no public link: {error}"
