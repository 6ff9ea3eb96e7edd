"""The Latent map tab in a real Chromium."""

from __future__ import annotations

import re

import pytest
import torch
from person import CONV, DENSE, Person
from support import close

from hfvae import VAE, hub

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_the_map(person: Person, vaes: dict[str, VAE], model: str) -> None:
    person.choose(model)
    person.open_map()
    pinned, z = person.settled("#decoded"), person.z
    person.point_at("#map canvas", 0.62, 0.42)
    hovered = person.wait_for_change("#decoded", pinned)
    hovered = person.settled("#decoded")
    assert person.z == z, "hovering moves nothing"
    person.point_at("#model", 0.5, 0.5)
    person.wait_for_change("#decoded", hovered)
    assert person.settled("#decoded") == pinned
    person.page.mouse.click(*person.point_at("#map canvas", 0.62, 0.42))
    person.page.wait_for_function("(z) => hfvae.state.z[0] !== z", arg=z[0])
    assert close(hovered, vaes[model], person.z)
    if model == CONV:
        codes = hub.ModelSource(CONV).latents().mean
        assert ((codes - torch.tensor(person.z)).abs().amax(1) < 1e-6).any(), "a projected place is some digit's code"
    person.open("Sliders")
    assert person.settled("#generated") == hovered
    assert person.values() == pytest.approx(person.z, abs=1e-5)


def test_zoom_pan_and_legend(person: Person) -> None:
    person.choose(DENSE)
    person.open_map()

    def place() -> list[float]:
        person.point_at("#map canvas", 0.5, 0.5)
        return [float(x) for x in re.findall(r"-?\d+\.\d+", person.page.locator(".hf-where").inner_text())]

    def ink() -> int:
        person.point_at("#model", 0.5, 0.5)
        return sum(value > 0 for value in person.settled("#map"))

    assert place() == pytest.approx([0, 0], abs=0.02)
    whole = ink()
    person.page.locator(".hf-class").nth(1).click()
    assert ink() < whole
    person.page.locator(".hf-class").nth(1).click()
    assert ink() == whole
    person.point_at("#map canvas", 0.75, 0.5)
    person.page.mouse.wheel(0, -600)
    zoomed = place()
    assert zoomed[0] > 0.5
    x, y = person.point_at("#map canvas", 0.5, 0.5)
    person.page.mouse.down()
    person.page.mouse.move(x + 100, y, steps=5)
    person.page.mouse.up()
    assert place()[0] < zoomed[0]
    assert person.z == [0, 0], "dragging the map pins nothing"
    person.press("Show all")
    assert place() == pytest.approx([0, 0], abs=0.02)


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_the_map_by_keyboard(person: Person, model: str) -> None:
    person.choose(model)
    person.open_map()
    z = person.z
    person.page.locator("#map").focus()
    for _ in range(3):
        person.page.keyboard.press("ArrowRight")
    assert person.z == z
    person.page.keyboard.press("Enter")
    assert person.z != z
    person.page.keyboard.press("+")
    assert person.page.evaluate("document.activeElement.id") == "map"


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_the_decoded_backdrop(person: Person, model: str) -> None:
    person.choose(model)
    person.open_map()
    bare = person.settled("#map")
    person.page.locator("[data-do=manifold]").check()

    def covered() -> float:
        return sum(a != b for a, b in zip(person.pixels("#map"), bare, strict=True)) / len(bare)

    person.wait_until(lambda: covered() > 0.2)
    person.settled("#map")
    person.page.locator("[data-do=manifold]").uncheck()
    assert person.settled("#map") == bare
