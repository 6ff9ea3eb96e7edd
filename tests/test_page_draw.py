"""The Draw tab in a real Chromium."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from person import BLANK, CONV, DENSE, Person
from PIL import Image, ImageDraw
from support import App, close

from hfvae import VAE
from hfvae.demo.page import version
from hfvae.images import as_images

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
    assert "of the test digits" in person.page.locator(".hf-percentile").inner_text()
    assert re.search(r"looks like [79] \(\d+% by the classifier\)", person.page.locator(".hf-voted").inner_text())
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
    for width in ("14", "38"):
        person.page.locator("[data-do=width]").fill(width)
        person.draw((140, 60), (140, 220))
        row = person.pixels("#pad")[140 * 280 : 141 * 280]
        widths.append(sum(value > 127 for value in row))
        person.press("Clear")
    assert widths == [14, 38]


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
    assert "looks like 3" in person.page.locator(".hf-voted").inner_text()
    person.draw((60, 140), (220, 140))
    person.wait_for_change("#seen", seen)
    person.press("Undo")
    assert person.settled("#seen") == seen


def test_undo_and_redo_of_a_cleared_drawing(person: Person) -> None:
    person.draw((140, 40), (140, 240))
    person.wait_for_change("#seen", BLANK)
    drawn = person.settled("#seen")
    person.press("Clear")
    assert person.settled("#seen") == BLANK
    person.page.keyboard.press("Control+z")
    person.wait_for_change("#seen", BLANK)
    assert person.settled("#seen") == drawn
    person.page.keyboard.press("Control+z")
    assert person.settled("#seen") == BLANK
    person.page.keyboard.press("Control+Shift+z")
    person.wait_for_change("#seen", BLANK)
    assert person.settled("#seen") == drawn


def test_drawing_by_keyboard(person: Person) -> None:
    person.page.locator("#pad").focus()
    for key in ["Space", *["ArrowDown"] * 15, "Space", "Escape"]:
        person.page.keyboard.press(key)
    person.wait_for_change("#seen", BLANK)
    person.settled("#seen")
    assert "looks like 1" in person.page.locator(".hf-voted").inner_text()


def photograph(dark_ink: bool) -> bytes:
    """A seven on paper under uneven light, or white on black."""
    canvas = Image.new("L", (400, 300), 20)
    ImageDraw.Draw(canvas).line([(140, 80), (240, 80), (180, 230)], fill=235, width=24, joint="curve")
    grey = np.asarray(canvas, dtype=float)
    if dark_ink:
        grey = (255 - grey) * np.linspace(0.8, 1, 400)
    file = io.BytesIO()
    Image.fromarray(grey.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("dark_ink", [True, False])
def test_a_photograph_stays_in_the_page(person: Person, dark_ink: bool) -> None:
    uploads: list[str] = []
    person.page.on("request", lambda request: uploads.append(request.url))
    file = {"name": "seven.png", "mimeType": "image/png", "buffer": photograph(dark_ink)}
    person.page.locator("[data-do=open]").set_input_files(file)
    person.wait_for_change("#seen", BLANK)
    seen = person.settled("#seen")
    assert "looks like 7" in person.page.locator(".hf-voted").inner_text()
    assert sum(value < 20 for value in seen) > 500, "paper is no ink"
    ours = ("component_server", "decoders", "modules")
    assert [url for url in uploads if not any(f"/{name}" in url for name in ours)] == []


@pytest.mark.parametrize("ink", ["white", "black", "navy"])
def test_ink_on_a_transparent_ground_is_a_drawing(person: Person, ink: str) -> None:
    picture = Image.new("RGBA", (400, 300))
    ImageDraw.Draw(picture).line([(140, 80), (240, 80), (180, 230)], fill=ink, width=24, joint="curve")
    file = io.BytesIO()
    picture.save(file, "PNG")
    chosen = {"name": "seven.png", "mimeType": "image/png", "buffer": file.getvalue()}
    person.page.locator("[data-do=open]").set_input_files(chosen)
    person.wait_for_change("#seen", BLANK)
    seen = person.settled("#seen")
    assert "looks like 7" in person.page.locator(".hf-voted").inner_text()
    assert sum(value < 20 for value in seen) > 500, "what is transparent is no ink"


def test_the_pad_composites_as_python_does(person: Person) -> None:
    """On pictures with a transparent or an opaque border, of one level or many, faint, and with nothing on them."""
    composite = """async ([address, data, wide, high]) => {
        const photo = await import(new URL(address, document.baseURI));
        return [...photo.composite(data, wide, high)];
    }"""
    address = f"modules/{version()}/draw/photo.js"
    random = np.random.default_rng(0)
    for case in range(24):
        picture = random.integers(0, 256, (9, 12, 4), np.uint8)
        picture[..., 3] = random.choice(
            [0, 100, 200, 255], (9, 12), p=[[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.7]][case % 2]
        )
        if case % 3 == 0:
            picture[..., :3] = random.integers(0, 256, 3)
        if case % 8 == 7:
            picture[..., 3] = [0, 40, 255][case // 8]
        shown = person.page.evaluate(composite, [address, picture.ravel().tolist(), 12, 9])
        expected = 255 * as_images(picture, (1, 9, 12))[0, 0]
        torch.testing.assert_close(torch.tensor(shown, dtype=torch.float32).view(9, 12), expected, atol=0.01, rtol=0)


def test_what_is_no_photograph_is_said(person: Person) -> None:
    for name, buffer, said in (("a.txt", b"hello", "no image"), ("a.png", b"hello", "no image")):
        kind = "image/png" if name.endswith("png") else "text/plain"
        person.page.locator("[data-do=open]").set_input_files({"name": name, "mimeType": kind, "buffer": buffer})
        person.page.locator("#toast", has_text=said).wait_for()
    blank = io.BytesIO()
    Image.new("L", (50, 50), 200).save(blank, "PNG")
    person.page.locator("[data-do=open]").set_input_files(
        {"name": "blank.png", "mimeType": "image/png", "buffer": blank.getvalue()}
    )
    person.page.locator("#toast", has_text="blank").wait_for()


def test_pasting_and_dropping(person: Person) -> None:
    packed = base64.b64encode(photograph(True)).decode()
    give = """([kind, packed]) => {
        const bytes = Uint8Array.from(atob(packed), (it) => it.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], "seven.png", { type: "image/png" }));
        const how = { bubbles: true, cancelable: true };
        const event = kind === "paste" ? new ClipboardEvent(kind, { clipboardData: data, ...how })
                                       : new DragEvent(kind, { dataTransfer: data, ...how });
        document.querySelector(kind === "paste" ? "body" : ".hf-pad").dispatchEvent(event);
    }"""
    for kind in ("paste", "drop"):
        person.page.evaluate(give, [kind, packed])
        person.wait_for_change("#seen", BLANK)
        assert "looks like 7" in person.page.locator(".hf-voted").inner_text() or person.settled("#seen") != BLANK
        person.press("Clear")
        assert person.settled("#seen") == BLANK


def test_the_steps_follow_the_drawing(person: Person, vaes: dict[str, VAE]) -> None:
    person.choose(DENSE)
    person.page.locator("#how summary").click()
    assert person.page.locator(".hf-how-empty").is_visible()
    person.draw((140, 40), (140, 240))
    person.wait_for_change("#reconstruction", BLANK)
    person.settled("#reconstruction")
    rows = person.page.locator(".hf-how-posterior tr").all_inner_texts()
    mean = [float(part) for part in rows[1].split()[1:]]
    assert mean == pytest.approx(person.z, abs=0.006)
    before = person.page.locator(".hf-how-draw").inner_text()
    person.press("Another ε")
    person.page.wait_for_function("(text) => document.querySelector('.hf-how-draw').innerText !== text", arg=before)
    numbers = person.page.locator(".hf-how-elbo").inner_text()
    likelihood, rate, elbo = (float(part.replace(",", "")) for part in re.findall(r"-?[\d,]+\.\d", numbers)[:3])
    assert likelihood - rate == pytest.approx(elbo, abs=0.11)


def test_a_first_visit_shows_itself(app: App, browser: Any) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(app.url)
    page.wait_for_function("document.documentElement.dataset.ready && hfvae.state.judged")
    page.wait_for_function("document.querySelector('.hf-voted').textContent.includes('looks like 3')")
    tour = page.locator("#tour")
    tour.wait_for()
    for _ in range(5):
        tour.locator("[data-do=next]").click()
    assert tour.is_hidden()
    assert page.locator("#pad canvas").is_visible()
    page.locator("#pad canvas").click(position={"x": 140, "y": 140})
    page.wait_for_function("document.querySelector('.hf-hint').hidden")
    ink = page.evaluate("hfvae.state.ink()")
    grey = base64.b64decode(ink)
    assert sum(value > 127 for value in grey) < 400, "the first stroke replaces the example"
    page.goto(app.url)
    page.wait_for_function("document.documentElement.dataset.ready")
    page.wait_for_timeout(500)  # in which it would have come
    assert tour.is_hidden(), "it comes once"
    context.close()


def test_pictures_can_be_saved(person: Person, tmp_path: Path) -> None:
    person.draw((140, 40), (140, 240))
    person.wait_for_change("#seen", BLANK)
    shown = person.settled("#seen")
    for kind in ("PNG", "SVG"):
        person.page.locator("#seen").hover()
        with person.page.expect_download() as download:
            person.page.locator("#seen").get_by_role("button", name=kind).click()
        content = Path(download.value.path()).read_bytes()
        if kind == "PNG":
            saved = Image.open(io.BytesIO(content)).convert("L").resize((28, 28), Image.Resampling.NEAREST)
            assert list(saved.tobytes()) == shown
        else:
            assert content.count(b"<rect") == 784
