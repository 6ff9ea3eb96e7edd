"""The Sliders tab in a real Chromium: sliders, prior draws, morphs, and the decoder in the page."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from person import BLANK, CONV, DENSE, Person, alike
from PIL import Image
from support import App, close

from hfvae import VAE, ConvVAE, DenseVAE, generate
from hfvae.demo.registry import ModelRegistry
from hfvae.probability.sampling import from_noise, is_standard_normal, to_noise

pytestmark = pytest.mark.browser


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
    picked = person.settled("#prior .hf-cell:nth-child(6)")
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
    person.press("Keep as A")
    person.press("Clear")
    person.draw((90, 70), (190, 70), (120, 220))
    person.page.wait_for_function("(a) => hfvae.state.z[0] !== a", arg=z_a[0])
    person.settled("#reconstruction")
    z_b = person.z
    person.press("Keep as B")
    person.open("Sliders")
    assert person.settled("[data-keep=a].hf-end") == one
    person.page.locator("#film .hf-cell").nth(8).wait_for()
    path = person.page.locator("[data-do=path]")
    assert path.input_value() == ("line" if is_standard_normal(vaes[model].prior) else "base")
    path.select_option("line")
    assert alike(person.settled("#film .hf-cell:nth-child(1)"), one)
    person.page.locator("#scrubber").fill("0.25")
    expected = torch.lerp(torch.tensor(z_a), torch.tensor(z_b), 0.25).tolist()
    assert person.z == pytest.approx(expected, abs=1e-5)
    assert close(person.settled("#generated"), vaes[model], expected)
    assert person.values() == pytest.approx(expected, abs=1e-4)
    with person.page.expect_download() as download:
        person.press("Download GIF")
    film = Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert (film.n_frames, film.size) == (48, (224, 224))
    person.press("Play")
    person.page.wait_for_function("(z) => hfvae.state.z.some((it, i) => Math.abs(it - z[i]) > 0.05)", arg=expected)
    person.press("Pause")


# By the worker, and as fast decoders decode what a visitor waits for: in the page itself.
DECODE = """async (points) => {
    const both = [await hfvae.state.decode(points, false), await hfvae.state.decode(points, true)];
    return both.map((images) => images.map((image) => Array.from(image)));
}"""


def error_in_page(person: Person, vae: VAE) -> float:
    """The largest difference between the page's images and torch's, in shares of the range."""
    person.page.wait_for_function("!!hfvae.state.decode")
    z = torch.cat([torch.randn(50, vae.latent_dim) * 2, torch.zeros(1, vae.latent_dim)])
    far = torch.full((2, vae.latent_dim), 8.0) * torch.tensor([[1.0], [-100.0]])
    points = torch.cat([z, far])
    decoded = torch.tensor(person.page.evaluate(DECODE, points.tolist()))
    return float((decoded.view(2, len(points), -1) - generate(vae, z=points).flatten(1)).abs().max())


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_the_browsers_decoder_agrees_with_torch(person: Person, vaes: dict[str, VAE], model: str) -> None:
    person.choose(model)
    assert error_in_page(person, vaes[model]) < 1e-3


BUILDS: dict[str, Callable[[], VAE]] = {
    "residual": lambda: ConvVAE(blocks=1, hidden_features=(64,), latent_dim=4, activation="silu"),
    "odd sizes": lambda: ConvVAE(channels=(5, 12), hidden_features=(33,), activation="elu", likelihood_type="Gaussian"),
    "three stages": lambda: ConvVAE(channels=(8, 8, 9), blocks=2, hidden_features=(), activation="tanh"),
    "no hidden layer": lambda: DenseVAE(hidden_features=(), latent_dim=3, likelihood_type="Laplace"),
}


@pytest.mark.parametrize("simd", [True, False], ids=["SIMD", "plain"])
def test_every_kind_of_decoder_in_the_page(browser: Any, serve: Callable[..., App], tmp_path: Path, simd: bool) -> None:
    vaes = {}
    for name, build in BUILDS.items():
        vae = build()
        for weight in vae.decoder.parameters():  # the last convolutions of residual blocks start at zero
            torch.nn.init.normal_(weight, std=weight[0].numel() ** -0.5 if weight.ndim > 1 else 0.1)
        vae.save_pretrained(tmp_path / name.replace(" ", "-"))
        vaes[name.replace(" ", "-")] = vae
    app = serve(*(tmp_path / name for name in vaes))
    page = browser.new_context().new_page()
    if not simd:
        page.add_init_script(
            """
            const script = (source) => URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
            Worker = class extends Worker {
                constructor(address, options) {
                    const without = script("delete self.WebAssembly;");
                    super(script(`import "${without}"; import "${address}";`), options);
                }
            };
            """
        )
    person = Person(page, app.url)
    for name, vae in vaes.items():
        person.choose(name)
        assert error_in_page(person, vae) < 1e-3, name
    page.context.close()


def test_python_decodes_where_the_page_cannot(app: App, browser: Any, vaes: dict[str, VAE]) -> None:
    page = browser.new_context().new_page()
    page.add_init_script("Worker = class { constructor() { setTimeout(() => this.onerror()); } postMessage() {} };")
    person = Person(page, app.url)
    person.choose(DENSE)
    person.open("Sliders")
    person.page.locator("#sliders input").first.fill("1.5")
    assert close(person.settled("#generated"), vaes[DENSE], person.z)
    assert page.evaluate("hfvae.state.decode") is None
    page.context.close()


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_sliders_cost_the_server_nothing(person: Person, model: str) -> None:
    person.choose(model)
    person.open("Sliders")
    person.page.wait_for_function("!!hfvae.state.decode")
    asked: list[str] = []
    person.page.on("request", lambda request: asked.append(request.post_data or ""))
    person.page.locator("#sliders label[style='order: 0;'] input").fill("1.5")
    person.page.wait_for_function("hfvae.state.exact && hfvae.state.z.includes(1.5)")
    person.next_frame()
    person.page.evaluate(
        "fetch('config').then((answer) => answer.text())"
    )  # whatever was asked before it has been seen
    assert [data for data in asked if "1.5" in data] == []


def test_thumbnails_show_where_the_ends_lead(person: Person, vaes: dict[str, VAE]) -> None:
    person.choose(DENSE)
    person.open("Sliders")
    place = "#sliders label[data-latent='1']"
    person.wait_until(lambda: "hf-blank" not in person.page.locator(f"{place} canvas").last.get_attribute("class"))
    person.settled("#generated")
    reach = float(person.page.locator(f"{place} input").get_attribute("max"))
    last = person.page.evaluate(
        """(place) => {
            const canvas = [...document.querySelectorAll(place + " canvas")].at(-1);
            const { data } = canvas.getContext("2d").getImageData(0, 0, 28, 28);
            return Array.from({ length: 784 }, (_, i) => data[4 * i]);
        }""",
        place,
    )
    assert close(last, vaes[DENSE], [person.z[0], reach])


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_give_me_a_seven(person: Person, model: str) -> None:
    person.choose(model)
    person.open("Sliders")
    person.page.locator("[data-do=label]").select_option(label="7")
    person.settled("#prior .hf-cell:nth-child(1)")
    points = person.page.locator("#prior .hf-cell").count()
    assert points > 0
    person.page.locator("#prior .hf-cell").first.click()
    votes = ModelRegistry([model], "cpu").models[model].votes(torch.tensor([person.z]))
    assert votes.argmax() == 7


def test_latent_arithmetic_and_undo(person: Person) -> None:
    person.choose(DENSE)
    person.open("Sliders")
    kept = {}
    for end in ("a", "b", "c"):
        person.page.locator(f"[data-keep={end}].hf-end").scroll_into_view_if_needed()
        person.press("Random draw")
        person.settled("#generated")
        kept[end] = person.z
        person.page.locator(f"[data-keep={end}].hf-end").click()
    person.page.locator("[data-do=arithmetic]").click()
    expected = [a - b + c for a, b, c in zip(kept["a"], kept["b"], kept["c"], strict=True)]
    assert person.z == pytest.approx(expected, abs=1e-5)
    person.page.locator("#sliders-widget [data-do=undo]").click()
    assert person.z == kept["c"]
    person.page.keyboard.press("Control+y")
    assert person.z == pytest.approx(expected, abs=1e-5)


def test_the_point_for_programs(person: Person) -> None:
    person.choose(DENSE)
    person.open("Sliders")
    person.press("Random draw")
    with person.page.expect_download() as download:
        person.press("Point as JSON")
    point = json.loads(Path(download.value.path()).read_text())
    assert point["model"] == DENSE
    assert point["z"] == pytest.approx(person.z, abs=1e-4)
    person.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    person.press("Copy as Python")
    names: dict[str, Any] = {}
    exec(person.page.evaluate("navigator.clipboard.readText()"), names)
    assert alike((names["images"].flatten() * 255).round().int().tolist(), person.settled("#generated"))


def test_a_learned_prior_beside_the_standard_one(browser: Any, serve: Callable[..., App], tmp_path: Path) -> None:
    vae = DenseVAE(hidden_features=(32,), latent_dim=3, prior_type="Flow", prior_options={"blocks": 2, "features": 8})
    for weight in vae.prior_module.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    vae.save_pretrained(tmp_path / "flow")
    person = Person(browser.new_context().new_page(), serve(tmp_path / "flow").url)
    person.open("Sliders")
    cells = person.page.locator("#prior .hf-cell")
    cells.nth(23).wait_for()
    own = person.settled("#prior .hf-cell:nth-child(1)")
    person.page.locator("[data-do=standard]").check()
    person.wait_for_change("#prior .hf-cell:nth-child(1)", own)
    person.page.locator("[data-do=standard]").uncheck()
    person.wait_until(lambda: person.settled("#prior .hf-cell:nth-child(1)") == own)
    for end in ("a", "b"):
        person.press("Random draw")
        person.settled("#generated")
        person.page.locator(f"[data-keep={end}].hf-end").click()
    person.page.locator("#film .hf-cell").nth(8).wait_for()
    through_prior = person.settled("#film .hf-cell:nth-child(5)")
    person.page.locator("[data-do=path]").select_option("line")
    straight = person.wait_for_change("#film .hf-cell:nth-child(5)", through_prior)
    person.page.locator("[data-do=path]").select_option("base")
    person.wait_for_change("#film .hf-cell:nth-child(5)", straight)
    ends = person.page.evaluate("[hfvae.state.ends.a.z, hfvae.state.ends.b.z]")
    person.page.locator("#scrubber").fill("0.5")
    with torch.no_grad():
        noise = to_noise(vae.prior, torch.tensor(ends)).mean(0)
        assert person.z == pytest.approx(from_noise(vae.prior, noise).tolist(), abs=1e-3)
    person.page.context.close()
