"""A link: draw, move the point, copy, open as somebody else, reload, go back: the same image, point and drawing."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from person import BLANK, CONV, DENSE, Person, alike
from PIL import Image, ImageDraw
from support import App, close

from hfvae import VAE

pytestmark = pytest.mark.browser
LONGEST = 4000
"""Characters of an address that all programs pass on."""


def draw_an_eight(person: Person) -> None:
    person.draw((190, 70), (120, 50), (100, 100), (180, 170), (160, 230), (105, 215), (115, 160), (190, 75))
    person.wait_for_change("#reconstruction", BLANK)
    person.settled("#reconstruction")


def nothing(person: Person) -> None:
    """The point stays the drawing's own."""


def slide(person: Person) -> None:
    person.open("Sliders")
    slider = person.page.locator("#sliders label[style='order: 0;'] input")
    slider.fill(str(float(slider.input_value()) + 1.2345678))


def click_the_map(person: Person) -> None:
    person.open_map()
    person.page.mouse.click(*person.point_at("#map canvas", 0.62, 0.42))


def sample_the_prior(person: Person) -> None:
    person.open("Sliders")
    person.page.locator("#prior .hf-cell").nth(3).click()


def morph(person: Person) -> None:
    person.press("Keep as A")
    person.open("Sliders")
    person.press("Random draw")
    person.settled("#generated")
    person.page.locator("[data-keep=b].hf-end").click()
    person.page.locator("[data-do=path]").select_option("line")
    person.page.locator("#scrubber").fill("0.4")


def calculate(person: Person) -> None:
    person.open("Sliders")
    for end in ("a", "b", "c"):
        person.settled("#generated")
        person.page.locator(f"[data-keep={end}].hf-end").click()
        person.press("Random draw")
    person.page.locator("[data-do=arithmetic]").click()


def photograph() -> bytes:
    """A small seven, dark on grey paper."""
    paper = Image.new("L", (640, 480), 200)
    ImageDraw.Draw(paper).line([(300, 120), (380, 120), (330, 260)], fill=40, width=18, joint="curve")
    file = io.BytesIO()
    paper.save(file, "PNG")
    return file.getvalue()


def open_a_photograph(person: Person) -> None:
    file = {"name": "seven.png", "mimeType": "image/png", "buffer": photograph()}
    person.page.locator("[data-do=open]").set_input_files(file)
    person.wait_for_change("#reconstruction", BLANK)
    person.settled("#reconstruction")


def draw_over_a_test_image(person: Person) -> None:
    person.page.locator("#digits .hf-cell").nth(4).click()
    person.wait_for_change("#reconstruction", BLANK)
    person.draw((60, 140), (220, 140))
    person.settled("#reconstruction")


def draw_off_the_pad(person: Person) -> None:
    person.draw((40, 200), (140, -50), (270, 290), (20, 60))
    person.wait_for_change("#reconstruction", BLANK)
    person.settled("#reconstruction")


class Sight:
    """What the page shows of its state: the pad, what the model sees, the point and its image."""

    def __init__(self, person: Person) -> None:
        person.open("Draw")
        self.image = person.settled("#reconstruction")
        self.pad, self.seen = person.pixels("#pad"), person.settled("#seen")
        self.z = person.z
        self.told = [person.page.locator(place).inner_text() for place in (".hf-source", ".hf-voted", ".hf-percentile")]

    def is_shown_to(self, person: Person) -> None:
        if self.seen != BLANK:
            person.page.wait_for_function("hfvae.state.judged")
        other = Sight(person)
        assert other.pad == self.pad
        assert other.seen == self.seen
        assert other.z == pytest.approx(self.z, abs=1e-5)
        assert alike(other.image, self.image)
        assert other.told == self.told


@pytest.fixture
def somebody_else(browser: Any) -> Iterator[Callable[[str], Person]]:
    """Opens an address in another browser, as someone who has never been here."""
    contexts = []

    def opened(url: str) -> Person:
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 900}))
        return Person(contexts[-1].new_page(), url)

    yield opened
    for context in contexts:
        context.close()


def copied(person: Person) -> str:
    person.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    person.press("Copy link")
    person.page.get_by_role("button", name="Copied").wait_for()
    return person.page.evaluate("navigator.clipboard.readText()")


