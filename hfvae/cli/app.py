"""Serve the app: draw digits, move latents, explore the latent map."""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType

import torch

from ..allocator import return_freed_memory
from ..demo import build_demo, logs
from ..demo.server import App
from ..hub import HubError
from ..version import command
from . import add_extension_option, import_extensions

PATIENCE = 5.0
"""Seconds that running calls have to end."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the app and serve it, as `arguments` (None: the command line's) say."""
    parser = argparse.ArgumentParser(
        prog=command("app"),
        description="Draw digits, move latents, explore the latent map.",
        epilog="Without --model, $HFVAE_MODELS (separated by commas or spaces) names the models, else the bundled ones "
        "are shown. Behind a proxy, $GRADIO_ROOT_PATH is the path under which visitors find the app.",
    )
    parser.add_argument(
        "--model", action="append", metavar="DIR_OR_REPO", help="folder, bundled name or user/name; may be repeated"
    )
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where the models run")
    parser.add_argument("--host", help="address to listen on (default: $GRADIO_SERVER_NAME, else 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default: $GRADIO_SERVER_PORT, else 7860 or next)")
    parser.add_argument("--share", action="store_true", help="a public link through Gradio's servers")
    parser.add_argument("--mcp", action="store_true", help="offer the endpoints as tools for language models, too")
    add_extension_option(parser)
    options = parser.parse_args(arguments)
    import_extensions(options.extension)
    if options.mcp and importlib.util.find_spec("mcp") is None:
        parser.exit(1, '--mcp needs the package mcp: pip install "gradio[mcp]"\n')
    logs.configure()
    return_freed_memory()
    torch.set_num_threads(1)  # one image is too little work for several threads, and visitors come in parallel
    models = options.model or os.environ.get("HFVAE_MODELS", "").replace(",", " ").split() or None
    try:
        demo = build_demo(models, options.device)
    except (HubError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    stop = StopSignal()
    demo.launch(
        server_name=options.host,
        server_port=options.port,
        share=options.share,
        mcp_server=options.mcp or None,  # None: $GRADIO_MCP_SERVER decides
        prevent_thread_lock=True,
    )
    logs.adopt_server()
    stop.wait_and_end(demo)


class StopSignal:
    """SIGINT ends the app at once; SIGTERM, a scheduler's, lets running calls end first."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._arrived = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = number
        self._arrived.set()

    def wait_and_end(self, demo: App) -> None:
        """Wait for a signal, then end the process."""
        while not self._arrived.wait(0.2):  # a wait without end would keep Python from running the handler
            pass
        demo.registry.stopping = True
        if self.received == signal.SIGTERM:
            end = time.monotonic() + PATIENCE
            while demo.busy and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(0.5)  # in which the last answers are sent
        print("Goodbye.", flush=True)
        closing = threading.Thread(target=demo.close, kwargs={"verbose": False}, daemon=True)
        closing.start()
        closing.join(1.0)
        sys.exit(0)  # all threads of the server are daemons, whatever streams are open
