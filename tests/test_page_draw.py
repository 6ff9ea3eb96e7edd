"""The Draw tab in a real Chromium."""

from __future__ import annotations

import re

import pytest
from person import BLANK, CONV, DENSE, Person
from support import close

from hfvae import VAE

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_drawing_a_seven(person: Person, vaes: dict[str, VAE], model: str) -> None:
    person.choose(model)
    assert person.settled("#seen") == person.settled("#reconstruction") == BLANK, "an empty pad shows nothing"
    person.draw((90, 70), (190, 70), (120, 220))
    person.wait_for_change("#reconstruction", BLANK)
    seen, reconstruction = person.settled("#seen"), person.settled("#reconstruction")
    assert sum(seen) > 10_000
    assert sum(abs(a - b) for a, b in zip(seen, reconstruction, strict=True)) / 784 < 40
    assert close(reconstruction, vaes[model], person.z)
    assert person.settled("#difference") != BLANK
    assert "explained" in person.page.locator(".hf-percentile").inner_text().lower()
    assert re.search(
        r"\d+ of the 15 nearest test digits are of class [79]", person.page.locator(".hf-voted").inner_text()
    )
    person.press("Clear")
    for place in ("#seen", "#reconstruction", "#difference"):
        assert person.settled(place) == BLANK


def test_everything_moves_during_the_stroke(person: Person) -> None:
    person.page.evaluate(
        """() => {
            window.updates = { seen: 0, reconstruction: 0, difference: 0 };
            const put = CanvasRenderingContext2D.prototype.putImageData;
            CanvasRenderingContext2D.prototype.putImageData = function (...rest) {
                const place = this.canvas.parentElement?.id;
                if (place in window.updates) window.updates[place] += 1;
                return put.apply(this, rest);
            };
        }"""
    )
    box = person.box("#pad canvas")
    person.page.mouse.move(box["x"] + 60, box["y"] + 60)
    person.page.mouse.down()
    for step in range(600):  # a busy server answers few of them
        person.page.mouse.move(box["x"] + 60 + 5 * (step % 30), box["y"] + 60 + 5 * (step % 30))
        person.next_frame()
        during = person.page.evaluate("window.updates")
        if min(during.values()) >= 8:
            break
    person.page.mouse.up()
    assert min(during.values()) >= 8


def test_undo(person: Person) -> None:
    person.draw((140, 40), (140, 240))
    person.wait_for_change("#seen", BLANK)
    one = person.settled("#seen")
    for undo in (lambda: person.press("Undo"), lambda: person.page.keyboard.press("Control+z")):
        person.draw((60, 140), (220, 140))
        person.wait_for_change("#seen", one)
        two = person.settled("#seen")
        undo()
        person.wait_for_change("#seen", two)
        assert person.settled("#seen") == one


def test_the_pen_is_as_wide_as_asked(person: Person) -> None:
    widths = []
    for width in ("10", "38"):
        person.page.locator("[data-do=width]").fill(width)
        person.draw((140, 60), (140, 220))
        row = person.pixels("#pad")[140 * 280 : 141 * 280]
        widths.append(sum(value > 127 for value in row))
        person.press("Clear")
    assert widths == [10, 38]


def test_the_wheel_over_the_pad_scrolls_the_page(person: Person) -> None:
    person.page.set_viewport_size({"width": 1280, "height": 500})
    person.point_at("#pad canvas", 0.5, 0.5)
    person.page.mouse.wheel(0, 200)
    person.page.wait_for_function("window.scrollY > 50")


def test_how_sure_the_model_is(person: Person) -> None:
    person.draw((140, 40), (140, 240))
    person.press("How sure is the model?")
    cells = person.page.locator("#posterior .hf-cell")
    cells.nth(9).wait_for()
    before = person.pixels("#posterior .hf-cell:nth-child(1)")
    person.draw((60, 140), (220, 140))
    person.wait_for_change("#posterior .hf-cell:nth-child(1)", before)
    person.press("Clear")
    cells.first.wait_for(state="detached")


@pytest.mark.usefixtures("mnist_dir")
def test_starting_from_a_real_digit(person: Person) -> None:
    person.page.locator("#digits .hf-cell").nth(3).wait_for()
    assert "MNIST's own" in person.page.locator(".hf-digits-note").inner_text()
    digit = person.pixels("#digits .hf-cell:nth-child(4)")
    person.page.locator("#digits .hf-cell").nth(3).click()
    person.wait_for_change("#seen", BLANK)
    seen = person.settled("#seen")
    assert sum(abs(a - b) for a, b in zip(seen, digit, strict=True)) / 784 < 3, "it is framed already"
    assert "of class 3" in person.page.locator(".hf-voted").inner_text()
    person.draw((60, 140), (220, 140))
    person.wait_for_change("#seen", seen)
    person.press("Undo")
    assert person.settled("#seen") == seen
