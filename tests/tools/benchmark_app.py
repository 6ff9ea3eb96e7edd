"""How fast the page is, in a real headless Chromium on this machine. Prints figures; judges nothing.

python tests/tools/benchmark_app.py                          # one visitor
python tests/tools/benchmark_app.py --people 50              # 50 at once, for 30 seconds
python tests/tools/benchmark_app.py --people 20 --minutes 10
python tests/tools/benchmark_app.py --clients 50             # 50 who draw at once, whose browsers run elsewhere
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import paths  # noqa: F401
from playwright.sync_api import Error
from support import App, close, free_port, open_browser, resident, returning

from hfvae import VAE, hub, load
from hfvae.demo.registry import PAD_SIDE

DENSE, CONV = "mnist-dense-2d", "mnist-conv-32d"
REPEATS = 40
STROKE, PAUSE = 0.32, 0.3
"""Seconds that a visitor draws a stroke, and waits before the next."""
PICTURES = ["seen", "reconstruction", "difference"]

# Notes when an input event comes and when an image is painted, by the page's own clock.
WATCH = """() => {
    window.watched = { since: 0, painted: {}, counts: {} };
    const put = CanvasRenderingContext2D.prototype.putImageData;
    CanvasRenderingContext2D.prototype.putImageData = function (...rest) {
        const result = put.apply(this, rest);
        const place = this.canvas.parentElement?.id;
        watched.painted[place] = performance.now();
        watched.counts[place] = (watched.counts[place] ?? 0) + 1;
        return result;
    };
    for (const kind of ["pointerup", "input", "pointermove"]) {
        addEventListener(kind, (event) => { if (kind === watched.kind) watched.since = performance.now(); }, true);
    }
}"""
ELAPSED = """(places) => new Promise((resolve) => {
    const wait = () => {
        const done = places.map((place) => (watched.painted[place] ?? 0) - watched.since);
        if (Math.min(...done) >= 0) resolve(Math.max(...done));
        else setTimeout(wait, 0);
    };
    wait();
})"""
# What a visitor's hand does, without Playwright's help: strokes on the pad, or a slider drawn to and fro.
BUSY_HAND = """async ({ draws, milliseconds, pause = 0 }) => {
    const fetched = window.fetch;
    window.asked = { times: [], failures: 0 };
    window.fetch = async (...request) => {
        const began = performance.now();
        const ours = String(request[0]).includes("component_server");
        try {
            const answer = await fetched(...request);
            if (ours) answer.ok ? asked.times.push(performance.now() - began) : (asked.failures += 1);
            return answer;
        } catch (error) {
            if (ours) asked.failures += 1;
            throw error;
        }
    };
    const sleep = (pause) => new Promise((resolve) => setTimeout(resolve, pause));
    const until = performance.now() + milliseconds;
    const pad = document.querySelector("#pad canvas");
    const point = (kind, x, y) => {
        const box = pad.getBoundingClientRect();
        const at = { clientX: box.left + x, clientY: box.top + y };
        pad.dispatchEvent(new PointerEvent(kind, { pointerId: 1, button: 0, bubbles: true, ...at }));
    };
    pad.setPointerCapture = () => {};
    while (performance.now() < until) {
        if (draws) {
            point("pointerdown", 60 + 100 * Math.random(), 40);
            for (let i = 0; i < 20; i++) {
                point("pointermove", 60 + 100 * Math.random(), 40 + 10 * i);
                await sleep(16);
            }
            point("pointerup", 140, 240);
            await sleep(300);
            document.querySelector("[data-do=clear]").click();
        } else {
            const sliders = [...document.querySelectorAll("#sliders input")];
            const slider = sliders[Math.floor(sliders.length * Math.random())];
            for (let i = 0; i < 40; i++) {
                slider.value = -3 + (6 * i) / 39;
                slider.dispatchEvent(new Event("input", { bubbles: true }));
                await sleep(16);
            }
        }
        await sleep(pause);
    }
    while (!hfvae.state.exact) await sleep(20);
    return { ...asked, z: hfvae.state.z, image: Array.from(hfvae.state.image) };
}"""
# The app, with the time of each of the page's calls as the server saw it on stderr when it ends.
TIMED_SERVER = """
import signal, statistics, sys, time, torch
from starlette.middleware import Middleware
from hfvae.demo import build_demo

