"""The Latent map tab in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from person import BLANK, CONV, DENSE, Person
from support import App, close

from hfvae import VAE, DenseVAE, hub
from hfvae.evaluation import neighbour_embedding

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
    backdrop = person.page.locator("[data-do=manifold]")
    assert backdrop.is_checked() is (model == DENSE), "a plane is decoded from the start"
    backdrop.uncheck()
    bare = person.settled("#map")
    backdrop.check()

    def covered() -> float:
        return sum(a != b for a, b in zip(person.pixels("#map"), bare, strict=True)) / len(bare)

    person.wait_until(lambda: covered() > 0.2)
    person.settled("#map")
    person.page.locator("[data-do=manifold]").uncheck()
    assert person.settled("#map") == bare


def test_neighbours_principal_directions_and_a_dead_latent(
    browser: Any, serve: Callable[..., App], tmp_path: Path
) -> None:
    vae = DenseVAE(hidden_features=(32,), latent_dim=5)
    vae.save_pretrained(tmp_path / "clusters")
    labels = torch.arange(200) % 10
    centres = 3 * torch.randn(10, 5)
    codes = centres[labels] + 0.1 * torch.randn(200, 5)
    codes[:, 3] = 0.001 * torch.randn(200)
    places = neighbour_embedding(codes)
    assert places is not None
    hub.write_latents(tmp_path / "clusters", hub.Latents(codes, labels, None, places))
    person = Person(browser.new_context().new_page(), serve(tmp_path / "clusters").url)
    person.open_map()
    layout = person.page.locator("[data-do=layout]")
    assert layout.input_value() == "neighbours"
    assert "t-SNE" in person.page.locator(".hf-map-note").inner_text()
    neighbours = person.settled("#map")
    code = codes[17].half().float()
    person.page.evaluate("(z) => hfvae.setZ(z, 'sliders')", code.tolist())
    place = [float(x) for x in re.findall(r"-?\d+\.\d+", person.page.locator(".hf-where").inner_text())]
    assert place == pytest.approx(places[17].tolist(), abs=0.02), "a code is at its own place"
    halfway = (codes[17] + 0.05).tolist()
    person.page.evaluate("(z) => hfvae.setZ(z, 'sliders')", halfway)
    assert f"of class {int(labels[17])}" in person.page.locator(".hf-nearest").inner_text()
    layout.select_option("directions")
    person.wait_for_change("#map", neighbours)
    assert "principal directions" in person.page.locator(".hf-map-note").inner_text()
    person.open("Sliders")
    assert person.page.locator("#sliders .hf-dead input").count() == 1
    person.page.context.close()


def test_the_exact_posterior_beside_the_encoders(person: Person) -> None:
    person.choose(DENSE)
    person.open_map()
    truth = person.page.locator("[data-do=truth]")
    truth.check()
    assert "Draw something first" in person.page.locator(".hf-truth-note").inner_text()
    truth.uncheck()
    person.open("Draw")
    person.draw((140, 40), (140, 240))
    person.wait_for_change("#reconstruction", BLANK)
    person.open_map()
    truth.check()
    note = person.page.locator(".hf-truth-note", has_text="the encoder loses")
    note.wait_for()
    likelihood, elbo, gap = (float(part.replace(",", "")) for part in re.findall(r"-?[\d,]+\.\d", note.inner_text()))
    assert likelihood - elbo == pytest.approx(gap, abs=0.11)
    assert gap > 0
    pink = person.page.evaluate(
        """() => {
            const { data } = document.querySelector("#map canvas").getContext("2d").getImageData(0, 0, 720, 720);
            let count = 0;
            for (let i = 0; i < data.length; i += 4) count += data[i] > 200 && data[i + 1] < 90 && data[i + 2] > 100;
            return count;
        }"""
    )
    assert pink > 100, "the heat map fills a part of the map"
    person.choose(CONV)
    assert truth.is_hidden()
