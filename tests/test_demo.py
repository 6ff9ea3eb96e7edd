"""What the app does, without the page: its answers, its refusals, its gate."""

from __future__ import annotations

import base64
import gzip
import importlib.util
import io
import json
import math
import re
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import wasmtime
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient
from support import LIKELIHOOD_TYPES, REPOSITORY, TINY
from torch import Tensor, nn

from hfvae import VAE, generate, hub, reconstruct, sketch
from hfvae.datasets import DATASETS, Pixels, TrainingData
from hfvae.demo.browser_decoder import export_decoder
from hfvae.demo.cards import to_html
from hfvae.demo.draw import draw
from hfvae.demo.latent_map import atlas as latent_map
from hfvae.demo.limiter import Busy, ConcurrencyLimiter, visitor
from hfvae.demo.page import decoding
from hfvae.demo.registry import PAD_SIDE, ModelRegistry
from hfvae.demo.serving.routes import routes
from hfvae.demo.sliders import morph as sliders
from hfvae.demo.sliders import prior
from hfvae.demo.widget import answering
from hfvae.evaluation import quadrature_nll
from hfvae.probability.sampling import from_noise, to_noise

DENSE, CONV = "mnist-dense-2d", "mnist-conv-32d"


def encoded(ink: torch.Tensor) -> str:
    return base64.b64encode(ink.to(torch.uint8).numpy().tobytes()).decode()


def pictures(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8).view(-1, 28, 28) / 255


def bar() -> torch.Tensor:
    ink = torch.zeros(PAD_SIDE, PAD_SIDE)
    ink[30:110, 65:78] = 255
    return ink


@pytest.fixture(scope="module")
def registry() -> ModelRegistry:
    return ModelRegistry([DENSE, CONV], "cpu")


BLANK = encoded(torch.zeros(PAD_SIDE, PAD_SIDE))


@pytest.fixture
def show(tmp_path: Path) -> Callable[[VAE], ModelRegistry]:
    """A registry with one model, without codes."""

    def shown(vae: VAE) -> ModelRegistry:
        vae.save_pretrained(tmp_path / "shown")
        return ModelRegistry([str(tmp_path / "shown")], "cpu")

    return shown


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_a_drawing_comes_back(registry: ModelRegistry, model: str) -> None:
    answer = draw.reconstruct(registry, {"model": model, "ink": encoded(bar())})
    seen, picture = pictures(answer["seen"]), pictures(answer["reconstruction"])
    assert seen.max() > 0.5
    assert (seen - picture).abs().mean() < 0.1, "a bar is a one"
    vae = registry.models[model].vae
    torch.testing.assert_close(picture, reconstruct(vae, seen.unsqueeze(1))[:, 0], atol=0.05, rtol=0)
    assert decoding.decode(registry, {"model": model, "z": [answer["z"]]})["images"] == answer["reconstruction"]
    assert answer["reading"].index(max(answer["reading"])) == 1
    assert sum(answer["reading"]) == pytest.approx(1)
    assert answer["elbo"] == pytest.approx(-answer["distortion"] - answer["rate"], abs=1e-2)
    assert len(answer["std"]) == vae.latent_dim
    assert (answer["spread"] is not None) is (vae.latent_dim == 2)
    assert answer["percentile"] > 50, "a clean one is easily explained"


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_scribbles_are_no_digits(registry: ModelRegistry, model: str) -> None:
    noise = (torch.rand(14, 14) > 0.5).repeat_interleave(10, 0).repeat_interleave(10, 1) * 255
    answer = draw.reconstruct(registry, {"model": model, "ink": encoded(noise)})
    assert answer["percentile"] < 1


def test_a_verdict_does_not_flicker(registry: ModelRegistry) -> None:
    request = {"model": DENSE, "ink": encoded(bar())}
    assert draw.reconstruct(registry, request) == draw.reconstruct(registry, request)


def test_percentiles_are_those_of_the_test_set(registry: ModelRegistry) -> None:
    model = registry.models[CONV]
    elbo = model.latents.elbo
    assert model.percentile(float(elbo.median())) == pytest.approx(50, abs=0.1)
    assert model.percentile(float(elbo.min())) == 0
    assert model.percentile(math.inf) == 100


