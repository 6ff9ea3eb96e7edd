"""The page for several people, on phones, in the dark, without a server and behind a proxy."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from person import BLANK, CONV, DENSE, Person
from support import App, behind_nginx, close, free_port

from hfvae import VAE

pytestmark = pytest.mark.browser


def test_two_people_at_once(app: App, browser: Any, vaes: dict[str, VAE]) -> None:
    contexts = [browser.new_context() for _ in range(2)]
    one, two = (Person(context.new_page(), app.url) for context in contexts)
    one.choose(CONV)
    two.choose(DENSE)
    for _ in range(3):
        one.draw((140, 40), (140, 240))
        two.draw((90, 70), (190, 70), (120, 220))
        for someone, model in ((one, CONV), (two, DENSE)):
            someone.wait_for_change("#reconstruction", BLANK)
            assert close(someone.settled("#reconstruction"), vaes[model], someone.z)
            someone.press("Clear")
            assert someone.settled("#seen") == BLANK
    assert len(one.z) == 32
    assert len(two.z) == 2
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [360, 390])
def test_on_a_phone(app: App, browser: Any, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, has_touch=True, is_mobile=True)
    person = Person(context.new_page(), app.url)
    box = person.page.locator("#pad canvas").bounding_box()
    touch = person.page.context.new_cdp_session(person.page)

    def finger(kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": box["x"] + x, "y": box["y"] + y, "id": i} for i, (x, y) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    side = box["width"]
    finger("touchStart", (0.5 * side, 0.9 * side))
    for step in range(21):
        finger("touchMove", (0.5 * side, (0.85 - 0.035 * step) * side))
    finger("touchEnd")
    person.wait_for_change("#reconstruction", BLANK)
    person.settled("#reconstruction")
    assert person.page.evaluate("window.scrollY") == 0, "drawing does not scroll"
    for place in ("#pad canvas", "#reconstruction canvas", ".hf-voted"):
        below = person.page.locator(place).evaluate("(it) => it.getBoundingClientRect().bottom")
        assert below <= 800, f"{place} is on the first screen"
    assert sum(person.pixels("#pad")[140::280]) > 200 * 255, "the stroke is whole"
    for tab in ("Sliders", "Latent map", "Compare", "Draw"):
        person.open(tab)
        assert person.page.evaluate("document.documentElement.scrollWidth") <= width, "no sideways scrolling"
    person.open_map()
    person.page.locator("#map canvas").scroll_into_view_if_needed()
    box, before = person.page.locator("#map canvas").bounding_box(), person.z
    finger("touchStart", (box["width"] * 0.3, 100))
    finger("touchMove", (box["width"] * 0.6, 120))
    finger("touchEnd")
    assert person.z != before, "a finger pins where it leaves"
    zoomed, z = person.settled("#map"), person.z
    finger("touchStart", (100, 100), (200, 200))
    finger("touchMove", (60, 60), (240, 240))
    finger("touchEnd")
    person.wait_for_change("#map", zoomed)
    assert person.z == z, "two fingers zoom, and pin nothing"
    context.close()


def luminance(colour: str) -> float:
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("theme", "dark"), [("light", False), ("dark", True)])
def test_light_and_dark(app: App, browser: Any, theme: str, dark: bool) -> None:
    context = browser.new_context()
    person = Person(context.new_page(), f"{app.url}?__theme={theme}")
    ground = luminance(person.page.evaluate("getComputedStyle(document.querySelector('gradio-app')).backgroundColor"))
    assert (ground < 60) is dark
    for place in ("h1", "figcaption b", ".hf-voted", "button[data-do=undo]"):
        ink = luminance(person.page.locator(place).first.evaluate("(it) => getComputedStyle(it).color"))
        assert abs(ink - ground) > 80, f"{place} can be read"
    context.close()


def test_starting_asks_no_other_machine(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\n"
        "ask = socket.getaddrinfo\n"
        f"open({str(tmp_path / 'hosts')!r}, 'a').write('localhost\\n')\n"
        "def noted(host, *rest, **more):\n"
        f"    open({str(tmp_path / 'hosts')!r}, 'a').write(f'{{host}}\\n')\n"
        "    return ask(host, *rest, **more)\n"
        "socket.getaddrinfo = noted\n"
    )
    app = App(tmp_path / "log", PYTHONPATH=str(tmp_path))
    with urllib.request.urlopen(app.url + "config", timeout=30) as answer:  # a visit, after all that starting does
        answer.read()
    app.stop()
    hosts = {host.removeprefix("b'").removesuffix("'") for host in (tmp_path / "hosts").read_text().split()}
    assert hosts <= {"127.0.0.1", "localhost", "0.0.0.0", "None"}


def test_a_dead_server_and_its_return(browser: Any, tmp_path: Path, vaes: dict[str, VAE]) -> None:
    port = free_port()
    app = App(tmp_path / "log", port=port)
    context = browser.new_context()
    person = Person(context.new_page(), app.url)
    app.stop()
    person.draw((140, 40), (140, 240))
    person.page.get_by_text("The server did not answer; trying again").first.wait_for()
    person.draw((60, 140), (220, 140))
    app = App(tmp_path / "log2", port=port)
    person.wait_for_change("#reconstruction", BLANK)
    assert close(person.settled("#reconstruction"), vaes[CONV], person.z), "what was drawn meanwhile is answered"
    assert person.page.locator("#toast").inner_text() == ""
    context.close()
    app.stop()


COPIES = """
  map $cookie_copy $copy {{ default $request_id; ~. $cookie_copy; }}
  upstream copies {{ hash $copy consistent; {servers} }}
"""
STICKY = 'add_header Set-Cookie "copy=$copy; Path=/vae/";'


def test_two_copies_behind_nginx(browser: Any, tmp_path: Path, vaes: dict[str, VAE]) -> None:
    copies = [App(tmp_path / f"log{i}", GRADIO_ROOT_PATH="/vae") for i in range(2)]
    shared = COPIES.format(servers=" ".join(f"server 127.0.0.1:{copy.port};" for copy in copies))
    try:
        with behind_nginx(tmp_path, "copies", http=shared, location=STICKY) as public:
            for _ in range(3):
                context = browser.new_context()
                person = Person(context.new_page(), public)
                person.draw((140, 40), (140, 240))
                person.wait_for_change("#reconstruction", BLANK)
                assert close(person.settled("#reconstruction"), vaes[CONV], person.z)
                context.clear_cookies()  # from now on any copy may answer
                person.open("Sliders")
                person.press("Random draw")
                assert close(person.settled("#generated"), vaes[CONV], person.z), "copies answer alike"
                assert person.mishaps == []
                context.close()
    finally:
        for copy in copies:
            copy.stop()
