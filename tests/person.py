"""The page as a person uses it, for the tests of its tabs."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

from support import returning

DENSE, CONV = "mnist-dense-2d", "mnist-conv-32d"
BLANK = [0] * 784
PATIENCE = 60  # seconds: a machine may be busy


class Person:
    """Somebody at the page."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.outside: list[str] = []
        self.mishaps: list[str] = []
        page.on("request", lambda request: self.note(request.url))
        page.on("pageerror", lambda error: self.mishaps.append(str(error)))
        returning(page).goto(url)
        page.wait_for_function("document.documentElement.dataset.ready")

    def note(self, url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.outside.append(url)

    def pixels(self, place: str) -> list[int]:
        packed = self.page.evaluate(  # a list of so many numbers would take seconds
            """(place) => {
                const canvas = document.querySelector(place + " canvas");
                const rgba = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
                let red = "";
                for (let i = 0; i < rgba.length; i += 4) red += String.fromCharCode(rgba[i]);
                return btoa(red);
            }""",
            place,
        )
        return list(base64.b64decode(packed))

    def wait_for_change(self, place: str, before: list[int]) -> list[int]:
        deadline = time.monotonic() + PATIENCE
        while (now := self.pixels(place)) == before:
            assert time.monotonic() < deadline, f"{place} stayed as it was"
            self.page.wait_for_timeout(100)  # between two looks
        return now

    def settled(self, place: str) -> list[int]:
        """The picture once the page awaits no answer and it has stopped changing."""
        deadline = time.monotonic() + PATIENCE
        before = None
        while (now := None if self.awaits_answers() else self.pixels(place)) is None or now != before:
            assert time.monotonic() < deadline, f"{place} does not come to rest"
            self.page.wait_for_timeout(200)
            before = now
        return now

    def awaits_answers(self) -> bool:
        return self.page.evaluate("'pending' in document.documentElement.dataset")

    def box(self, place: str) -> dict[str, float]:
        self.page.locator(place).scroll_into_view_if_needed()
        return self.page.locator(place).bounding_box()

    def draw(self, *points: tuple[int, int], steps: int = 6) -> None:
        box = self.box("#pad canvas")
        mouse = self.page.mouse
        scale = box["width"] / 280
        mouse.move(box["x"] + scale * points[0][0], box["y"] + scale * points[0][1])
        mouse.down()
        for x, y in points[1:]:
            mouse.move(box["x"] + scale * x, box["y"] + scale * y, steps=steps)
        mouse.up()

    def point_at(self, place: str, x: float, y: float) -> tuple[float, float]:
        """Move the mouse to a place of a canvas, in shares of its sides."""
        box = self.box(place)
        self.page.mouse.move(at := box["x"] + x * box["width"], to := box["y"] + y * box["height"])
        return at, to

    def choose(self, model: str) -> None:
        self.page.locator("#model").select_option(model)

    def open(self, tab: str) -> None:
        """Open a tab; its script has then run."""
        self.page.get_by_role("tab", name=tab).click()
        first = {
            "Draw": "#pad canvas",
            "Sliders": "#prior .hf-cell",
            "Latent map": ".hf-legend button",
            "Compare": ".hf-choice input",
        }[tab]
        self.page.locator(first).first.wait_for()
        self.next_frame()

    def next_frame(self) -> None:
        """What the page does on an event has been done, and painted."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")

    def wait_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, "it never came about"
            self.page.wait_for_timeout(100)

    def open_map(self) -> None:
        self.open("Latent map")
        self.page.wait_for_function(
            """() => document.querySelector("#map canvas").getContext("2d")
                     .getImageData(0, 0, 720, 720).data.some((value) => value > 0)"""
        )

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).locator("visible=true").click()

    @property
    def z(self) -> list[float]:
        return self.page.evaluate("hfvae.state.z")

    def values(self) -> list[float]:
        return [float(slider.input_value()) for slider in self.page.locator("#sliders input").all()]


def alike(one: list[int], other: list[int]) -> bool:
    """Whether two pictures are the same to a grey level: so far a decoder's answers differ by batch and by machine."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= 1