@pytest.mark.parametrize("likelihood_type", LIKELIHOOD_TYPES)
def test_models_without_codes_give_no_verdict(show: Callable[[VAE], ModelRegistry], likelihood_type: str) -> None:
    registry = show(TINY["conv"](likelihood_type=likelihood_type))
    name = next(iter(registry.models))
    answer = draw.reconstruct(registry, {"model": name, "ink": encoded(bar())})
    assert answer["percentile"] is None
    assert len(answer["reading"]) == 10, "the classifier needs no codes"
    assert registry.describe()[0]["hasMap"] is False
    for function in (latent_map.atlas, draw.class_examples):
        assert "without" in answering(function, registry)({"model": name})["error"]


def test_posterior_draws_scatter_around_the_mean(registry: ModelRegistry) -> None:
    request = {"model": CONV, "ink": encoded(bar())}
    answer = draw.posterior(registry, request)
    draws = pictures(answer["images"])
    mean = pictures(draw.reconstruct(registry, request)["reconstruction"])
    assert draws.shape == (10, 28, 28)
    assert len(draws.unique(dim=0)) == 10
    assert (draws - mean).abs().mean() > 0.001
    assert (draws.mean(0) - mean).abs().mean() < 0.05
    torch.testing.assert_close(pictures(answer["deviation"])[0], 2 * draws.std(0), atol=0.02, rtol=0)


@pytest.mark.parametrize("function", [draw.reconstruct, draw.posterior])
def test_an_empty_pad_is_an_empty_state(registry: ModelRegistry, function: Callable[..., Any]) -> None:
    assert function(registry, {"model": DENSE, "ink": encoded(torch.zeros(PAD_SIDE, PAD_SIDE))}) == {"empty": True}


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress)])
def test_stored_images_are_shown_upright(
    suffix: str, pack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EMNIST's files hold images with rows and columns exchanged."""
    monkeypatch.setenv("HFVAE_DATA_DIR", str(tmp_path))
    record = DATASETS["EMNIST-balanced"]
    count = record.test_size
    vae = TINY["dense"]()
    vae.training_record = TrainingData(record, Pixels(dequantize=True))
    vae.save_pretrained(tmp_path / "shown")
    hub.write_latents(tmp_path / "shown", hub.Latents(torch.randn(count, 2), torch.arange(count) % 47))
    images = torch.zeros(count, 28, 28, dtype=torch.uint8)
    images[:, 5, 20] = 255  # row 20, column 5 of the upright image
    path = tmp_path / record.test_file
    path.parent.mkdir(parents=True)
    header = struct.pack(">4I", 0x803, *images.shape)
    path.with_suffix(suffix).write_bytes(pack(header + images.numpy().tobytes()))
    registry = ModelRegistry([str(tmp_path / "shown")], "cpu")
    answer = draw.class_examples(registry, {"model": "shown"})
    assert answer["real"]
    assert len(answer["labels"]) == 47
    assert (pictures(answer["images"])[:, 20, 5] == 1).all()


def test_digits_are_mnists_own_where_it_is(
    registry: ModelRegistry, mnist_dir: Path, monkeypatch: pytest.MonkeyPatch, mnist: Any
) -> None:
    monkeypatch.setenv("HFVAE_DATA_DIR", str(mnist_dir))
    answer = draw.class_examples(registry, {"model": CONV})
    assert answer["real"]
    test = torch.cat([x for x, _ in mnist.test_dataloader()])[:, 0]
    labels = torch.cat([y for _, y in mnist.test_dataloader()])
    for digit, picture in enumerate(pictures(answer["images"])):
        distance = (test - picture).abs().amax((1, 2))
        assert distance.min() < 1e-6
        assert labels[distance.argmin()] == digit


@pytest.mark.parametrize("content", [b"", b"\0\0\x08\x03" + bytes(100), b"<html>not found</html>"])
def test_damaged_images_are_not_shown(
    content: bytes, registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: Any
) -> None:
    monkeypatch.setenv("HFVAE_DATA_DIR", str(tmp_path))
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert not draw.class_examples(registry, {"model": CONV})["real"]
    assert str(path) in caplog.text


def test_digits_are_decoded_where_mnist_is_not(
    registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HFVAE_DATA_DIR", str(tmp_path))
    answer = draw.class_examples(registry, {"model": CONV})
    assert not answer["real"]
    assert pictures(answer["images"]).shape == (10, 28, 28)


@pytest.mark.parametrize("model", [DENSE, CONV])
def test_atlas(registry: ModelRegistry, model: str) -> None:
    answer = latent_map.atlas(registry, {"model": model})
    dim = registry.models[model].vae.latent_dim
    axes = min(8, dim)
    latents = registry.models[model].latents
    sizes = {key: len(base64.b64decode(value)) for key, value in answer.items() if value is not None}
    assert sizes == {
        "codes": 20_000 * dim,
        "labels": 10_000,
        "centre": 4 * dim,
        "directions": 4 * dim * axes,
        "spread": 4 * axes,
        **({} if latents.places is None else {"places": 40_000}),
    }


def test_the_most_active_latents_come_first(registry: ModelRegistry) -> None:
    two, many = registry.describe()
    assert two["ranking"] == [0, 1]
    activity = registry.models[CONV].activity
    assert [activity[latent] for latent in many["ranking"]] == sorted(activity, reverse=True)
    assert sum(many["active"]) == 32


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "silu", "tanh", "gelu"])
@pytest.mark.parametrize("likelihood_type", ["ContinuousBernoulli", "Gaussian"])
def test_which_decoders_a_browser_runs(activation: str, likelihood_type: str) -> None:
    vae = TINY["dense"](activation=activation, likelihood_type=likelihood_type)
    vaes = [vae, TINY["conv"](activation=activation), TINY["conv"](activation=activation, blocks=1)]
    assert [export_decoder(vae) is not None for vae in vaes] == [activation != "gelu"] * 3