class Timer:
    times = []
    def __init__(self, app):
        self.app = app
    async def __call__(self, scope, receive, send):
        began, path = time.perf_counter(), scope.get("path", "")
        await self.app(scope, receive, send)
        if "component_server" in path:
            self.times.append(1000 * (time.perf_counter() - began))

def report(*_):
    print(*Timer.times, flush=True)
    sys.exit()

torch.set_num_threads(1)
signal.signal(signal.SIGTERM, report)
build_demo().launch(server_port=int(sys.argv[2]), quiet=True, app_kwargs={"middleware": [Middleware(Timer)]})
"""
# The yardstick of the start: the least that any Gradio app with torch takes.
YARDSTICK = """
import sys, torch, gradio as gr
with gr.Blocks(analytics_enabled=False) as demo:
    slider, number = gr.Slider(0, 1), gr.Number()
    slider.input(lambda value: value, slider, number, queue=False, api_name="echo")
demo.launch(server_port=int(sys.argv[1]), quiet=True)
"""


def spread(times: list[float]) -> str:
    ordered = sorted(times)
    p95 = ordered[int(0.95 * (len(ordered) - 1))]
    return f"p50 {statistics.median(ordered):6.1f}   p95 {p95:6.1f}   n {len(ordered)}"


def say(what: str, figure: str) -> None:
    print(f"{what:68} {figure}", flush=True)


def open_page(browser: Any, url: str, model: str) -> Any:
    page = returning(browser.new_context(viewport={"width": 1280, "height": 900}).new_page())
    page.goto(f"{url}?model={model}", timeout=120_000)
    page.wait_for_function("document.documentElement.dataset.ready", timeout=120_000)
    return page


def drawing(browser: Any, url: str, model: str) -> None:
    page = open_page(browser, url, model)
    page.evaluate(WATCH)
    page.evaluate("watched.kind = 'pointerup'")
    box, mouse = page.locator("#pad canvas").bounding_box(), page.mouse
    times, updates = [], []
    for repeat in range(REPEATS):
        mouse.move(box["x"] + 60, box["y"] + 60 + repeat % 10)
        mouse.down()
        page.evaluate("watched.counts = {}")
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < 0.3:
            mouse.move(box["x"] + 60 + 500 * elapsed, box["y"] + 60 + 400 * elapsed)
        updates.append(page.evaluate("(places) => Math.min(...places.map((it) => watched.counts[it]))", PICTURES))
        mouse.up()
        times.append(page.evaluate(ELAPSED, PICTURES))
        page.wait_for_timeout(60)
        if repeat % 4 == 3:
            page.locator("[data-do=clear]").click()
            page.wait_for_timeout(60)
    say(f"{model}: pointer-up to three images, ms", spread(times))
    say(f"{model}: updates during a stroke of 300 ms", f"least {min(updates)}, median {statistics.median(updates):g}")
    page.context.close()


def slider(browser: Any, url: str, model: str) -> None:
    page = open_page(browser, url, model)
    page.wait_for_function("!!hfvae.state.decode")
    page.get_by_role("tab", name="Sliders").click()
    page.wait_for_timeout(800)
    page.evaluate(WATCH)
    page.evaluate("watched.kind = 'input'")
    page.locator("#sliders label[style='order: 0;'] input").focus()
    times = []
    for _ in range(REPEATS):
        page.evaluate("watched.since = Infinity")
        page.keyboard.press("ArrowRight")
        times.append(page.evaluate(ELAPSED, ["generated"]))
        page.wait_for_timeout(30)
    say(f"{model}: slider step to image, ms", spread(times))
    page.context.close()


def hovering(browser: Any, url: str, model: str) -> None:
    page = open_page(browser, url, model)
    page.wait_for_function("!!hfvae.state.decode")
    page.wait_for_timeout(800)
    shown = page.evaluate(
        """() => new Promise((resolve) => {
            const began = performance.now();
            const draw = CanvasRenderingContext2D.prototype.drawImage;
            CanvasRenderingContext2D.prototype.drawImage = function (source, ...rest) {
                draw.call(this, source, ...rest);
                const map = document.querySelector("#map canvas");
                if (this.canvas !== map) return;
                const painted = this.getImageData(0, 0, 560, 560).data.some((value) => value > 0);
                if (painted) resolve(performance.now() - began);
            };
            hfvae.openTab("map");
        })"""
    )
    say(f"{model}: tab opened to the map's first paint, ms", f"{shown:.0f}")
    page.reload()
    page.wait_for_function("document.documentElement.dataset.ready")
    page.wait_for_function("!!hfvae.state.decode")
    page.get_by_role("tab", name="Latent map").click()
    page.wait_for_timeout(800)
    page.evaluate(WATCH)
    page.evaluate("watched.kind = 'pointermove'")
    box, times = page.locator("#map canvas").bounding_box(), []
    for repeat in range(REPEATS):
        page.evaluate("watched.since = Infinity")
        page.mouse.move(box["x"] + 100 + 8 * repeat, box["y"] + 200 + 37 * repeat % 150)
        times.append(page.evaluate(ELAPSED, ["decoded"]))
        page.wait_for_timeout(20)
    say(f"{model}: map hover to image, ms", spread(times))
    frames = page.evaluate(
        """async () => {
            const map = document.querySelector("#map canvas");
            const box = map.getBoundingClientRect();
            let count = 0;
            const began = performance.now();
            const end = began + 2000;
            while (performance.now() < end) {
                const angle = performance.now() / 300;
                const [x, y] = [Math.cos(angle), Math.sin(angle)].map((part) => 280 + 200 * part);
                const at = { clientX: box.left + x, clientY: box.top + y };
                map.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, ...at }));
                await new Promise(requestAnimationFrame);
                count += 1;
            }
            return (1000 * count) / (performance.now() - began);
        }"""
    )
    say(f"{model}: frames a second while hovering over 10,000 points", f"{frames:.1f}")
    page.context.close()


def first_answer(browser: Any, command: list[str], port: int, ask: str) -> float:
    """Seconds from a process's start to the answer to its page's first event."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    context = browser.new_context()
    page = returning(context.new_page())
    try:
        while True:
            try:
                page.goto(f"http://127.0.0.1:{port}/")
                break
            except Error:  # not listening yet
                time.sleep(0.05)
        page.wait_for_function(ask, timeout=60_000)
        return time.monotonic() - began
    finally:
        context.close()
        process.terminate()
        process.wait(20)


