"""The application in process: what is open to whom, mounted, launched, nested; its server's settings."""

from __future__ import annotations

import asyncio
import gc
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import gradio as gr
import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from gradio_client import Client
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from support import free_port, widget_call

from hfvae.demo import application, build_demo, mount
from hfvae.demo.serving import middleware, server
from hfvae.demo.serving.mcp import prepare

pytestmark = [
    # Gradio leaves event loops and their sockets open, and uses an option of pandas that is deprecated
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting"),
]
MODEL = "mnist-dense-2d"
FRIEND, STRANGER = "https://friend.example", "https://stranger.example"
LISTED = {
    *(
        "/",
        "/assets/{path}",
        "/config",
        "/favicon.ico",
        "/manifest.json",
        "/robots.txt",
        "/static/{path}",
        "/theme.css",
    ),
    "/gradio_api/call/v2/{api_name}",
    "/gradio_api/call/v2/{api_name}/{event_id}",
    "/gradio_api/call/{api_name}",
    "/gradio_api/call/{api_name}/{event_id}",
    "/gradio_api/cancel",
    "/gradio_api/component_server",
    "/gradio_api/info",
    "/gradio_api/queue/data",
    "/gradio_api/queue/join",
}
"""Gradio's routes that are open."""


@pytest.fixture(autouse=True, scope="module")
def swept() -> Iterator[None]:
    """What Gradio leaves open is found here, and not in another test."""
    yield
    gc.collect()


