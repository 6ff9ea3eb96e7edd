"""The app as a process: readiness, signals, and its log."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import App

SLOW_APP = """
import sys, time
from hfvae import VAE, inference
from hfvae.cli import app
decode_image = VAE.decode_image
def slow(self, z):
    if len(z) == 99:
        print("a long call runs", flush=True)
        time.sleep(2)
    if len(z) == 98:
        raise RuntimeError("injected\\nFAKE line")
    return decode_image(self, z)
VAE.decode_image = slow
app.main(["--model", "mnist-dense-2d", *sys.argv[1:]])
"""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    script = tmp_path / "slow.py"
    script.write_text(SLOW_APP)
    app = App(tmp_path / "log", script=script)
    yield app
    app.process.kill()
    app.process.wait()


def get(app: App, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(app.url + path, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def generate(app: App, count: int) -> str:
    """The events of a call of the named endpoint."""
    request = urllib.request.Request(
        app.url + "gradio_api/call/generate",
        json.dumps({"data": ["mnist-dense-2d", count, 1.0, 0, None]}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{app.url}gradio_api/call/generate/{event}", timeout=60) as answer:
        return answer.read().decode()


def wait_for_long_call(app: App) -> None:
    end = time.monotonic() + 30
    while "a long call runs" not in app.log.read_text():
        assert time.monotonic() < end, app.log.read_text()
        time.sleep(0.05)


def test_readiness(app: App) -> None:
    status, content = get(app, "healthz")
    assert (status, json.loads(content)) == (200, {"status": "ready", "models": ["mnist-dense-2d"]})


def test_sigterm_lets_a_running_call_end(app: App) -> None:
    answers: list[str] = []
    call = threading.Thread(target=lambda: answers.append(generate(app, 99)))
    call.start()
    wait_for_long_call(app)
    app.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert json.loads(get(app, "healthz")[1])["status"] == "stopping"
    call.join(20)
    assert "event: complete" in answers[0], app.log.read_text()
    assert app.process.wait(10) == 0
    assert "Goodbye" in app.log.read_text()


def test_sigint_ends_at_once(app: App) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
    connection.request("GET", "/gradio_api/queue/data?session_hash=nobody")
    threading.Thread(target=lambda: generate_quietly(app), daemon=True).start()
    wait_for_long_call(app)
    started = time.monotonic()
    app.process.send_signal(signal.SIGINT)
    assert app.process.wait(20) == 0
    assert time.monotonic() - started < 10, "2 seconds on a machine that nothing else uses"
    connection.close()


def generate_quietly(app: App) -> None:
    try:
        generate(app, 99)
    except (OSError, http.client.HTTPException):
        return  # the app has ended, as it was told


def test_the_log_has_one_line_an_event_and_each_traceback_once(app: App) -> None:
    for _ in range(3):
        assert "event: error" in generate(app, 98)
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
    connection.request("GET", "/gradio_api/custom_component/x%0AFAKE/client/component/y")
    assert connection.getresponse().status == 404
    connection.close()
    app.process.send_signal(signal.SIGTERM)
    app.process.wait(20)
    lines = app.log.read_text().splitlines()
    assert not [line for line in lines if line.startswith(("FAKE", "Traceback", "  File"))]
    events = [json.loads(line) for line in lines if line.startswith("{")]
    errors = [event for event in events if "injected" in event.get("error", "")]
    assert [event.get("occurrences", 1) for event in errors] == [1, 2, 3]
    assert [("traceback" in event) for event in errors] == [True, False, False]