def starting(browser: Any) -> None:
    ready = "document.documentElement.dataset.ready"
    moved = """() => {
        const range = document.querySelector("input[type=range]");
        if (!range) return false;
        range.value = Number(range.value) + 0.01;
        range.dispatchEvent(new Event("input", { bubbles: true }));
        return [...document.querySelectorAll("input[type=number]")].filter((it) => Number(it.value) > 0).length > 1;
    }"""
    differences, ours, theirs = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "yardstick.py"
        script.write_text(YARDSTICK)
        for _ in range(4):
            port = free_port()
            ours.append(first_answer(browser, [sys.executable, "app.py", "--port", str(port)], port, ready))
            port = free_port()
            theirs.append(first_answer(browser, [sys.executable, str(script), str(port)], port, moved))
            differences.append(ours[-1] - theirs[-1])
    we, they, more = (statistics.median(times) for times in (ours, theirs, differences))
    say(
        "start to first answered event, against one slider and torch", f"{we:.1f} s against {they:.1f} s: {more:+.1f} s"
    )


def right(page: Any, vaes: dict[str, VAE]) -> bool:
    """Whether the page, once its inputs have stopped, shows the image of its last point."""
    result = page.evaluate("window.busy")
    return close(result["image"], vaes[page.evaluate("hfvae.state.model.name")], result["z"])