def in_a_loop(coroutine: Any) -> Any:
    """What it returns; this thread may have a browser's event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def build() -> Any:
    return build_demo([MODEL], "cpu")


def visit(**options: Any) -> TestClient:
    return TestClient(application(build(), **options), base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def visitor() -> Iterator[TestClient]:
    with visit() as client:
        yield client


# What is open


def test_gradios_routes_are_closed_but_for_those_listed(visitor: TestClient) -> None:
    gradio = visitor.app.routes[-1].app  # type: ignore[attr-defined]
    described = {path: list(verbs) for path, verbs in gradio.openapi()["paths"].items()}
    described |= {route.path: list(route.methods) for route in gradio.routes if hasattr(route, "methods")}
    assert len(described) > 60
    found = set()
    for path, verbs in described.items():
        plain = path.replace(":path}", "}")
        if plain.rstrip("/") in LISTED or plain == "/":
            found.add(plain.rstrip("/") or "/")
            continue
        for verb in verbs:
            answer = visitor.request(verb, re.sub(r"{[^}]*}", "x", path), json={} if verb.lower() == "post" else None)
            assert answer.status_code == 404, (verb, path)
    assert found == LISTED, "the list has no route that Gradio has not"


def test_the_list_has_the_login_only_where_there_is_one() -> None:
    form = {"username": "ada", "password": "right"}
    with visit() as client:
        assert client.post("/login", json={}).status_code == 404
    with visit(auth=("ada", "right")) as client:
        assert client.get("/config").status_code == 401
        assert client.post("/login", data={**form, "password": "wrong"}).status_code == 400
        assert client.post("/login", data=form).json() == {"success": True}
        assert client.get("/config").status_code == 200
        assert client.post("/gradio_api/component_server", data=form).status_code == 415


@pytest.mark.parametrize("hosts", [None, middleware.LOCAL_HOSTS], ids=["public", "local"])
def test_no_other_page_is_let_in(hosts: Any) -> None:
    preflight = {"Origin": STRANGER, "Access-Control-Request-Method": "POST"}
    with visit(hosts=hosts, allow_origins=[FRIEND]) as client:
        assert client.get("/config", headers={"Origin": STRANGER}).status_code == (200 if hosts is None else 403)
        for answer in (client.get("/config", headers=preflight), client.options("/config", headers=preflight)):
            assert "access-control-allow-origin" not in answer.headers
            assert "access-control-allow-credentials" not in answer.headers
            assert STRANGER not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("hosts", [None, middleware.LOCAL_HOSTS], ids=["public", "local"])
def test_pages_that_are_named_may_call_and_embed(hosts: Any) -> None:
    asked = {
        "Origin": FRIEND,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    with visit(hosts=hosts, allow_origins=[FRIEND]) as client:
        preflight = client.options("/gradio_api/component_server", headers=asked)
        assert preflight.status_code == 200
        assert "POST" in preflight.headers["access-control-allow-methods"]
        config = client.get("/config", headers={"Origin": FRIEND})
        assert config.headers["access-control-allow-origin"] == FRIEND
        call = widget_call(config.json())
        answer = client.post("/gradio_api/component_server", json=call, headers={"Origin": FRIEND})
        assert answer.json().keys() == {"images"}
        assert answer.headers["access-control-allow-origin"] == FRIEND
        assert f"frame-ancestors 'self' {FRIEND}" in answer.headers["content-security-policy"]


def test_forwarded_headers_are_believed_where_a_proxy_is_trusted() -> None:
    forged = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Gradio-Server": "http://evil.example",
    }
    with visit(forwarded=False) as client:
        assert client.get("/config", headers=forged).json()["root"] == "http://127.0.0.1"
    with visit(forwarded=True) as client:
        assert client.get("/config", headers=forged).json()["root"] == "https://evil.example"


def test_a_body_that_does_not_arrive_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "BODY_TIMEOUT", 0.05)
    statuses = []

    async def silent() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    async def never(*_: Any) -> None:
        raise AssertionError("it is not let through")

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/x", "query_string": b"", "headers": headers}
    in_a_loop(middleware.RequestRules(never)(scope, silent, send))
    assert statuses[0] == 408


def test_all_calls_of_the_page_share_one_session(visitor: TestClient) -> None:
    call = widget_call(visitor.get("/config").json())
    for number in range(5):
        visitor.post("/gradio_api/component_server", json={**call, "session_hash": f"s{number}"})
    gradio = visitor.app.routes[-1].app  # type: ignore[attr-defined]
    assert list(gradio.state_holder.session_data) == ["page"]
    assert gradio.state_holder.capacity == 16


def test_one_visitor_cannot_hold_all_requests() -> None:
    async def main() -> list[int]:
        statuses: list[int] = []
        release = asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            await release.wait()
            await send({"type": "http.response.start", "status": 200})

        async def send(message: Any) -> None:
            if "status" in message:
                statuses.append(message["status"])

        calls: Any = SimpleNamespace(waiting=lambda who: 0)
        shares = middleware.VisitorShares(slow, calls)

        def ask(client: str, path: str) -> Any:
            scope = {"type": "http", "method": "GET", "path": path, "client": (client, 1)}
            return asyncio.create_task(shares(scope, None, send))  # type: ignore[arg-type]

        tasks = [ask("10.0.0.1", "/") for _ in range(middleware.MAX_REQUESTS_PER_VISITOR + 10)]
        tasks += [ask("10.0.0.2", "/gradio_api/queue/data") for _ in range(middleware.MAX_STREAMS_PER_VISITOR + 10)]
        tasks += [ask("10.0.0.3", "/")]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        refused = len(statuses)
        release.set()
        await asyncio.gather(*tasks)
        assert not shares._open
        return [refused, statuses.count(200), statuses.count(503)]

    most = middleware.MAX_REQUESTS_PER_VISITOR + middleware.MAX_STREAMS_PER_VISITOR + 1
    assert in_a_loop(main()) == [20, most, 20]


# Mounted in another application


def test_mounted_it_is_whole() -> None:
    demo, parent = build(), FastAPI()
    mount(parent, demo, "/vae")

    @parent.get("/")
    def own() -> str:
        return "own"

    with TestClient(parent) as client:
        assert client.get("/").json() == "own"
        assert client.get("/docs").status_code == 200, "the other application's own"
        assert client.get("/vae/healthz").json()["models"] == [MODEL]
        config = client.get("/vae/config").json()
        assert config["root"] == "http://testserver/vae"
        assert config["i18n_translations"]["de"]["Draw"] == "Zeichnen"
        assert client.get("/vae/").status_code == 200
        [model] = demo.registry.describe()
        assert client.get(f"/vae/{model['decoder']['address']}").status_code == 200
        answer = client.post("/vae/gradio_api/component_server", json=widget_call(config))
        assert answer.json().keys() == {"images"}
        event = client.post("/vae/gradio_api/call/models", json={"data": []}).json()["event_id"]
        assert "event: complete" in client.get(f"/vae/gradio_api/call/models/{event}").text
        assert client.post("/vae/gradio_api/upload", json={}).status_code == 404
        assert client.post("/vae/gradio_api/component_server", content="x").status_code == 415
        assert "frame-ancestors 'self'" in client.get("/vae/").headers["content-security-policy"]
        assert "content-security-policy" not in client.get("/").headers


# A plain Gradio app


@pytest.fixture
def launched() -> Iterator[Any]:
    """Launches Blocks with some options, in a thread that is not the main one, as a notebook's; returns a client."""
    opened: list[Any] = []

    def launch(demo: gr.Blocks, **options: Any) -> httpx.Client:
        given = {"server_port": free_port(), "prevent_thread_lock": True, "quiet": True, **options}
        thread = threading.Thread(target=demo.launch, kwargs=given)
        thread.start()
        thread.join(60)
        client = httpx.Client(base_url=demo.local_url, timeout=30, trust_env=False)
        opened.extend([client, demo])
        return client

    yield launch
    for one in opened:
        one.close()


def test_launched_with_a_login(launched: Any) -> None:
    client = launched(build(), auth=("ada", "right"))
    assert client.get("config").status_code == 401
    assert client.post("login", data={"username": "ada", "password": "right"}).json() == {"success": True}
    assert client.get("config").status_code == 200


