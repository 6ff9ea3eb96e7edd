"""What strangers may try on a running app: other files, secrets, needless routes, markup in cards and names."""

from __future__ import annotations

import http.client
import json
import os
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import REPOSITORY, TINY, App

from hfvae import hub

SECRET = "hf_thisIsNobodysToken"
MARKUP = """---
license: mit
---

# Card

<script>window.hacked = 1</script>
<img src="x" onerror="window.hacked = 2">
<iframe src="javascript:parent.hacked = 3"></iframe>
<svg onload="window.hacked = 4"></svg>
<a id="link" href="javascript:window.hacked = 5">press</a> and [press too](javascript:window.hacked=6)
<style>body { display: none }</style>
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app beside a secret, with a model whose name and card bring markup along. Its log may hold tracebacks: Gradio
    writes one for a function that is none of the page's.
    """
    root = tmp_path_factory.mktemp("root")
    (root / "secret.txt").write_text(SECRET)
    folder = root / "<img src=x onerror='window.hacked = 7'>"
    TINY["dense"]().save_pretrained(folder)
    (folder / hub.CARD).write_text(MARKUP)
    (root / "link.txt").symlink_to(root / "secret.txt")
    environment = {"HF_TOKEN": SECRET, "HF_HUB_OFFLINE": "1", "GRADIO_TEMP_DIR": str(root / "temp")}
    app = App(
        root / "log", "--model", "mnist-dense-2d", "--model", str(folder), "--model", str(root / "none"), **environment
    )
    app.root = root  # type: ignore[attr-defined]
    yield app
    app.stop()


def ask(app: App, path: str, method: str = "GET", body: Any = None) -> tuple[int, str]:
    """The path as it is: urllib would tidy it up."""
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
    headers = {"Content-Type": "application/json"} if body is not None else {}
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    response = connection.getresponse()
    text = response.read(5_000_000).decode("utf-8", "replace")
    connection.close()
    return response.status, text


def told(text: str, app: App) -> list[str]:
    """What of this machine's own a text gives away."""
    own = [SECRET, str(app.root), str(REPOSITORY), str(Path.home()) + "/", "Traceback", "site-packages"]  # type: ignore[attr-defined]
    return [word for word in own if word in text]


@pytest.mark.parametrize("prefix", ["/gradio_api/file=", "/gradio_api/file/", "/static/", "/assets/", "/svelte/"])
def test_no_other_file_is_served(app: App, prefix: str) -> None:
    root, relative = app.root, os.path.relpath(app.root, REPOSITORY)  # type: ignore[attr-defined]
    files = [root / "secret.txt", root / "link.txt", root / "log", REPOSITORY / "pyproject.toml", "/etc/passwd"]
    ways = [
        *map(str, files),
        f"{relative}/secret.txt",
        "pyproject.toml",
        "app.py",
        "..",
        *("../" * depth + "etc/passwd" for depth in (1, 8, 12)),
        "....//....//....//etc/passwd",
        "..\\..\\etc\\passwd",
        f"file://{root}/secret.txt",
        f"/proc/self/root{root}/secret.txt",
        "/proc/self/environ",
    ]
    for way in ways:
        once = urllib.parse.quote(way, safe="")
        for path in {urllib.parse.quote(way), once, once.replace(".", "%2e"), urllib.parse.quote(once, safe="")}:
            status, text = ask(app, prefix + path)
            assert status >= 400, (path, text[:200])
            assert told(text.replace(way, ""), app) == [], path


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gradio_api/upload"),
        ("GET", "/gradio_api/deep_link?session_hash=x"),
        ("GET", "/gradio_api/proxy=http://127.0.0.1:1/x"),
        ("POST", "/gradio_api/stream/x"),
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/vibe-edit"),
        ("GET", "/gradio_api/dev/reload"),
        ("GET", "/monitoring"),
        ("GET", "/monitoring/summary"),
        ("GET", "/gradio_api/runs"),
        ("GET", "/gradio_api/run-history/buckets"),
        ("GET", "/docs"),
        ("GET", "/redoc"),
    ],
)
def test_what_the_page_does_not_need_is_closed(app: App, method: str, path: str) -> None:
    status, text = ask(app, path, method, {} if method == "POST" else None)
    assert status == 404, text[:300]


def test_nothing_of_this_machine_is_told(app: App) -> None:
    draw = next(
        component["id"]
        for component in json.loads(ask(app, "/config")[1])["components"]
        if component["props"].get("elem_id") == "draw-widget"
    )
    call = {"component_id": draw, "fn_name": "decode", "session_hash": "x"}
    for method, path, body in (
        ("GET", "/", None),
        ("GET", "/config", None),
        ("GET", "/gradio_api/info", None),
        ("GET", "/gradio_api/startup-events", None),
        ("GET", "/nowhere", None),
        ("GET", "/theme.css", None),
        ("POST", "/gradio_api/component_server", {**call, "data": {"model": "../..", "z": []}}),
        ("POST", "/gradio_api/component_server", {**call, "data": {"model": "mnist-dense-2d", "z": [[1, "x"]]}}),
        ("POST", "/gradio_api/component_server", {**call, "fn_name": "nothing", "data": {}}),
        ("POST", "/gradio_api/component_server", {"nonsense": True}),
        ("POST", "/gradio_api/component_server", [1]),
        ("POST", "/gradio_api/queue/join", {"fn_index": 10**9, "data": [], "session_hash": "x"}),
        ("POST", "/gradio_api/run/generate", {"data": ["nobody"]}),
        ("POST", "/gradio_api/call/nothing", {"data": []}),
    ):
        assert told(ask(app, path, method, body)[1], app) == [], path


@pytest.mark.browser
def test_markup_in_cards_and_names_does_nothing(app: App, browser: Any) -> None:
    page = browser.new_page()
    page.goto(app.url)
    page.wait_for_function("document.documentElement.dataset.ready")
    page.locator("#model").select_option(index=1)
    page.get_by_role("button", name="Model card", exact=True).click()
    page.get_by_role("heading", name="Card", exact=True).wait_for()
    for link in page.locator("#card a").all():
        assert not (link.get_attribute("href") or "").startswith("javascript:")
    page.wait_for_load_state("networkidle")  # images and scripts of the card would have been tried
    assert page.evaluate("window.hacked") is None
    assert page.locator("#pad").is_visible(), "a card's styles reach nothing"
    page.close()