def change_kernel(vae: VAE) -> None:
    vae.decoder[-1][1] = nn.Conv2d(vae.decoder[-1][1].in_channels, 1, 5, padding=2)


def change_padding(vae: VAE) -> None:
    vae.decoder[-1][1].padding_mode = "circular"


def change_interpolation(vae: VAE) -> None:
    vae.decoder[-1][0].mode = "bilinear"


def add_normalisation(vae: VAE) -> None:
    vae.decoder.insert(1, nn.BatchNorm2d(8))


def change_forward(vae: VAE) -> None:
    class Doubled(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    vae.decoder = Doubled(*vae.decoder)


@pytest.mark.parametrize(
    "change", [change_kernel, change_padding, change_interpolation, add_normalisation, change_forward]
)
def test_decoders_that_only_python_runs(change: Callable[[VAE], None]) -> None:
    vae = TINY["conv"]()
    assert export_decoder(vae) is not None
    change(vae)
    assert export_decoder(vae) is None


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_half_the_bytes_where_that_loses_nothing(show: Callable[[VAE], ModelRegistry], dtype: str) -> None:
    registry = show(TINY["dense"]().to(getattr(torch, dtype)))
    decoder = next(iter(registry.models.values())).decoder
    assert decoder is not None
    assert decoder.precision == dtype


def test_the_kernels_bytes_are_those_of_its_source() -> None:
    page = Path(decoding.__file__).parent
    kernel = re.search(r"KERNEL =(.*?);", (page / "program.js").read_text(), re.DOTALL)
    assert kernel is not None
    inlined = base64.b64decode("".join(re.findall(r'"(.*?)"', kernel[1])))
    assert inlined == wasmtime.wat2wasm((page / "kernel.wat").read_text())
    assert len(inlined) < 1024


def test_decoder_weights_are_served_once(registry: ModelRegistry) -> None:
    client = TestClient(Starlette(routes=routes(registry)))
    for model in registry.describe():
        answer = client.get(model["decoder"]["address"])
        decoder = registry.models[model["name"]].decoder
        assert decoder is not None
        assert answer.content == decoder.weights
        assert "immutable" in answer.headers["cache-control"]
    for address in ("decoders/0/0123456789abcdef", "decoders/9/0123456789abcdef", "decoders/0/..%2f"):
        assert client.get(address).status_code == 404


@pytest.mark.parametrize("label", [0, 7])
def test_draws_of_one_class(registry: ModelRegistry, label: int) -> None:
    request = {"model": CONV, "label": label, "count": 8, "temperature": 1, "seed": 3}
    answer = prior.class_draws(registry, request)
    model = registry.models[CONV]
    assert len(answer["z"]) == 8
    assert (model.votes(torch.tensor(answer["z"])).argmax(1) == label).all()
    assert prior.class_draws(registry, request) == answer, "a seed gives the same draws"
    assert pictures(answer["images"]).shape == (8, 28, 28)


def test_paths_and_draws_by_a_learned_prior(show: Callable[[VAE], ModelRegistry]) -> None:
    vae = TINY["dense"](prior_type="Flow", prior_options={"blocks": 2, "features": 8})
    for parameter in vae.prior_module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    registry = show(vae)
    (name,) = registry.models
    described = registry.models[name].describe(0)
    assert described["basePath"]
    assert not described["drawsInBrowser"]
    a, b = torch.randn(2, vae.latent_dim)
    path = torch.tensor(prior.base_path(registry, {"model": name, "a": a.tolist(), "b": b.tolist(), "steps": 5})["z"])
    torch.testing.assert_close(path[[0, -1]], torch.stack([a, b]), atol=1e-4, rtol=0)
    with torch.no_grad():
        noise = to_noise(vae.prior, path)
    torch.testing.assert_close(noise.diff(dim=0), (noise[-1] - noise[0]).expand(4, -1) / 4, atol=1e-3, rtol=0)
    request = {"model": name, "count": 50, "temperature": 1, "seed": 1}
    own, standard = (prior.draws(registry, {**request, "standard": standard})["z"] for standard in (False, True))
    with torch.no_grad():
        bent = from_noise(vae.prior, torch.tensor(standard))
    torch.testing.assert_close(bent, torch.tensor(own), atol=1e-4, rtol=0)


def test_the_exact_posterior_of_a_drawing(registry: ModelRegistry) -> None:
    answer = draw.exact_posterior(registry, {"model": DENSE, "ink": encoded(bar())})
    side = answer["side"]
    density = torch.frombuffer(bytearray(base64.b64decode(answer["density"])), dtype=torch.uint8).view(side, side)
    assert density.max() == 255
    assert answer["logLikelihood"] > answer["elbo"]
    vae, x = registry.models[DENSE].vae, sketch.to_digit(bar()).view(1, 1, 28, 28)
    pixels = vae.likelihood.preprocess(x, torch.Generator().manual_seed(0), vae.training_data.pixels)
    assert answer["logLikelihood"] == pytest.approx(-float(quadrature_nll(vae, pixels)[0]), rel=1e-4)
    places = torch.stack([(torch.arange(side) + 0.5) * answer["extent"] / side + low for low in answer["low"]])
    mean = torch.stack([(density.sum(1) * places[0]).sum(), (density.sum(0) * places[1]).sum()]) / density.sum()
    code = torch.tensor(draw.reconstruct(registry, {"model": DENSE, "ink": encoded(bar())})["z"])
    assert (mean - code).norm() < 0.5, "the encoder is not far off"
    assert draw.exact_posterior(registry, {"model": DENSE, "ink": BLANK}) == {"empty": True}


def test_the_page_reads_by_codes_where_there_is_no_classifier(registry: ModelRegistry) -> None:
    model = registry.models[DENSE]
    image = torch.zeros(1, 1, 28, 28)
    by_classifier = model.reading(image, model.latents.mean[0])
    model.judge = None
    by_codes = model.reading(image, model.latents.mean[0])
    assert sum(by_classifier) == pytest.approx(1)
    assert by_codes[int(model.latents.labels[0])] > 0.5


def test_an_animation_goes_there_and_back(registry: ModelRegistry) -> None:
    a, b = [-1.0, 0.5], [1.0, 2.0]
    answer = sliders.animation(registry, {"model": DENSE, "z": [a, [0.0, 0.0], b]})
    film = Image.open(io.BytesIO(base64.b64decode(answer["gif"])))
    assert (film.format, film.size, film.n_frames, film.info["loop"]) == ("GIF", (224, 224), 4, 0)
    vae = registry.models[DENSE].vae
    for frame, end in ((0, a), (2, b)):
        film.seek(frame)
        shown = torch.tensor(np.array(film.convert("L")))[::8, ::8] / 255
        torch.testing.assert_close(shown, generate(vae, z=torch.tensor([end]))[0, 0], atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("function", "request_"),
    [
        (decoding.decode, None),
        (decoding.decode, []),
        (decoding.decode, "x" * 10**6),
        (decoding.decode, {"model": "../etc", "z": [[0, 0]]}),
        (decoding.decode, {"model": ["a"], "z": [[0, 0]]}),
        (decoding.decode, {"model": DENSE}),
        (decoding.decode, {"model": DENSE, "z": []}),
        (decoding.decode, {"model": DENSE, "z": [0, 0]}),
        (decoding.decode, {"model": DENSE, "z": [[0]]}),
        (decoding.decode, {"model": DENSE, "z": [[0, math.nan]]}),
        (decoding.decode, {"model": DENSE, "z": [[0, 1e30]]}),
        (decoding.decode, {"model": DENSE, "z": [[0, 10**400]]}),
        (decoding.decode, {"model": DENSE, "z": [[0, "1"]]}),
        (decoding.decode, {"model": DENSE, "z": [[True, 0]]}),
        (decoding.decode, {"model": DENSE, "z": [[0, 0]] * 401}),
        (draw.reconstruct, {"model": DENSE}),
        (draw.reconstruct, {"model": DENSE, "ink": "abc"}),
        (draw.reconstruct, {"model": DENSE, "ink": "!" * len(BLANK)}),
        (draw.reconstruct, {"model": DENSE, "ink": "é" * len(BLANK)}),
        (draw.reconstruct, {"model": DENSE, "ink": "A" * len(BLANK)}),
        (draw.posterior, {"model": DENSE, "ink": "A" * 10**7}),
        (draw.class_examples, {}),
        (latent_map.atlas, {"model": "nothing"}),
        (sliders.animation, {"model": DENSE, "z": [[0, 0]] * 65}),
        (sliders.animation, {"model": DENSE, "z": [[0, math.inf]]}),
        (prior.draws, {"model": DENSE, "count": 1, "temperature": 1, "seed": 0, "standard": "yes"}),
        (prior.class_draws, {"model": DENSE, "label": 10, "count": 1, "temperature": 1, "seed": 0}),
        (prior.class_draws, {"model": DENSE, "label": "7", "count": 1, "temperature": 1, "seed": 0}),
        (prior.base_path, {"model": DENSE, "a": [0, 0], "b": [0, 0], "steps": 65}),
        (prior.base_path, {"model": DENSE, "a": [0, 0], "b": [0], "steps": 5}),
        (draw.exact_posterior, {"model": CONV, "ink": BLANK}),
    ],
)
def test_bad_requests_get_a_sentence(
    registry: ModelRegistry, function: Callable[..., Any], request_: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answer = answering(function, registry)(request_)
    assert list(answer) == ["error"]
    assert "must" in answer["error"]
    assert f"{function.__name__} refused a request" in caplog.text


def test_codes_of_another_model_are_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    TINY["dense"]().save_pretrained(tmp_path)
    hub.write_latents(tmp_path, hub.Latents(torch.randn(5, 3), torch.arange(5)))
    assert f"{tmp_path.name} could not be loaded" in ModelRegistry([str(tmp_path)], "cpu").problems[0]
    assert "codes of 3 latents and a model of 2" in caplog.text


def test_visitors_do_not_learn_where_models_lie(tmp_path: Path) -> None:
    places = [tmp_path / "one" / "pretrained", tmp_path / "two", tmp_path / "elsewhere" / "two"]
    for place in places:
        TINY["dense"]().save_pretrained(place)
    registry = ModelRegistry([str(place) for place in [*places, tmp_path / "none"]], "cpu")
    assert list(registry.models) == ["one", "two", "two (3)"]
    shown = json.dumps([registry.describe(), registry.problems, [model.card for model in registry.models.values()]])
    assert str(tmp_path) not in shown


def test_one_bad_model_costs_a_message_not_the_start(tmp_path: Path) -> None:
    registry = ModelRegistry([str(tmp_path), DENSE], "cpu")
    assert list(registry.models) == [DENSE]
    assert registry.problems == [f"{tmp_path.name} could not be loaded; the server's log says why."]
    none = ModelRegistry([str(tmp_path)], "cpu")
    assert sorted(none.models) == hub.bundled_names()
    assert "bundled models are shown instead" in none.problems[-1]


def test_cards_are_shown_without_what_a_page_cannot_show(registry: ModelRegistry) -> None:
    card = registry.models[DENSE].card
    assert card.startswith("# mnist-dense-2d")
    assert "| ELBO |" in card
    assert not {"<!--", "license:"} & {part for part in ("<!--", "license:") if part in card}
    shown = to_html(card, 3)
    assert '<img src="card-figures/3/samples.png" alt="Decoded draws from the prior" loading="lazy"' in shown
    assert "<td>ELBO</td>" in shown


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("<b onclick=x>bold</b>", "&lt;b onclick=x&gt;bold&lt;/b&gt;"),
        ("[x](javascript:alert(1))", "[x](javascript:alert(1))"),
        ("![a<b](http://evil.example/x.png)", "<em>a&lt;b</em>"),
        ("![a](figures/../x.png)", "<em>a</em>"),
        ('![a" onerror="x](figures/x.png)', 'alt="a&quot; onerror=&quot;x"'),
        ("[x](https://a.example)", 'target="_blank" rel="noopener noreferrer nofollow"'),
        ("[x]: data:text/html,y\n\n[x]", "[x]"),
    ],
)
def test_cards_are_markdown_and_not_html(markdown: str, shown: str) -> None:
    assert shown in to_html(markdown, 0)
    assert not re.search(r"<(?!/?(p|em|a|img)\b)", to_html(markdown, 0))


