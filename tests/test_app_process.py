"""The app as a process: readiness, signals, and its log."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import REPOSITORY, App, free_port, wait_until_served

SLOW_APP = """
import os, sys, time
from hfvae import VAE, inference
from hfvae.cli import app
from hfvae.demo.serving import server
server.PATIENCE = float(os.environ["PATIENCE"])
decode_image = VAE.decode_image
def slow(self, z):
    if len(z) == 99:
        print("a long call runs", flush=True)
        time.sleep(2)
    if len(z) == 97:
        print("a long call runs", flush=True)
        time.sleep(60)
    if len(z) == 98:
        raise RuntimeError("injected\\nFAKE line")
    return decode_image(self, z)
VAE.decode_image = slow
app.main(["--model", "mnist-dense-2d", *sys.argv[1:]])
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., App]]:
    """Starts an app that waits some seconds for running calls, in an environment with a proxy that is dead."""
    script = tmp_path / "slow.py"
    script.write_text(SLOW_APP)
    apps: list[App] = []

    def started(patience: float) -> App:
        proxy = "http://127.0.0.1:9"
        apps.append(App(tmp_path / "log", script=script, PATIENCE=str(patience), http_proxy=proxy, https_proxy=proxy))
        return apps[-1]

    yield started
    for app in apps:
        app.process.kill()
        app.process.wait()


@pytest.fixture
def app(start: Callable[..., App]) -> App:
    return start(patience=30)


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
    threading.Thread(target=generate_quietly, args=(app, 97), daemon=True).start()
    wait_for_long_call(app)
    started = time.monotonic()
    app.process.send_signal(signal.SIGINT)
    assert app.process.wait(20) == 0
    assert time.monotonic() - started < 20, "it would wait half a minute"


def test_a_second_signal_ends_at_once(app: App) -> None:
    threading.Thread(target=generate_quietly, args=(app, 97), daemon=True).start()
    wait_for_long_call(app)
    app.process.send_signal(signal.SIGTERM)
    while json.loads(get(app, "healthz")[1])["status"] != "stopping":
        time.sleep(0.05)
    app.process.send_signal(signal.SIGTERM)
    assert app.process.wait(20) == 0, "the call would take a minute, and the app would wait half of one"


def test_what_visitors_keep_open_does_not_hold_it_up(start: Callable[..., App]) -> None:
    app = start(patience=0.5)
    threading.Thread(target=generate_quietly, args=(app, 97), daemon=True).start()  # with its stream
    wait_for_long_call(app)
    body = b"POST /gradio_api/component_server HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    begun = [
        b"",
        b"GET / HT",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        body + b"Content-Length: 9\r\n\r\n{",
    ]
    with contextlib.ExitStack() as stack:
        for sent in begun:
            stack.enter_context(socket.create_connection(("127.0.0.1", app.port))).sendall(sent)
        time.sleep(0.5)
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(20) == 0
    assert "Traceback" not in app.log.read_text()


def test_silent_connections_keep_nobody_out(app: App) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(700):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", app.port)))
            if number % 2:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        assert get(app, "healthz")[0] == 200


def generate_quietly(app: App, count: int) -> None:
    try:
        generate(app, count)
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


def test_reload_mode(tmp_path: Path) -> None:
    script, log, port = tmp_path / "app.py", tmp_path / "log", free_port()
    script.write_text((REPOSITORY / "app.py").read_text())
    settings = {"GRADIO_SERVER_PORT": str(port), "HFVAE_MODELS": "mnist-dense-2d", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", "from gradio.cli import cli; cli()", "app.py"]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_served(f"http://127.0.0.1:{port}/healthz", process, log)
        before = config_of(port)
        script.write_text(script.read_text().replace("demo = main()", 'demo = main(["--model", "mnist-conv-32d"])'))
        end = time.monotonic() + 100
        while config_of(port) == before:
            assert time.monotonic() < end, log.read_text()
            time.sleep(1)
            script.touch()  # it is watched from some moment on
        assert "mnist-conv-32d" in config_of(port)
        assert "failed" not in log.read_text()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def config_of(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/config", timeout=30) as answer:
        return answer.read().decode()
