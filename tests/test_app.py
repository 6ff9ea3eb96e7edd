"""The app: its work without a page, and the page in a real Chromium."""

from __future__ import annotations

import base64
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import REPOSITORY, TINY, App

from hfvae import hub, reconstruct
from hfvae.demo.session import PAD, Session
from hfvae.demo.widget import answering

DENSE, CONV = "mnist-dense-2d", "mnist-conv-32d"


def encoded(ink: torch.Tensor) -> str:
    return base64.b64encode(ink.to(torch.uint8).numpy().tobytes()).decode()


def decoded(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8).view(28, 28) / 255


def bar() -> torch.Tensor:
    ink = torch.zeros(PAD, PAD)
    ink[30:110, 65:78] = 255
    return ink


@pytest.fixture(scope="module")
def session() -> Session:
    return Session([DENSE, CONV], "cpu")


# The session


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_a_drawing_comes_back(session: Session, model: str) -> None:
    answer = session.reconstruct({"model": model, "ink": encoded(bar())})
    seen, picture = decoded(answer["seen"]), decoded(answer["reconstruction"])
    assert seen.max() > 0.5
    assert (seen - picture).abs().mean() < 0.1, "a bar is a one"
    vae = session.exhibits[model].vae
    assert len(answer["z"]) == vae.latent_dim
    torch.testing.assert_close(picture, reconstruct(vae, seen.view(1, 1, 28, 28))[0, 0], atol=0.05, rtol=0)
    assert session.decode({"model": model, "z": answer["z"]})["image"] == answer["reconstruction"]


def test_an_empty_pad_is_an_empty_state(session: Session) -> None:
    assert session.reconstruct({"model": DENSE, "ink": encoded(torch.zeros(PAD, PAD))}) == {"empty": True}


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_codes(session: Session, model: str) -> None:
    answer = session.codes({"model": model})
    dim = session.exhibits[model].vae.latent_dim
    sizes = {key: len(base64.b64decode(value)) for key, value in answer.items()}
    assert sizes == {"codes": 40_000 * dim, "labels": 10_000, "centre": 4 * dim, "directions": 8 * dim}


def test_the_most_active_latents_come_first(session: Session) -> None:
    two, many = session.describe()
    assert two["ranking"] == [0, 1]
    activity = session.exhibits[CONV].activity
    assert [activity[latent] for latent in many["ranking"]] == sorted(activity, reverse=True)


@pytest.mark.parametrize(
    ("function", "request_"),
    [
        ("decode", None),
        ("decode", []),
        ("decode", {"model": "../etc", "z": [0, 0]}),
        ("decode", {"model": ["a"], "z": [0, 0]}),
        ("decode", {"model": DENSE}),
        ("decode", {"model": DENSE, "z": [0]}),
        ("decode", {"model": DENSE, "z": [0, math.nan]}),
        ("decode", {"model": DENSE, "z": [0, 1e30]}),
        ("decode", {"model": DENSE, "z": [0, "1"]}),
        ("decode", {"model": DENSE, "z": [True, 0]}),
        ("reconstruct", {"model": DENSE}),
        ("reconstruct", {"model": DENSE, "ink": "abc"}),
        ("reconstruct", {"model": DENSE, "ink": "!" * len(encoded(torch.zeros(PAD, PAD)))}),
        ("reconstruct", {"model": DENSE, "ink": "A" * 10**7}),
        ("codes", {"model": "nothing"}),
    ],
)
def test_bad_requests_get_a_sentence(session: Session, function: str, request_: Any) -> None:
    answer = answering(getattr(session, function))(request_)
    assert list(answer) == ["error"]
    assert "must" in answer["error"]


def test_a_model_without_codes_has_no_map(tmp_path: Path) -> None:
    TINY["dense"]().save_pretrained(tmp_path)
    session = Session([str(tmp_path)], "cpu")
    assert session.describe()[0]["hasMap"] is False
    assert "no map" in answering(session.codes)({"model": str(tmp_path)})["error"]


def test_codes_of_another_model_are_refused(tmp_path: Path) -> None:
    TINY["dense"]().save_pretrained(tmp_path)
    hub.write_latents(tmp_path, hub.Latents(torch.randn(5, 3), torch.arange(5)))
    assert "codes of 3 latents and a model of 2" in Session([str(tmp_path)], "cpu").problems[0]


