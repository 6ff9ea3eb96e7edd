"""The page in a real Chromium: draw, drag, hover, click, switch, link, leave and come back."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support import App, close, free_port, missing
from PIL import Image

from hfvae import VAE, generate, hub

DENSE, CONV = "mnist-dense-2d", "mnist-conv-32d"
BLANK = [0] * 784
pytestmark = pytest.mark.browser


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

    def box(self, place: str) -> dict[str, float]:
        self.page.locator(place).scroll_into_view_if_needed()
        return self.page.locator(place).bounding_box()

    def draw(self, *points: tuple[int, int]) -> None:
        box = self.box("#pad canvas")
        mouse = self.page.mouse
        mouse.move(box["x"] + points[0][0], box["y"] + points[0][1])
        mouse.down()
        for x, y in points[1:]:
            mouse.move(box["x"] + x, box["y"] + y, steps=6)
        mouse.up()

    def point_at(self, place: str, x: float, y: float) -> tuple[float, float]:
        """Move the mouse to a place of a canvas, in shares of its sides."""
        box = self.box(place)
        self.page.mouse.move(at := box["x"] + x * box["width"], to := box["y"] + y * box["height"])
        return at, to

    def choose(self, model: str) -> None:
        self.page.locator("#model").select_option(model)

    def open(self, tab: str) -> None:
        self.page.get_by_role("tab", name=tab).click()
        self.page.wait_for_timeout(300)

    def open_map(self) -> None:
        self.open("Latent map")
        self.page.wait_for_function(
            """() => document.querySelector("#map canvas").getContext("2d")
                     .getImageData(0, 0, 560, 560).data.some((value) => value > 0)"""
        )

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).locator("visible=true").click()

    @property
    def z(self) -> list[float]:
        return self.page.evaluate("hfvae.state.z")

    def values(self) -> list[float]:
        return [float(slider.input_value()) for slider in self.page.locator("#sliders input").all()]


@pytest.fixture
def person(app: App, browser: Any) -> Iterator[Person]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    person = Person(context.new_page(), app.url)
    yield person
    assert person.outside == [], "no request leaves the machine"
    assert person.mishaps == []
    context.close()


def alike(one: list[int], other: list[int]) -> bool:
    """Whether two pictures are the same to a grey level: so far a decoder's answers differ by batch and by machine."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= 1


# Draw


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
    assert re.search(r"\d+ of the 15 nearest test digits are a [79]", person.page.locator(".hf-voted").inner_text())
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
    for step in range(30):
        person.page.mouse.move(box["x"] + 60 + 5 * step, box["y"] + 60 + 5 * step)
        person.page.wait_for_timeout(20)
    during = person.page.evaluate("window.updates")
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
    assert "are a 3" in person.page.locator(".hf-voted").inner_text()
    person.draw((60, 140), (220, 140))
    person.wait_for_change("#seen", seen)
    person.press("Undo")
    assert person.settled("#seen") == seen


# One latent point


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_all_tabs_show_the_drawings_point(person: Person, model: str) -> None:
    person.choose(model)
    person.draw((90, 70), (190, 70), (120, 220))
    person.wait_for_change("#reconstruction", BLANK)
    shown = person.settled("#reconstruction")
    person.press("Move its latents")
    assert person.settled("#generated") == shown
    assert person.values() == pytest.approx(person.z, abs=1e-5)
    person.open_map()
    person.wait_for_change("#decoded", BLANK)
    assert person.settled("#decoded") == shown


def test_leaving_the_drawing_and_coming_back(person: Person) -> None:
    person.choose(DENSE)
    person.draw((140, 40), (140, 240))
    person.wait_for_change("#reconstruction", BLANK)
    drawn = person.settled("#reconstruction")
    person.open("Sliders")
    person.press("Mean (all zero)")
    mean = person.settled("#generated")
    person.open("Draw")
    assert person.settled("#reconstruction") == mean != drawn
    assert "moved elsewhere" in person.page.locator(".hf-source").inner_text()
    person.press("Back to the drawing")
    person.wait_for_change("#reconstruction", mean)
    assert person.settled("#reconstruction") == drawn


