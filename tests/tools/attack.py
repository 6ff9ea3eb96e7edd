"""What a hostile visitor can do to the app: `python tests/tools/attack.py` attacks one that it starts.

    python tests/tools/attack.py --requests 10000           the whole attack, a quarter of an hour
    python tests/tools/attack.py --requests 200             a short one
    python tests/tools/attack.py --url http://127.0.0.1:7860 --pid 1234     against an app that runs already

Each attack is a number of requests; the table has what they were answered, and the server's memory before, at its peak
and at the end, in MiB. It ends with an error if memory grew by more than allowed, or if the app no longer answers.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import random
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio
import gradio.routes
import paths  # noqa: F401
from hub_server import HubServer
from support import App, resident, widget_call

from hfvae import hub

MODEL = "mnist-dense-2d"
MOST_AT_ONCE, MOST_IN_THE_END = 256, 64  # MiB
SETTLING = 45.0  # seconds in which what nobody reads is dropped
WORKERS = 8
Attack = Callable[["Target", int], str]
ATTACKS: dict[str, Attack] = {}


class Target:
    """The app under attack.

    Args:
        url: its address.
        pid: its process, whose memory is watched.
        source: the address to attack from; limits are by address.
    """

    def __init__(self, url: str, pid: int, source: str = "127.0.0.1") -> None:
        self.host, self.port, self.source = urlsplit(url).hostname, urlsplit(url).port, source
        self.url, self.pid = url, pid
        self.config = self.json("/config")
        self.functions = {part["api_name"]: part["id"] for part in self.config["dependencies"]}
        served = gradio.routes.App.create_app(gradio.Blocks())
        own = {"/healthz", "/card-figures/{number}/{name}.png", "/decoders/{number}/{digest}"}
        self.routes = sorted(
            {*own, *served.openapi()["paths"], *(getattr(route, "path", "/") for route in served.routes)}
        )

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host or "", self.port, timeout=30, source_address=(self.source, 0))

    def json(self, path: str) -> Any:
        with urllib.request.urlopen(self.url.rstrip("/") + path, timeout=60) as answer:
            return json.load(answer)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[str, bytes]:
        """The status, or what happened instead, and the beginning of the answer."""
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {"Content-Type": "application/json"})
            response = connection.getresponse()
            return str(response.status), response.read(100_000)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return type(error).__name__, b""
        finally:
            connection.close()

    def post(self, path: str, body: Any) -> tuple[str, bytes]:
        return self.ask("POST", f"/gradio_api/{path}", json.dumps(body).encode())


def attack(function: Attack) -> Attack:
    ATTACKS[function.__name__.replace("_", " ")] = function
    return function


def repeated(count: int, once: Callable[[int], str]) -> str:
    """What `count` calls were answered, most often first."""
    with ThreadPoolExecutor(WORKERS) as pool:
        outcomes = Counter(pool.map(once, range(count)))
    return ", ".join(f"{number} x {outcome}" for outcome, number in outcomes.most_common(4))


@attack
def answers_that_nobody_reads(target: Target, count: int) -> str:
    return repeated(count, lambda _: target.post("call/generate", {"data": [MODEL, 100, 1.0, 0, None]})[0])


@attack
def calls_of_the_queue_that_nobody_follows(target: Target, count: int) -> str:
    body = {"data": [MODEL, 100, 1.0, 0, None], "fn_index": target.functions["generate"]}
    return repeated(count, lambda number: target.post("queue/join", {**body, "session_hash": f"s{number}"})[0])


@attack
def calls_of_one_session(target: Target, count: int) -> str:
    body = {"data": [MODEL, 100, 1.0, 0, None], "fn_index": target.functions["generate"], "session_hash": "one"}
    return repeated(count, lambda _: target.post("queue/join", body)[0])


@attack
def sessions_without_end(target: Target, count: int) -> str:
    return repeated(
        count, lambda number: target.post("component_server", widget_call(target.config, session_hash=f"{number}"))[0]
    )


@attack
def session_names_of_900_KB(target: Target, count: int) -> str:
    def once(number: int) -> str:
        return target.post("component_server", widget_call(target.config, session_hash=f"{number}" * 100_000))[0]

    return repeated(count // 10, once)


@attack
def functions_that_do_not_exist(target: Target, count: int) -> str:
    def once(number: int) -> str:
        return target.post(
            "component_server", widget_call(target.config, fn_name=f"f{number}", session_hash=f"f{number}")
        )[0]

    return repeated(count, once)


@attack
def visitors_who_vanish_in_mid_call(target: Target, count: int) -> str:
    def once(number: int) -> str:
        status, answer = target.post("call/generate", {"data": [MODEL, 100, 1.0, 0, None]})
        if status != "200":
            return status
        connection = target.connect()
        connection.request("GET", f"/gradio_api/call/generate/{json.loads(answer)['event_id']}")
        connection.sock.close()
        return "vanished"

    return repeated(count // 5, once)


@attack
def answers_waited_for_without_end(target: Target, count: int) -> str:
    """Many open streams, while another visitor asks for a page."""
    event = json.loads(target.post("call/generate", {"data": [MODEL, 1, 1.0, 0, None]})[1]).get("event_id", "x")
    connections = []
    for _ in range(count // 5):
        connection = target.connect()
        connection.request("GET", f"/gradio_api/call/generate/{event}")
        connections.append(connection)
    started = time.monotonic()
    status, _ = target.ask("GET", "/robots.txt")
    took = time.monotonic() - started
    for connection in connections:
        connection.close()
    return f"{len(connections)} open; /robots.txt answers {status} after {took:.2f} s"


@attack
def connections_that_stay_silent(target: Target, count: int) -> str:
    """Many connections without a request, or with half of one, while another visitor asks for a page."""
    with contextlib.ExitStack() as stack:
        number = min(count, 900)
        for each in range(number):
            raw = stack.enter_context(socket.create_connection((target.host, target.port), 30, (target.source, 0)))
            raw.sendall(b"GET / HTTP/1.1\r\nHost: " if each % 2 else b"")
        started = time.monotonic()
        status, _ = target.ask("GET", "/robots.txt")
        return f"{number} open; /robots.txt answers {status} after {time.monotonic() - started:.2f} s"


@attack
def every_route_with_every_verb_and_body(target: Target, count: int) -> str:
    luck = random.Random(0)
    bodies = [b"", b"{}", b"[]", b"null", b'"x"', b"[" * 100_000, b"\xff\xfe", b'{"a": ' * 20_000, b"x" * 2_000_000]
    kinds = [
        "application/json",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "",
    ]
    words = ["x", "..", "%2e%2e%2f", "%00", "x%0AFAKE", "a" * 300, "\N{SNOWMAN}".encode().hex(), "-1", "9" * 40]

    def once(_: int) -> str:
        path = luck.choice(target.routes)
        while "{" in path:
            path = path[: path.index("{")] + luck.choice(words) + path[path.index("}") + 1 :]
        if luck.random() < 0.3:
            path += "?session_hash=" + luck.choice(words)
        verb = luck.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"])
        body = luck.choice(bodies) if verb not in ("GET", "HEAD") else None
        headers = {
            "Content-Type": luck.choice(kinds),
            "Origin": luck.choice(["http://evil.example", "null", target.url]),
        }
        if luck.random() < 0.1:
            headers["Host"] = "evil.example"
        return target.ask(verb, path, body, headers)[0]

    return repeated(count, once)


@attack
def odd_headers(target: Target, count: int) -> str:
    odd = [
        {"Host": "evil.example"},
        {"Host": ""},
        {"Origin": "null"},
        {"Cookie": "a" * 8000},
        {"X-Forwarded-For": "1.2.3.4, " * 500},
        {"Content-Length": "-5"},
        {"Range": "bytes=0-99999999999"},
        {"Accept-Encoding": "x" * 5000},
        {"Authorization": "Bearer " + "x" * 5000},
    ]
    return repeated(count, lambda number: target.ask("GET", "/", None, odd[number % len(odd)])[0])


@attack
def hostile_drawings_and_points(target: Target, count: int) -> str:
    values: list[Any] = [None, 1e308, -1e308, "1", [], {}, True, 10**400, "NaN", [[[[]]]], "\ud800"]
    luck = random.Random(1)

    def once(_: int) -> str:
        value = luck.choice(values)
        data = luck.choice([{"model": value}, {"model": MODEL, "z": value}, {"model": MODEL, "z": [[value, 0]]}, value])
        return target.post("component_server", widget_call(target.config, data=data))[0]

    return repeated(count, once)


@attack
def hostile_links(target: Target, count: int) -> str:
    """Addresses of the page as somebody may send them; what they say is read in the page alone."""
    luck = random.Random(2)
    parts = ["model", "z", "1abc,0x10", "NaN", "%00", "<script>", "1e999", "..%2f..%2f", "'", "%F0%9F", "&", "=", ";"]

    def once(_: int) -> str:
        query = "".join(luck.choices(parts, k=luck.randrange(1, 12)))
        return target.ask("GET", f"/?{query}")[0]

    return repeated(count // 10, once)


REPOSITORIES = 24
CARD = b"""---
license: mit
---
<script>window.hacked = 1</script> <form action="http://evil.example/"><input type="password"></form>
![a](http://evil.example/a.png) [b](javascript:hacked=2) <style>body { display: none }</style>
"""


def hostile_repositories(folder: Path) -> bool:
    """Start the app with a sound model beside damaged and hostile ones, and tell whether it shows the sound one."""
    luck = random.Random(3)
    sound = {path.name: path.read_bytes() for path in (hub.BUNDLED / MODEL).iterdir() if path.is_file()}
    names = [f"user/evil{number}" for number in range(REPOSITORIES)]
    with HubServer() as server:
        for name in names:
            server.put(name, spoiled(sound, luck))
        models = [part for name in ("user/sound", *names) for part in ("--model", name)]
        server.put("user/sound", sound)
        app = App(folder / "repositories", *models, **server.env(folder / "home"))
        try:
            target = Target(app.url, app.process.pid)
            shown = target.json("/healthz")["models"]
            page = json.dumps(target.config)
            call = widget_call(target.config, data={"model": shown[0], "z": [[0, 0]]})
            status, answer = target.post("component_server", call)
            memory = resident(app.process.pid)
        finally:
            app.stop()
    clean = not any(word in page for word in ("<script>window.hacked", "<form action", 'href=\\"javascript'))
    traced = "Traceback" in (folder / "repositories").read_text()
    outcome = f"{len(shown)} of {REPOSITORIES + 1} shown; {status}"
    print(f"{'hostile repositories and cards':42} {'':7} {memory:7.0f} {'':7}  {outcome}")
    return status == "200" and b"images" in answer and clean and not traced


def spoiled(files: dict[str, bytes], luck: random.Random) -> dict[str, bytes]:
    """The files of a model, one of them damaged or replaced, with a hostile card."""
    changed = {**files, hub.CARD: CARD * luck.choice([1, 1, 20_000])}
    name = luck.choice([hub.CONFIG, hub.WEIGHTS, hub.LATENTS, hub.CARD])
    content = changed[name]
    place = luck.randrange(len(content))
    changed[name] = luck.choice(
        [
            content[:place],
            content[:place] + luck.randbytes(200) + content[place + 200 :],
            luck.randbytes(10_000),
            b"[" * 500_000,
            b"\x80\x04cos\nsystem\n(S'true'\ntR.",
            content.replace(b'"latent_dim": 2', b'"latent_dim": 99999999'),
            content.replace(b"MNIST", b"\xff<script>"),
        ]
    )
    return changed


@contextmanager
def watched(target: Target) -> Iterator[list[float]]:
    """The only entry is the server's memory at its peak."""
    highest, done = [resident(target.pid)], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            highest[0] = max(highest[0], resident(target.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield highest
    finally:
        done.set()
        watcher.join()


def run(target: Target, count: int, only: list[str]) -> bool:
    """Attack, print the table, and tell whether the app withstood."""
    for _ in range(20):  # what any visitor brings into memory is no growth
        target.post("component_server", widget_call(target.config))
        _, answer = target.post("call/generate", {"data": [MODEL, 100, 1.0, 0, None]})
        target.ask("GET", f"/gradio_api/call/generate/{json.loads(answer)['event_id']}")
    start, ok = resident(target.pid), True
    print(f"{'attack':42} {'before':>7} {'peak':>7} {'after':>7}  answers")
    for name, function in ATTACKS.items():
        if only and name not in only:
            continue
        before = resident(target.pid)
        with watched(target) as highest:
            outcome = function(target, count)
        print(f"{name:42} {before:7.0f} {highest[0]:7.0f} {resident(target.pid):7.0f}  {outcome}", flush=True)
        ok = ok and highest[0] - start < MOST_AT_ONCE
    time.sleep(SETTLING)
    status, _ = target.post("component_server", widget_call(target.config))
    grown = resident(target.pid) - start
    print(f"grown by {grown:.0f} MiB in the end, {SETTLING:.0f} seconds later; a visitor's call is answered {status}")
    return ok and grown < MOST_IN_THE_END and status == "200"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attacks", nargs="*", help=f"of: {'; '.join(ATTACKS)} (default: all)")
    parser.add_argument("--requests", type=int, default=10_000, help="of each kind")
    parser.add_argument("--url", help="of an app that runs already")
    parser.add_argument("--pid", type=int, help="of that app")
    options = parser.parse_args()
    if options.url:
        sys.exit(not run(Target(options.url, options.pid), options.requests, options.attacks))
    with tempfile.TemporaryDirectory() as folder:
        app = App(Path(folder) / "log", "--model", MODEL)
        try:
            ok = run(Target(app.url, app.process.pid), options.requests, options.attacks)
        finally:
            app.stop()
        ok = hostile_repositories(Path(folder)) and ok
        size = (Path(folder) / "log").stat().st_size
        print(f"the log has {size / 1e3:.0f} kB")
    sys.exit(not ok)


if __name__ == "__main__":
    main()