def crowd(browser: Any, people: int, seconds: float, folder: Path) -> None:
    script = folder / "timed_server.py"
    script.write_text(TIMED_SERVER)
    app = App(folder / "served", script=script)
    vaes = {name: load(name, device="cpu") for name in (DENSE, CONV)}
    pages = []
    for i in range(people):
        draws = i % 2 == 0
        page = open_page(browser, app.url, CONV if i % 4 else DENSE)
        if not draws:
            page.get_by_role("tab", name="Sliders").click()
            page.wait_for_selector("#sliders input", state="attached")
        pages.append((page, draws))
    memory = [resident(app.process.pid)]
    for page, draws in pages:
        page.evaluate(
            f"(options) => {{ window.busy = ({BUSY_HAND})(options); }}",
            {"draws": draws, "milliseconds": 1000 * seconds},
        )
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(15, max(0, end - time.monotonic())))
        memory.append(resident(app.process.pid))
    times, failures, wrong = [], 0, 0
    for page, _ in pages:
        result = page.evaluate("window.busy")
        times += result["times"]
        failures += result["failures"]
        wrong += not right(page, vaes)
        page.context.close()
    app.stop()
    served = [float(part) for part in app.log.read_text().splitlines()[-1].split()]
    say(f"{people} people for {seconds:.0f} s: calls a second", f"{len(served) / seconds:.0f}")
    say(f"{people} people for {seconds:.0f} s: a call as the server sees it, ms", spread(served))
    say(f"{people} people for {seconds:.0f} s: a call as the page sees it, ms", spread(times))
    say(f"{people} people: failed calls, wrong last images", f"{failures}, {wrong}")
    say(f"{people} people: the server's memory, MiB", " ".join(f"{value:.0f}" for value in memory))


def clients(count: int, seconds: float, log: Path) -> None:
    """Visitors who draw, stroke after stroke, and ask as the page does, without browsers that share the machine."""
    app = App(log)
    with urllib.request.urlopen(f"{app.url}config") as config:
        components = json.load(config)["components"]
    widget = next(it["id"] for it in components if it["props"].get("elem_id") == "draw-widget")
    times: list[float] = []
    busy: list[float] = []
    end = time.monotonic() + seconds

    def draw(visitor: int) -> None:
        numbers = random.Random(visitor)
        connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=60)
        time.sleep(numbers.random())
        while time.monotonic() < end:
            pad = np.zeros((PAD_SIDE, PAD_SIDE), np.uint8)
            began, x = time.monotonic(), 60.0
            while (elapsed := time.monotonic() - began) < STROKE:
                reached = int(PAD_SIDE * (0.2 + 0.6 * elapsed / STROKE))
                x = min(max(x + 20 * (numbers.random() - 0.5), 30.0), PAD_SIDE - 30.0)
                pad[PAD_SIDE // 5 : reached, int(x) - 6 : int(x) + 6] = 255
                request = {"model": CONV if visitor % 2 else DENSE, "ink": base64.b64encode(pad.tobytes()).decode()}
                call = {"data": request, "fn_name": "reconstruct", "session_hash": f"client{visitor}"}
                asked = time.monotonic()
                body = json.dumps(call | {"component_id": widget})
                connection.request("POST", "/gradio_api/component_server", body, {"Content-Type": "application/json"})
                answer = json.loads(connection.getresponse().read())
                took = 1000 * (time.monotonic() - asked)
                (busy if answer.get("busy") else times).append(took)
                if "seen" not in answer and not answer.get("busy") and not answer.get("empty"):
                    raise RuntimeError(f"no answer to a stroke: {answer}")
                time.sleep(max(0.016, min(1, 3 * (took - 40) / 1000)))  # core.js waits so after a slow answer
            time.sleep(PAUSE)
        connection.close()

    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(draw, visitor) for visitor in range(count)]:
            done.result()
    app.stop()
    what = f"{count} who draw for {seconds:.0f} s"
    say(f"{what}: calls a second, of these refused", f"{len(times + busy) / seconds:.0f}, {len(busy) / seconds:.1f}")
    say(f"{what}: a stroke's answer, ms", spread(times))


def alone(browser: Any, log: Path) -> None:
    app = App(log)
    try:
        for model in hub.bundled_names():
            for figure in (drawing, slider, hovering):
                figure(browser, app.url, model)
    finally:
        app.stop()
    starting(browser)


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast the page is.")
    parser.add_argument("--people", type=int, default=0, help="number of pages at once, instead of one alone")
    parser.add_argument("--clients", type=int, default=0, help="number of callers who draw without a browser")
    parser.add_argument("--minutes", type=float, default=0.5, help="how long they stay")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.clients:
            clients(arguments.clients, 60 * arguments.minutes, folder / "log")
            return
        with open_browser() as browser:
            if arguments.people:
                crowd(browser, arguments.people, 60 * arguments.minutes, folder)
            else:
                alone(browser, folder / "log")


if __name__ == "__main__":
    main()