def test_launched_with_a_theme_and_routes(launched: Any) -> None:
    client = launched(build(), theme=gr.themes.Monochrome(), app_kwargs={"title": "mine"}, footer_links=["gradio"])
    config = client.get("config").json()
    assert config["footer_links"] == ["gradio"]
    assert config["i18n_translations"]["en"]["Draw"] == "Draw"
    assert client.get("healthz").json()["models"] == [MODEL]
    assert "font-family: 'Lora'" in client.get("theme.css").text
    answer = client.post("gradio_api/component_server", json=widget_call(config))
    assert answer.json().keys() == {"images"}
    named = Client(str(client.base_url), verbose=False)
    assert named.predict(api_name="/models")[0]["name"] == MODEL


def test_launched_with_a_public_link(launched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gr.blocks.networking, "setup_tunnel", lambda **_: "https://shared.example")
    demo = build()
    launched(demo, share=True, share_server_address="127.0.0.1:1")
    assert demo.share_url.endswith("://shared.example")


def nested() -> gr.Blocks:
    with gr.Blocks() as outer:
        gr.Markdown("# Ours")
        build().render()
    return outer


def tabbed() -> gr.Blocks:
    return gr.TabbedInterface([build(), gr.Interface(lambda text: text, "text", "text")], ["vae", "echo"])


@pytest.mark.parametrize("outer", [nested, tabbed])
def test_inside_other_blocks(outer: Any, launched: Any) -> None:
    client = launched(outer())
    config = client.get("config").json()
    assert client.get("").status_code == 200
    answer = client.post("gradio_api/component_server", json=widget_call(config))
    assert answer.json().keys() == {"images"}
    named = Client(str(client.base_url), verbose=False)
    assert named.predict(api_name="/models")[0]["name"] == MODEL


# The server


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the visitor's address."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["client"][0].encode()})


@pytest.fixture
def serving() -> Iterator[Any]:
    """Serves an application by the app's settings; returns its address."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def serve(trusted: str | None) -> str:
        settings = server.settings(echo, trusted)
        settings.lifespan = "off"
        listener = server.listen("127.0.0.1", free_port())
        one = uvicorn.Server(settings)
        thread = threading.Thread(target=one.run, kwargs={"sockets": [listener]})
        thread.start()
        running.append((one, thread))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield serve
    for one, thread in running:
        one.should_exit = True
        thread.join(10)


@pytest.mark.parametrize(
    ("trusted", "seen"), [(None, "127.0.0.1"), ("10.0.0.1", "127.0.0.1"), ("127.0.0.1", "1.2.3.4"), ("*", "6.6.6.6")]
)
def test_whose_word_is_taken_for_a_visitors_address(serving: Any, trusted: str | None, seen: str) -> None:
    forged = {"X-Forwarded-For": "6.6.6.6, 1.2.3.4"}
    assert httpx.get(serving(trusted), headers=forged, trust_env=False).text == seen


def test_the_next_free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_SERVER_PORT", raising=False)
    monkeypatch.setattr(server, "PORT", free_port())
    first, second = server.listen("127.0.0.1", None), server.listen("127.0.0.1", None)
    with first, second:
        assert second.getsockname()[1] > first.getsockname()[1]
        with pytest.raises(OSError, match="no free port"):
            server.listen("127.0.0.1", first.getsockname()[1])


def test_a_public_link(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        server.networking, "setup_tunnel", lambda *given: asked.append(given) or "https://shared.example"
    )
    assert server.public_link("127.0.0.1", 7860) == "Running on public URL: https://shared.example"
    assert asked[0][:2] == ("127.0.0.1", 7860)
    monkeypatch.setattr(server.networking, "setup_tunnel", lambda *_: 1 / 0)
    assert server.public_link("127.0.0.1", 7860).startswith("There is no public link")


def test_pictures_for_language_models() -> None:
    types = SimpleNamespace(ImageContent=lambda **parts: ("image", parts["data"]))
    tools = SimpleNamespace(types=types, postprocess_output_data=lambda data, root: [("text", str(data[0]))])
    prepare(tools, "http://127.0.0.1:7860")
    assert tools._local_url == "http://127.0.0.1:7860"
    data = [["data:image/png;base64,QUJD", "data:image/png;base64,REVG"], "words"]
    assert tools.postprocess_output_data(data, "") == [("image", "QUJD"), ("image", "REVG"), ("text", "words")]
    from gradio.mcp import GradioMCPServer  # a release without this method shows no pictures

    assert callable(GradioMCPServer.postprocess_output_data)
    assert "_local_url" in GradioMCPServer.local_url.fget.__code__.co_names
    with pytest.raises(ValueError, match="local_url"):
        application(build(), mcp=True)