def test_a_late_answer_moves_nothing_back(person: Person) -> None:
    person.choose(DENSE)
    person.page.evaluate(
        """() => {
            const fetched = window.fetch;
            window.fetch = async (...request) => {
                const answer = await fetched(...request);
                if (String(request[1]?.body).includes("reconstruct")) await new Promise((go) => setTimeout(go, 1000));
                return answer;
            };
        }"""
    )
    person.draw((140, 40), (140, 240))
    person.open("Sliders")
    person.press("Random draw")
    z = person.z
    person.open("Draw")
    person.wait_for_change("#seen", BLANK)
    person.page.wait_for_timeout(1500)
    assert person.z == z
    person.press("Back to the drawing")
    person.page.wait_for_function("(z) => hfvae.state.z[0] !== z", arg=z[0])


def test_a_map_that_came_while_another_model_was_on_show(app: App, browser: Any) -> None:
    """Its answer was once thrown away, and the page then waited for it for ever."""
    page = browser.new_context().new_page()
    page.add_init_script(
        """
        const fetched = window.fetch;
        window.fetch = async (...request) => {
            if (String(request[1]?.body).includes("atlas")) await new Promise((go) => (window.let_go ??= []).push(go));
            return fetched(...request);
        };
        """
    )
    person = Person(page, app.url)
    first = person.page.locator("#model").input_value()
    person.page.wait_for_function("window.let_go?.length")
    person.choose(DENSE if first == CONV else CONV)
    with page.expect_response(lambda response: "atlas" in (response.request.post_data or "")):
        person.page.evaluate("let_go.shift()()")
    person.choose(first)
    person.open_map()
    person.page.context.close()


def test_switching_the_model(person: Person, vaes: dict[str, VAE]) -> None:
    person.choose(DENSE)
    person.draw((140, 40), (140, 240))
    person.wait_for_change("#reconstruction", BLANK)
    two = person.settled("#reconstruction")
    person.choose(CONV)
    person.wait_for_change("#reconstruction", two)
    assert close(person.settled("#reconstruction"), vaes[CONV], person.z)
    person.open("Sliders")
    inputs = person.page.locator("#sliders input[type=range]")
    assert inputs.count() == 32
    assert person.page.locator("#sliders input[type=range]:visible").count() == 10
    assert person.page.locator("#sliders .hf-dead").count() == 12
    person.press("Show the 22 less active latents")
    assert person.page.locator("#sliders input[type=range]:visible").count() == 32
    person.open_map()
    assert "projection" in person.page.locator("#map-widget .hf-note").inner_text()
    person.choose(DENSE)
    assert "Any place can be decoded" in person.page.locator("#map-widget .hf-note").inner_text()
    person.open("Sliders")
    assert inputs.count() == 2