def test_one_bad_model_costs_a_message_not_the_start(tmp_path: Path) -> None:
    session = Session([str(tmp_path), DENSE], "cpu")
    assert list(session.exhibits) == [DENSE]
    assert str(tmp_path) in session.problems[0]
    none = Session([str(tmp_path)], "cpu")
    assert sorted(none.exhibits) == [CONV, DENSE]
    assert "in the box are shown instead" in none.problems[-1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_asked_for_where_there_is_none() -> None:
    command = [sys.executable, "app.py", "--device", "cuda"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert "torch finds no CUDA device" in done.stderr
    assert "Traceback" not in done.stderr


# The page


class Person:
    """Somebody at the page."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.outside: list[str] = []
        self.mishaps: list[str] = []
        page.on("request", lambda request: self.note(request.url))
        page.on("pageerror", lambda error: self.mishaps.append(str(error)))
        page.goto(url)
        page.wait_for_function("document.documentElement.dataset.ready")

    def note(self, url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.outside.append(url)

    def pixels(self, place: str) -> list[int]:
        return self.page.evaluate(
            """(place) => {
                const canvas = document.querySelector(place + " canvas");
                const rgba = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
                return Array.from(rgba).filter((_, i) => i % 4 === 0);
            }""",
            place,
        )

    def wait_for_change(self, place: str, before: list[int]) -> list[int]:
        for _ in range(100):
            now = self.pixels(place)
            if now != before:
                return now
            self.page.wait_for_timeout(100)
        raise AssertionError(f"{place} stayed as it was")

    def settled(self, place: str) -> list[int]:
        """The picture once it has stopped changing."""
        before = self.pixels(place)
        for _ in range(50):
            self.page.wait_for_timeout(200)
            now = self.pixels(place)
            if now == before:
                return now
            before = now
        raise AssertionError(f"{place} does not come to rest")

    def draw(self, *points: tuple[int, int]) -> None:
        box = self.page.locator("#pad canvas").bounding_box()
        mouse = self.page.mouse
        mouse.move(box["x"] + points[0][0], box["y"] + points[0][1])
        mouse.down()
        for x, y in points[1:]:
            mouse.move(box["x"] + x, box["y"] + y, steps=6)
        mouse.up()

    def choose(self, model: str) -> None:
        self.page.locator("#model").select_option(model)

    def open(self, tab: str) -> None:
        self.page.get_by_role("tab", name=tab).click()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    app = App(tmp_path_factory.mktemp("app") / "log")
    yield app
    app.stop()
    assert "Traceback" not in app.log.read_text()


@pytest.fixture
def person(app: App, browser: Any) -> Iterator[Person]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    person = Person(context.new_page(), app.url)
    yield person
    assert person.outside == [], "no request leaves the machine"
    assert person.mishaps == []
    context.close()


@pytest.mark.browser
def test_drawing_a_seven(person: Person) -> None:
    blank = person.pixels("#seen")
    assert not any(blank), "an empty pad shows nothing"
    person.draw((90, 70), (190, 70), (120, 220))
    person.wait_for_change("#reconstruction", blank)
    seen, reconstruction = person.settled("#seen"), person.settled("#reconstruction")
    assert sum(seen) > 10_000
    assert sum(abs(a - b) for a, b in zip(seen, reconstruction, strict=True)) / 784 < 40
    if folder := os.environ.get("HFVAE_SCREENSHOTS"):
        person.page.screenshot(path=Path(folder) / "draw.png")
    person.page.get_by_role("button", name="Clear").click()
    assert not any(person.wait_for_change("#seen", seen))


@pytest.mark.browser
def test_undo(person: Person) -> None:
    person.draw((140, 40), (140, 240))
    one = person.settled("#seen")
    person.draw((60, 140), (220, 140))
    person.wait_for_change("#seen", one)
    two = person.settled("#seen")
    person.page.get_by_role("button", name="Undo").click()
    person.wait_for_change("#seen", two)
    assert person.settled("#seen") == one


@pytest.mark.browser
def test_sliders(person: Person) -> None:
    person.choose(DENSE)
    person.open("Sliders")
    person.wait_for_change("#generated", [0] * 784)
    first = person.settled("#generated")
    sliders = person.page.locator("#sliders input[type=range]")
    assert sliders.count() == 2
    sliders.first.focus()
    for _ in range(60):
        person.page.keyboard.press("ArrowRight")
    person.wait_for_change("#generated", first)
    moved = person.settled("#generated")
    person.page.get_by_role("button", name="Mean").click()
    person.wait_for_change("#generated", moved)
    assert person.settled("#generated") == first


@pytest.mark.browser
def test_map_click_decodes_and_moves_the_sliders(person: Person) -> None:
    person.choose(DENSE)
    person.open("Latent map")
    person.page.wait_for_function(
        """() => document.querySelector("#map canvas").getContext("2d")
                 .getImageData(0, 0, 560, 560).data.some((value) => value > 0)"""
    )
    before = person.pixels("#decoded")
    box = person.page.locator("#map canvas").bounding_box()
    person.page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.45)
    person.wait_for_change("#decoded", before)
    shown = person.settled("#decoded")
    person.open("Sliders")
    assert person.settled("#generated") == shown
    assert float(person.page.locator("#sliders input").first.input_value()) > 0


@pytest.mark.browser
def test_switching_the_model(person: Person) -> None:
    person.choose(DENSE)
    person.draw((140, 40), (140, 240))
    person.wait_for_change("#reconstruction", [0] * 784)
    two = person.settled("#reconstruction")
    person.choose(CONV)
    person.wait_for_change("#reconstruction", two)
    person.open("Sliders")
    inputs = person.page.locator("#sliders input[type=range]")
    assert inputs.count() == 32
    assert person.page.locator("#sliders input[type=range]:visible").count() == 10
    person.page.get_by_role("button", name="Show the 22 less active").click()
    assert person.page.locator("#sliders input[type=range]:visible").count() == 32
    person.open("Latent map")
    assert "projection" in person.page.locator(".hf-note").inner_text()


@pytest.mark.browser
def test_on_a_phone(app: App, browser: Any) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    person = Person(context.new_page(), app.url)
    person.draw((140, 40), (140, 240))
    person.wait_for_change("#reconstruction", [0] * 784)
    width = person.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, "no sideways scrolling"
    context.close()


@pytest.mark.browser
def test_a_dead_server_is_said(browser: Any, tmp_path: Path) -> None:
    app = App(tmp_path / "log")
    context = browser.new_context()
    person = Person(context.new_page(), app.url)
    app.stop()
    person.draw((140, 40), (140, 240))
    person.page.get_by_text("The server did not answer").first.wait_for()
    context.close()