WAYS = {
    "drawing": (draw_an_eight, nothing),
    "sliders": (draw_an_eight, slide),
    "map": (draw_an_eight, click_the_map),
    "prior": (draw_an_eight, sample_the_prior),
    "morph": (draw_an_eight, morph),
    "arithmetic": (draw_an_eight, calculate),
    "photograph": (open_a_photograph, nothing),
    "photograph and sliders": (open_a_photograph, slide),
    "test image": (draw_over_a_test_image, nothing),
    "off the pad": (draw_off_the_pad, nothing),
    "prior, nothing drawn": (nothing, sample_the_prior),
}


@pytest.mark.parametrize(
    ("way", "model"),
    [*((way, DENSE) for way in WAYS), *((way, CONV) for way in ("drawing", "sliders", "map", "prior"))],
)
def test_a_link_shows_what_its_sender_saw(
    person: Person, somebody_else: Callable[[str], Person], vaes: dict[str, VAE], way: str, model: str
) -> None:
    if way == "test image":
        person.page.locator("#digits .hf-cell").nth(4).wait_for()
    person.choose(model)
    draw, move = WAYS[way]
    draw(person)
    drawn = Sight(person)
    move(person)
    sent = Sight(person)
    assert (sent.z == drawn.z) is (move is nothing)
    assert ("looks like" in sent.told[1]) is (move is nothing)
    link = copied(person)
    assert len(link) < LONGEST

    receiver = somebody_else(link)
    assert receiver.page.locator("#model").input_value() == model
    sent.is_shown_to(receiver)
    assert close(sent.image, vaes[model], receiver.z)
    receiver.open("Sliders")
    assert alike(receiver.settled("#generated"), sent.image)
    assert receiver.values() == pytest.approx(sent.z, abs=1e-4)

    person.page.reload()
    person.page.wait_for_function("document.documentElement.dataset.ready")
    sent.is_shown_to(person)
    assert receiver.mishaps == []


def test_back_and_forward_bring_point_and_drawing(person: Person) -> None:
    person.choose(DENSE)
    draw_an_eight(person)
    sights = []
    for number in (3, 8):
        person.open("Sliders")
        person.page.locator("#prior .hf-cell").nth(number).click()
        sights.append(Sight(person))
        person.press("Clear")
        person.draw((140, 30 * number), (140, 250))
        person.page.wait_for_function("hfvae.state.origin === 'draw'")
        person.wait_until(lambda: person.page.evaluate("location.href === hfvae.link.address()"))
    last = Sight(person)
    assert last.seen != sights[1].seen
    for step, sight in ((-1, sights[1]), (-1, sights[0]), (1, sights[1]), (1, last)):
        person.page.evaluate(f"history.go({step})")
        person.page.wait_for_function("(x) => Math.abs(hfvae.state.z[0] - x) < 1e-3", arg=sight.z[0])
        sight.is_shown_to(person)


@pytest.mark.parametrize("leave", ["reload", "close the tab"])
def test_a_long_drawing(person: Person, somebody_else: Callable[[str], Person], leave: str) -> None:
    """Its link has the point alone, and says so; a reload keeps it whole."""
    for row in range(14):
        person.draw((5, 10 + 19 * row), (275, 10 + 19 * row), steps=52)
    person.settled("#reconstruction")
    long = Sight(person)
    link = copied(person)
    assert len(link) < LONGEST
    person.page.locator("#toast", has_text="too long for a link").wait_for()
    if leave == "reload":
        person.page.reload()
        person.page.wait_for_function("document.documentElement.dataset.ready")
        long.is_shown_to(person)
    else:
        receiver = somebody_else(link)
        assert receiver.z == pytest.approx(long.z, abs=1e-5)
        assert alike(receiver.settled("#reconstruction"), long.image)
        assert receiver.settled("#seen") == BLANK


@pytest.mark.parametrize(
    ("strokes", "width"),
    [("0m2i1y1y1y", 22), ("0m2i1y5a1y-163w3w", 42), ("0m2i1y5a1y3c64", 22)],
)
def test_links_of_the_first_format(app: App, somebody_else: Callable[[str], Person], strokes: str, width: int) -> None:
    """Strokes, and no word on who set the point: it is kept as it is."""
    receiver = somebody_else(f"{app.url}?model={DENSE}&z=0.5,-1.25&drawing={strokes}")
    receiver.page.wait_for_function("hfvae.state.judged")
    sight = Sight(receiver)
    assert sight.z == [0.5, -1.25]
    assert sight.told[0] == "The point in the link."
    assert np.sum(sight.pad) > 255 * width**2 / 2
    receiver.press("Back to the drawing")
    assert receiver.z != [0.5, -1.25]
    assert "looks like" in receiver.page.locator(".hf-voted").inner_text()