def test_the_card_of_the_model_on_show(person: Person) -> None:
    person.choose(DENSE)
    person.press("Model card")
    person.page.get_by_role("heading", name=DENSE).wait_for()
    assert person.page.get_by_role("heading", name=CONV).is_hidden()
    person.choose(CONV)
    person.page.get_by_role("heading", name=CONV).wait_for()
    assert person.page.get_by_role("heading", name=DENSE).is_hidden()


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_the_link_carries_model_and_point(app: App, person: Person, vaes: dict[str, VAE], model: str) -> None:
    person.choose(model)
    person.open("Sliders")
    person.press("Random draw")
    person.page.wait_for_function("location.search.includes('z=') && location.href === hfvae.link()")
    z = person.z
    assert close(person.settled("#generated"), vaes[model], z)
    context = person.page.context.browser.new_context()
    other = Person(context.new_page(), person.page.url)
    assert other.page.locator("#model").input_value() == model
    assert other.z == pytest.approx(z, abs=1e-3)
    assert other.settled("#reconstruction") != BLANK, "the point is shown on an empty pad, too"
    other.open("Sliders")
    assert close(other.settled("#generated"), vaes[model], other.z)
    context.close()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?model=nobody/nothing&z=1,2", "not on show here"),
        (f"?model={DENSE}&z=1,2,3", "it needs 2 numbers"),
        (f"?model={DENSE}&z=1e30,0", "it needs 2 numbers"),
        (f"?model={DENSE}&z=<script>,0", "it needs 2 numbers"),
    ],
)
def test_a_bad_link_is_said(app: App, browser: Any, query: str, said: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(app.url + query)
    page.wait_for_function("document.documentElement.dataset.ready")
    page.get_by_text(said).wait_for()
    context.close()


# Sliders


def test_sliders(person: Person) -> None:
    person.choose(DENSE)
    person.open("Sliders")
    first = person.settled("#generated")
    assert first != BLANK
    sliders = person.page.locator("#sliders input[type=range]")
    assert sliders.count() == 2
    sliders.first.focus()
    for _ in range(20):
        person.page.keyboard.press("ArrowRight")
    assert person.z[0] > 0.5
    moved = person.wait_for_change("#generated", first)
    person.press("Reset")
    person.wait_for_change("#generated", moved)
    assert alike(person.settled("#generated"), first)


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_a_drag_ends_on_its_last_value(person: Person, vaes: dict[str, VAE], model: str) -> None:
    person.choose(model)
    person.open("Sliders")
    box = person.box("#sliders label[style='order: 0;'] input")
    person.page.mouse.move(box["x"] + 10, box["y"] + box["height"] / 2)
    person.page.mouse.down()
    for step in range(100):
        person.page.mouse.move(box["x"] + 10 + step * (box["width"] - 20) / 100, box["y"] + box["height"] / 2)
    person.page.mouse.up()
    assert close(person.settled("#generated"), vaes[model], person.z)
    assert max(person.values()) > 2
    person.page.evaluate(
        """() => {
            const slider = document.querySelector("#sliders label[style='order: 0;'] input");
            for (let step = 0; step <= 100; step++) {
                slider.value = -2 + step / 25;
                slider.dispatchEvent(new Event("input", { bubbles: true }));
            }
        }"""
    )
    assert 2 in person.values()
    assert close(person.settled("#generated"), vaes[model], person.z), "faster than any answer"


def test_both_latents_at_once(person: Person, vaes: dict[str, VAE]) -> None:
    person.choose(DENSE)
    person.open("Sliders")
    person.point_at("#xy canvas", 0.75, 0.25)
    person.page.mouse.down()
    person.page.mouse.up()
    x, y = person.values()
    assert x > 1
    assert y > 1
    person.page.locator("#xy").focus()
    person.page.keyboard.press("ArrowDown")
    assert person.values()[1] < y
    assert close(person.settled("#generated"), vaes[DENSE], person.z)


def test_principal_directions(person: Person) -> None:
    person.choose(CONV)
    person.open("Sliders")
    person.page.get_by_text("Principal directions").click()
    steers = person.page.locator("#directions input")
    assert steers.count() == 8
    before, z = person.settled("#generated"), person.z
    steers.nth(1).fill("2.5")
    person.wait_for_change("#generated", before)
    moved = torch.tensor(person.z) - torch.tensor(z)
    assert (moved.abs() > 1e-3).sum() > 5, "many latents move at once"
    values = [float(steer.input_value()) for steer in steers.all()]
    assert values[1] == pytest.approx(2.5, abs=1e-4)
    person.press("Reset")
    assert person.z == pytest.approx(z)


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_prior_draws_follow_the_temperature(person: Person, vaes: dict[str, VAE], model: str) -> None:
    person.choose(model)
    person.open("Sliders")
    cells = person.page.locator("#prior .hf-cell")
    cells.nth(23).wait_for()
    cells.nth(5).click()
    picked = person.pixels("#prior .hf-cell:nth-child(6)")
    assert alike(person.settled("#generated"), picked)
    assert close(picked, vaes[model], person.z)
    person.page.locator("[data-do=temperature]").fill("0")
    person.wait_for_change("#prior .hf-cell:nth-child(6)", picked)
    assert alike(person.settled("#prior .hf-cell:nth-child(6)"), person.settled("#prior .hf-cell:nth-child(7)"))


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_morph(person: Person, vaes: dict[str, VAE], model: str, tmp_path: Path) -> None:
    person.choose(model)
    person.draw((140, 40), (140, 240))
    person.wait_for_change("#reconstruction", BLANK)
    one, z_a = person.settled("#reconstruction"), person.z
    person.press("Keep as A of a morph")
    person.press("Clear")
    person.draw((90, 70), (190, 70), (120, 220))
    person.page.wait_for_function("(a) => hfvae.state.z[0] !== a", arg=z_a[0])
    person.settled("#reconstruction")
    z_b = person.z
    person.press("Keep as B")
    person.open("Sliders")
    assert person.settled("[data-keep=a].hf-end") == one
    person.page.locator("#film .hf-cell").nth(8).wait_for()
    assert alike(person.pixels("#film .hf-cell:nth-child(1)"), one)
    person.page.locator("#scrubber").fill("0.25")
    expected = torch.lerp(torch.tensor(z_a), torch.tensor(z_b), 0.25).tolist()
    assert person.z == pytest.approx(expected, abs=1e-5)
    assert close(person.settled("#generated"), vaes[model], expected)
    assert person.values() == pytest.approx(expected, abs=1e-4)
    with person.page.expect_download() as download:
        person.press("Download GIF")
    film = Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert (film.n_frames, film.size) == (46, (224, 224))
    person.press("Play")
    person.page.wait_for_function("(z) => hfvae.state.z.some((it, i) => Math.abs(it - z[i]) > 0.05)", arg=expected)
    person.press("Pause")


# The map


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
    person.wait_for_change("#map", bare)
    person.page.wait_for_timeout(1500)
    changed = sum(a != b for a, b in zip(person.settled("#map"), bare, strict=True))
    assert changed > 0.2 * len(bare), "the digits cover it"
    person.page.locator("[data-do=manifold]").uncheck()
    assert person.settled("#map") == bare


# Where decoding runs


def test_the_browsers_decoder_agrees_with_torch(person: Person, vaes: dict[str, VAE]) -> None:
    person.choose(DENSE)
    person.page.wait_for_function("!!hfvae.state.decode")
    z = torch.cat([torch.randn(50, 2) * 2, torch.tensor([[0.0, 0.0], [8.0, -8.0], [-1000.0, 1000.0]])])
    decoded = person.page.evaluate("(points) => points.map((z) => Array.from(hfvae.state.decode(z)))", z.tolist())
    assert (torch.tensor(decoded) - generate(vaes[DENSE], z=z).flatten(1)).abs().max() < 1e-3


def test_dense_sliders_cost_the_server_nothing(person: Person) -> None:
    person.choose(DENSE)
    person.open("Sliders")
    person.page.wait_for_function("!!hfvae.state.decode")
    asked: list[str] = []
    person.page.on("request", lambda request: asked.append(request.post_data or ""))
    person.page.locator("#sliders input").first.fill("1.5")
    person.page.wait_for_timeout(300)
    assert [data for data in asked if "1.5" in data] == []


# Other people, other screens, other days


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

    finger("touchStart", (140, 250))
    for y in range(240, 30, -10):
        finger("touchMove", (140, y))
    finger("touchEnd")
    person.wait_for_change("#reconstruction", BLANK)
    person.page.wait_for_timeout(500)
    assert person.page.evaluate("window.scrollY") == 0, "drawing does not scroll"
    assert sum(person.pixels("#pad")[140::280]) > 200 * 255, "the stroke is whole"
    for tab in ("Sliders", "Latent map", "Draw"):
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
        "def noted(host, *rest, **more):\n"
        f"    open({str(tmp_path / 'hosts')!r}, 'a').write(f'{{host}}\\n')\n"
        "    return ask(host, *rest, **more)\n"
        "socket.getaddrinfo = noted\n"
    )
    app = App(tmp_path / "log", PYTHONPATH=str(tmp_path))
    time.sleep(3)
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


NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  map $cookie_copy $copy {{ default $request_id; ~. $cookie_copy; }}
  upstream copies {{ hash $copy consistent; {servers} }}
  server {{
    listen 127.0.0.1:{port}; client_body_buffer_size 1m;
    location /vae/ {{
      add_header Set-Cookie "copy=$copy; Path=/vae/";
      proxy_pass http://copies/; proxy_buffering off; proxy_http_version 1.1;
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
"""


def test_two_copies_behind_nginx(browser: Any, tmp_path: Path, vaes: dict[str, VAE]) -> None:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        missing("no nginx on the PATH")
    port = free_port()
    copies = [App(tmp_path / f"log{i}", GRADIO_ROOT_PATH="/vae") for i in range(2)]
    servers = " ".join(f"server 127.0.0.1:{copy.port};" for copy in copies)
    (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, servers=servers, port=port))
    proxy = subprocess.Popen([nginx, "-e", tmp_path / "error.log", "-c", tmp_path / "nginx.conf"])
    try:
        time.sleep(1)
        assert proxy.poll() is None, (tmp_path / "error.log").read_text()
        for _ in range(3):
            context = browser.new_context()
            person = Person(context.new_page(), f"http://127.0.0.1:{port}/vae/")
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
        proxy.terminate()
        proxy.wait(20)
        for copy in copies:
            copy.stop()