@pytest.mark.parametrize("options", [["--device", "cuda"], ["--mcp"]])
def test_what_is_not_there_is_said(options: list[str]) -> None:
    if options == ["--device", "cuda"] and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    if options == ["--mcp"] and importlib.util.find_spec("mcp"):
        pytest.skip("mcp is installed")
    command = [sys.executable, "app.py", *options]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert "torch finds no CUDA device" in done.stderr or 'pip install "gradio[mcp]"' in done.stderr
    assert "Traceback" not in done.stderr


# The gate


def test_the_gate_lets_one_in() -> None:
    gate, inside, most = ConcurrencyLimiter(), [], []

    def visit() -> None:
        for _ in range(50):
            with gate:
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=visit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(most) == 400


def test_visitors_take_turns() -> None:
    gate, served = ConcurrencyLimiter(), []
    gate.__enter__()  # until all of them wait

    def visit(who: str) -> None:
        visitor.set(who)
        with gate:
            served.append(who)

    threads = [threading.Thread(target=visit, args=("greedy",)) for _ in range(20)]
    threads += [threading.Thread(target=visit, args=(f"modest {number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
        while thread.is_alive() and sum(map(len, gate._waiting.values())) <= threads.index(thread):
            time.sleep(0.001)
    gate.__exit__(None, None, None)
    for thread in threads:
        thread.join()
    assert len(served) == 23
    assert max(served.index(f"modest {number}") for number in range(3)) <= 4, "behind one call of each other visitor"
    assert not gate.busy


def test_one_visitor_may_not_fill_the_line() -> None:
    gate = ConcurrencyLimiter(max_waiting=64, timeout=60, max_waiting_per_visitor=1)
    gate.__enter__()

    def wait() -> None:
        with gate:
            pass

    thread = threading.Thread(target=wait)
    thread.start()
    while not gate._waiting:
        time.sleep(0.001)
    with pytest.raises(Busy, match="Too many people"), gate:
        pass
    gate.__exit__(None, None, None)
    thread.join()


def test_a_full_line_and_a_slow_one_are_said(registry: ModelRegistry) -> None:
    gate = ConcurrencyLimiter(max_waiting=1, timeout=0.2)
    refusals: list[str] = []

    def visit() -> None:
        try:
            with gate:
                pass
        except Busy as error:
            refusals.append(str(error))

    with gate:
        threads = [threading.Thread(target=visit) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        visit()
        assert refusals[3].startswith("The model was busy"), "who gave up has left the line"
    assert sorted(text.split(".")[0] for text in refusals[:3]) == [
        "The model was busy for 0",
        "Too many people are here at once",
        "Too many people are here at once",
    ]
    visit()
    assert len(refusals) == 4, "the gate is free again"
    registry.limiter, usual = gate, registry.limiter
    gate.timeout = 0.01
    with gate:
        answer = answering(decoding.decode, registry)({"model": DENSE, "z": [[0, 0]]})
    registry.limiter = usual
    assert answer["busy"] is True
