"""Somebody else's site has the app: under a path of their application, behind nginx, with their login, in a frame."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from person import BLANK, Person
from support import App, behind_nginx, free_port, returning, wait_until_served
from walk import SEVEN, visitor, walk

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
MODEL = "mnist-dense-2d"
SITE = """
import sys
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from hfvae.demo import build_demo, mount

site = FastAPI()

@site.get("/", response_class=HTMLResponse)
def home():
    return "<h1>Ours</h1>"

@site.get("/favicon.ico", status_code=204)
def icon():
    pass

mount(site, build_demo(["mnist-dense-2d", "mnist-conv-32d"]), "/vae"{options})
uvicorn.run(site, port=int(sys.argv[1]), log_level="warning")
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Runs commands that serve an address, and ends them."""
    processes = []

    def run(url: str, *command: str) -> None:
        log = tmp_path / f"log{len(processes)}"
        with log.open("w") as output:
            processes.append(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ}))
        wait_until_served(url, processes[-1], log)

    yield run
    for process in reversed(processes):
        process.terminate()
        process.wait(20)


def site(tmp_path: Path, run: Callable[..., None], options: str = "") -> str:
    """The address of another application that has the app under /vae."""
    script, port = tmp_path / "site.py", free_port()
    script.write_text(SITE.format(options=options))
    run(f"http://127.0.0.1:{port}/", sys.executable, str(script), str(port))
    return f"http://127.0.0.1:{port}/"


def test_under_a_path_of_another_application(browser: Any, tmp_path: Path, run: Callable[..., None]) -> None:
    url = site(tmp_path, run)
    with visitor(browser, f"{url}vae/") as person:
        walk(person, models=2)
        person.page.goto(url)
        assert person.page.locator("h1").inner_text() == "Ours"


def test_behind_nginx_each_visitor_is_one(browser: Any, tmp_path: Path) -> None:
    models = ("--model", MODEL, "--model", "mnist-conv-32d")
    app = App(tmp_path / "log", *models, "--root_path", "/vae", "--forwarded_allow_ips", "127.0.0.1")
    visitors = "proxy_set_header X-Forwarded-For $remote_addr;"
    try:
        with (
            behind_nginx(tmp_path, f"127.0.0.1:{app.port}", location=visitors) as public,
            visitor(browser, public) as person,
        ):
            walk(person, models=2)
    finally:
        app.stop()


def test_with_a_login(browser: Any, tmp_path: Path, run: Callable[..., None]) -> None:
    url = site(tmp_path, run, options=', auth=("ada", "right")') + "vae/"
    page = returning(browser.new_page())
    page.goto(url)
    page.get_by_label("username").fill("ada")
    page.get_by_label("password").fill("right")
    page.get_by_role("button", name="Login").click()
    page.locator("#pad canvas").wait_for()
    person = Person(page, url)
    person.draw(*SEVEN)
    person.wait_for_change("#reconstruction", BLANK)
    assert person.mishaps == []
    page.close()


def test_in_a_frame_of_a_page_that_is_named(browser: Any, tmp_path: Path, run: Callable[..., None]) -> None:
    friend, stranger = free_port(), free_port()
    app = App(tmp_path / "log", "--model", MODEL, "--allow_origin", f"http://127.0.0.1:{friend}")
    frame = f'<iframe src="{app.url}" width="1000" height="800"></iframe>'
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text(frame)
    try:
        for port, shown in ((friend, True), (stranger, False)):
            serve = ("-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path / "page"))
            run(f"http://127.0.0.1:{port}/", sys.executable, *serve)
            page = returning(browser.new_page())
            page.goto(f"http://127.0.0.1:{port}/")
            inside = page.frame_locator("iframe").locator("#pad canvas")
            if shown:
                inside.wait_for(timeout=60_000)
            else:
                page.wait_for_load_state("networkidle")
                assert inside.count() == 0
            page.close()
    finally:
        app.stop()
