"""Many visitors for a long time, with injected faults: does every page get its answer, and does nothing grow?

    python tests/tools/soak.py --minutes 20 --people 20

Beside them a hostile crowd, from an address of its own, does all that `attack.py` can do. The hub that one of the three
models comes from takes seconds to answer, a model raises in every fiftieth call and answers late in another,
connections break off in the middle of a request, and four times a minute a page is closed in the middle of a stroke and
another one is opened. It ends with an error if a page that stayed lacks its last answer, if a new page gets none, or if
memory, threads or open files have grown.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import paths  # noqa: F401
from attack import ATTACKS, Target
from benchmark_app import BUSY_HAND, CONV, DENSE, open_page, right, say
from hub_server import Fault, HubServer
from support import App, open_browser, resident

from hfvae import hub, load

FAULTY_SERVER = """
import random, sys, time
from hfvae import VAE
from hfvae.cli.app import main

decode_image = VAE.decode_image
def faulty(self, z):
    luck = random.random()
    if luck < 0.02:
        raise RuntimeError("injected")
    if luck < 0.04:
        time.sleep(1)
    return decode_image(self, z)

VAE.decode_image = faulty
main(sys.argv[1:])
"""
FROM_HUB = "user/name"
MODELS = {DENSE: DENSE, CONV: CONV, FROM_HUB: CONV}
"""The models on show, and those that they are."""
SLOW = 3.0
"""Seconds that the hub takes for an answer."""
ROUND = 15.0  # seconds between two looks, and between two people who leave
GROWTH = {"memory, MiB": 60, "threads": 8, "open files": 8}
"""What the last fifth may have more than the second; the crowd's coming and going moves it about."""


def state(pid: int) -> dict[str, float]:
    return {
        "memory, MiB": resident(pid),
        "threads": len(list(Path(f"/proc/{pid}/task").iterdir())),
        "open files": len(list(Path(f"/proc/{pid}/fd").iterdir())),
    }


def break_off(port: int, luck: random.Random) -> None:
    """A request that ends in the middle of its body or its headers."""
    body = json.dumps({"data": {"model": CONV, "z": [[0.1] * 32]}, "fn_name": "decode", "session_hash": "x"})
    request = (
        "POST /gradio_api/component_server HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request[: luck.randrange(1, len(request))].encode())


def arrive(browser: Any, url: str, luck: random.Random, seconds: float) -> Any:
    """A page whose hand draws or moves sliders for so long."""
    page = open_page(browser, url, luck.choice(list(MODELS)))
    draws = luck.random() < 0.5
    if not draws:
        page.get_by_role("tab", name="Sliders").click()
        page.wait_for_selector("#sliders input", state="attached")
    options = {"draws": draws, "milliseconds": 1000 * seconds, "pause": 8000}
    page.evaluate(f"(options) => {{ window.busy = ({BUSY_HAND})(options); }}", options)
    return page


def crowd(app: App, attacks: Counter[str], over: threading.Event) -> None:
    """Attack in all ways, one after another, until it is over."""
    target, luck = Target(app.url, app.process.pid, source="127.0.0.2"), random.Random(1)
    while not over.wait(1.0):
        name = luck.choice(sorted(ATTACKS))
        ATTACKS[name](target, 20)
        attacks[name] += 1


def soak(browser: Any, people: int, seconds: float, folder: Path) -> bool:
    luck, script = random.Random(0), folder / "server.py"
    script.write_text(FAULTY_SERVER)
    with HubServer() as server:
        server.put(
            FROM_HUB, {path.name: path.read_bytes() for path in (hub.BUNDLED / CONV).iterdir() if path.is_file()}
        )
        server.fail(".*", Fault(slow=SLOW), times=None)
        named = [part for model in MODELS for part in ("--model", model)]
        app = App(folder / "log", *named, script=script, **server.env(folder / "home"))
        asked = len(server.requests)
    vaes = {name: load(bundled, device="cpu") for name, bundled in MODELS.items()}
    end = time.monotonic() + seconds
    stay = people - people // 4
    staying = [arrive(browser, app.url, luck, end - time.monotonic()) for _ in range(stay)]
    visitors = [arrive(browser, app.url, luck, seconds) for _ in range(people - stay)]
    left = broken = 0
    attacks, over = Counter[str](), threading.Event()
    hostile = threading.Thread(target=crowd, args=(app, attacks, over))
    hostile.start()
    states = [state(app.process.pid)]
    while time.monotonic() < end:
        visitors.pop(0).context.close()  # mid-stroke
        visitors.append(arrive(browser, app.url, luck, seconds))
        left += 1
        for _ in range(5):
            break_off(app.port, luck)
            broken += 1
        time.sleep(ROUND)
        states.append(state(app.process.pid))
    over.set()
    hostile.join()
    for page in visitors:
        page.context.close()
    lost = sum(not right(page, vaes) for page in staying)
    for page in staying:
        page.context.close()
    newcomer = arrive(browser, app.url, luck, 1)
    served = right(newcomer, vaes)
    newcomer.context.close()
    app.stop()
    injected = app.log.read_text().count("RuntimeError: injected")
    say("requests that the hub answered late", asked)
    say(f"{people} pages for {seconds / 60:.0f} minutes: faults", f"{injected} raised, {broken} cut off, {left} left")
    say("attacks beside them", f"{sum(attacks.values())} of {len(attacks)} kinds")
    say("pages without their last answer; a newcomer is served", f"{lost} of {stay}; {served}")
    grown = False
    for name, most in GROWTH.items():
        values = [entry[name] for entry in states]
        fifth = max(1, len(values) // 5)
        before, after = (sum(part) / len(part) for part in (values[fifth : 2 * fifth], values[-fifth:]))
        grown |= after - before > most
        say(f"{name}: second fifth, last fifth, most", f"{before:.0f}, {after:.0f}, {max(values):.0f}")
    return served and lost == 0 and not grown and injected > 0 and asked > 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Does the app keep serving?")
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=20)
    arguments = parser.parse_args()
    with open_browser() as browser, tempfile.TemporaryDirectory() as folder:
        sys.exit(not soak(browser, arguments.people, 60 * arguments.minutes, Path(folder)))


if __name__ == "__main__":
    main()
