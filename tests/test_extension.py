"""The extension proof: each example of docs/extend.md, from training to the app, without touching the package."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import REPOSITORY, App, returning

from hfvae.cli import evaluate, fit
from hfvae.data import READERS
from hfvae.datasets import DATASETS
from hfvae.probability.likelihoods import LIKELIHOODS
from hfvae.probability.posteriors import POSTERIORS
from hfvae.probability.priors import PRIORS

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's command line warns of its own parts

BLOCKS = {
    name: block
    for block, name in re.findall(
        r"```python\n(# (\w+)\.py.*?)```", (REPOSITORY / "docs" / "extend.md").read_text(), re.DOTALL
    )
}
SMALL = ["--model.vae.init_args.hidden_features=[16]", "--model.optimizer=adam"]
SETTINGS = {
    "mixture": [
        *SMALL,
        "--model.vae.init_args.prior_type=Mixture",
        '--model.vae.init_args.prior_options={"components": 3}',
    ],
    "full": [*SMALL, "--model.vae.init_args.posterior_type=FullGaussian"],
    "beta": [*SMALL, "--model.vae.init_args.likelihood_type=Beta"],
    "digits8x8": [*SMALL, "--data.dataset=digits-8x8", "--model.vae.init_args.image_shape=[1,8,8]"],
    "linear": ["--model.vae=linear.LinearVAE", "--model.vae.init_args.latent_dim=3", "--model.optimizer=adam"],
}
PROBE = """
import importlib, json, sys
import torch
import hfvae
importlib.import_module(sys.argv[1])
vae = hfvae.load(sys.argv[2], device="cpu")
draws = hfvae.generate(vae, 4, generator=torch.Generator().manual_seed(3))
again = hfvae.generate(vae, 4, generator=torch.Generator().manual_seed(3))
from hfvae.inference import evaluating, sample_prior
with evaluating(vae):
    many = sample_prior(vae, 4000, generator=torch.Generator().manual_seed(0))
    log_prob = vae.prior.log_prob(many)
    expected = vae.decode_image(sample_prior(vae, 4, generator=torch.Generator().manual_seed(3)))
print(json.dumps({
    "shape": list(draws.shape), "same": torch.equal(draws, again), "from_prior": torch.equal(draws, expected),
    "prior": type(vae.prior).__name__, "finite": bool(log_prob.isfinite().all()),
    "mean": many.mean(0).tolist(), "prior_mean": vae.prior.mean.tolist(), "std": many.std(0).tolist(),
    "dataset": vae.training_data.dataset.name, "classes": vae.training_data.dataset.class_names,
}))
"""


def write_idx(path: Path, array: np.ndarray) -> None:
    """An IDX file of unsigned bytes."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_data(folder: Path, prefixes: tuple[str, str], classes: int, first: int = 0) -> None:
    """A small data set in MNIST's format: a bright bar whose height tells the class."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for prefix, count in zip(prefixes, (300, 120), strict=True):
        labels = np.arange(count) % classes
        images = generator.integers(0, 30, (count, 28, 28))
        for image, label in zip(images, labels, strict=True):
            image[4 + 20 * label // classes : 8 + 20 * label // classes, 4:24] += 200
        write_idx(folder / f"{prefix}-images-idx3-ubyte", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels + first)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in ("MNIST", "FashionMNIST", "KMNIST"):
        write_data(folder / name / "raw", ("train", "t10k"), 10)
    write_data(folder / "EMNIST" / "raw", ("emnist-letters-train", "emnist-letters-test"), 26, first=1)
    balanced = folder / "balanced"
    write_data(balanced, ("emnist-balanced-train", "emnist-balanced-test"), 47)
    for path in balanced.iterdir():
        path.rename(folder / "EMNIST" / "raw" / path.name)
    return folder


def python(folder: Path, data_dir: Path, *arguments: str) -> str:
    environment = {**os.environ, "HFVAE_DATA_DIR": str(data_dir), "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{folder}"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def command(name: str, folder: Path, data_dir: Path, arguments: list[str], *, alone: bool) -> None:
    """Run a command in a process of its own, or, which is quicker, in this one."""
    if alone:
        python(folder, data_dir, str(REPOSITORY / "train" / f"{name}.py"), *arguments)
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        patch.setenv("HFVAE_DATA_DIR", str(data_dir))
        {"fit": fit, "evaluate": evaluate}[name].main(arguments)


def train(folder: Path, data_dir: Path, *settings: str, alone: bool = False) -> Path:
    recipe, root = str(REPOSITORY / "configs" / "mnist_dense.yaml"), folder / "run"
    short = ["--trainer.max_epochs=2", "--data.batch_size=50", "--trainer.callbacks=null"]
    arguments = ["--config", recipe, f"--trainer.default_root_dir={root}", *short, *settings]
    command("fit", folder, data_dir, arguments, alone=alone)
    return root / "pretrained"


def measure(folder: Path, data_dir: Path, model: Path, *settings: str, alone: bool = False) -> dict[str, Any]:
    command("evaluate", folder, data_dir, ["--model", str(model), "--num_samples", "3", *settings], alone=alone)
    return json.loads((model / "metrics.json").read_text())["metrics"]


LOGGER = "trackio_logger"
"""The example that is no part of a model."""
TRACKIO = """
runs = []


class Run:
    def __init__(self, project, name, config, resume="never"):
        self.name, self.config, self.resume = name or f"{project}-1", config, resume
        self.entries, self.ended = [], False
        runs.append(self)

    def log(self, values, step):
        self.entries.append((step, values))

    def finish(self):
        self.ended = True


class Image:
    def __init__(self, picture):
        self.size = picture.size


init = Run
"""
"""What the example asks of Trackio."""
ALONE = "mixture"
"""The example whose commands run as the page says, in processes of their own."""


@pytest.fixture(scope="module", autouse=True)
def _tables_as_they_were() -> Iterator[None]:
    tables: list[dict[str, Any]] = [DATASETS, LIKELIHOODS, POSTERIORS, PRIORS, READERS]
    before = [dict(table) for table in tables]
    yield
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> dict[str, tuple[Path, Path]]:
    """Each example's folder and model, trained on first use."""
    return {}


@pytest.fixture
def example(
    name: str, trained: dict[str, tuple[Path, Path]], tmp_path_factory: pytest.TempPathFactory, data_dir: Path
) -> tuple[Path, Path]:
    if name not in trained:
        folder = tmp_path_factory.mktemp(name)
        (folder / f"{name}.py").write_text(BLOCKS[name])
        loaded = [] if name == "linear" else ["--extension", name]
        trained[name] = folder, train(folder, data_dir, *loaded, *SETTINGS[name], alone=name == ALONE)
    return trained[name]


def test_every_example_is_tried() -> None:
    assert set(BLOCKS) == {*SETTINGS, LOGGER}
    assert all(len(block.splitlines()) < 45 for block in BLOCKS.values())


def test_a_logger_of_ones_own(tmp_path: Path, data_dir: Path) -> None:
    (tmp_path / "trackio.py").write_text(TRACKIO)
    (tmp_path / f"{LOGGER}.py").write_text(BLOCKS[LOGGER])
    logger = [f"--trainer.logger={LOGGER}.TrackioLogger", "--trainer.logger.project=mnist"]
    train(tmp_path, data_dir, *SMALL, *logger)
    runs = sys.modules["trackio"].runs
    assert {run.name for run in runs} == {"mnist-1"}
    assert [run.resume for run in runs] == ["never", *["allow"] * (len(runs) - 1)]
    assert all(run.ended for run in runs)
    assert runs[0].config
    logged = {name: value for run in runs for _, values in run.entries for name, value in values.items()}
    assert isinstance(logged["val/elbo"], float)
    assert min(logged["samples"].size) > 0


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_an_example_trains_loads_draws_and_is_measured(name: str, example: tuple[Path, Path], data_dir: Path) -> None:
    folder, model = example
    probe = json.loads(python(folder, data_dir, "-c", PROBE, name, str(model)))
    side = 8 if name == "digits8x8" else 28
    assert probe["shape"] == [4, 1, side, side]
    assert probe["same"]
    assert probe["from_prior"]
    assert probe["finite"]
    assert probe["mean"] == pytest.approx(probe["prior_mean"], abs=0.15)
    assert probe["prior"] == ("MixtureSameFamily" if name == "mixture" else "Independent")
    assert probe["dataset"] == ("digits-8x8" if name == "digits8x8" else "MNIST")
    assert len(probe["classes"]) == 10
    metrics = measure(folder, data_dir, model, "--extension", name, alone=name == ALONE)
    assert ("closed form" in metrics["rate"]["protocol"]) is (name != "mixture")
    assert (metrics["latent_kl"]["value"] is not None) is (name not in ("mixture", "full"))
    assert metrics["latent_kl"]["protocol"]
    assert metrics["elbo"]["value"] == pytest.approx(-metrics["rate"]["value"] - metrics["distortion"]["value"])
    card = (model / "README.md").read_text()
    for word in {"mixture": ["prior Mixture"], "beta": ["Beta"], "digits8x8": ["digits-8x8"]}.get(name, ["N(0, I)"]):
        assert word in card
    assert ("ylecun/mnist" in card) is (name != "digits8x8")
    assert "| ELBO |" in card


@pytest.mark.browser
@pytest.mark.parametrize("name", sorted(set(SETTINGS) - {"digits8x8", "linear"}))
def test_an_example_in_the_app(
    name: str, example: tuple[Path, Path], browser: Any, tmp_path: Path, data_dir: Path
) -> None:
    folder, model = example
    app = App(tmp_path / "log", "--model", str(model), "--extension", name, PYTHONPATH=str(folder))
    page = returning(browser.new_page())
    try:
        page.goto(app.url)
        page.wait_for_function("document.documentElement.dataset.ready")
        page.get_by_role("tab", name="Sliders").click()
        page.locator("#prior .hf-cell").nth(23).wait_for()
        page.get_by_role("button", name="Random draw").click()
        page.wait_for_function("hfvae.state.origin === 'prior' && hfvae.state.exact")
        page.locator("#sliders input").first.fill("0.75")
        page.wait_for_function("hfvae.state.z[0] === 0.75 && hfvae.state.exact")
        page.wait_for_function("!hfvae.state.model.decoder || !!hfvae.state.decode")
        shown = page.evaluate("({ z: hfvae.state.z, image: Array.from(hfvae.state.image) })")
        decoded = (
            page.evaluate("async () => Array.from((await hfvae.state.decode?.([hfvae.state.z]))?.[0] ?? [])") or None
        )
        page.locator("#prior .hf-cell").nth(5).click()
        page.wait_for_function("hfvae.state.origin === 'prior' && hfvae.state.exact")
        drawn = page.evaluate("({ z: hfvae.state.z, image: Array.from(hfvae.state.image) })")
        texts = page.locator(".hf-prior-note").inner_text()
    finally:
        page.close()
        app.stop()
    assert ("Mixture" if name == "mixture" else "N(0, I)") in texts
    compare = (
        "import importlib, json, sys, torch, hfvae; importlib.import_module(sys.argv[1]);"
        "vae = hfvae.load(sys.argv[2], device='cpu');"
        "print(json.dumps(hfvae.generate(vae, z=torch.tensor(json.loads(sys.argv[3]))).flatten(1).tolist()))"
    )
    points = json.dumps([shown["z"], drawn["z"]])
    expected = np.array(json.loads(python(folder, data_dir, "-c", compare, name, str(model), points)))
    for answer, row in zip((shown, drawn), expected, strict=True):
        assert np.abs(np.array(answer["image"]) / 255 - row).max() < 0.5 / 255 + 1e-3, "to half a grey level"
    if name in ("full", "mixture"):
        assert np.abs(np.array(decoded) - expected[0]).max() < 1e-3, "decoded in the page"
    else:
        assert decoded is None, "two channels a pixel are decoded in Python"
    assert "Traceback" not in app.log.read_text()


def test_another_shape_is_refused_by_the_app_in_a_sentence(
    trained: dict[str, tuple[Path, Path]], tmp_path_factory: pytest.TempPathFactory, data_dir: Path
) -> None:
    from hfvae import DenseVAE
    from hfvae.demo.registry import ModelRegistry

    folder = tmp_path_factory.mktemp("small") / "tiny"
    DenseVAE([8], 2, image_shape=(1, 8, 8)).save_pretrained(folder)
    registry = ModelRegistry([str(folder), "mnist-dense-2d"], "cpu")
    assert registry.problems == ["tiny makes images of shape (1, 8, 8), and this app shows (1, 28, 28) only."]
    assert list(registry.models) == ["mnist-dense-2d"]


# The data sets that come with the package


@pytest.mark.parametrize(
    ("dataset", "classes", "word"),
    [
        ("FashionMNIST", 10, "zalando-datasets/fashion_mnist"),
        ("KMNIST", 10, "KMNIST"),
        ("EMNIST-letters", 26, "letters of EMNIST-letters"),
        ("EMNIST-balanced", 47, "characters of EMNIST-balanced"),
    ],
)
def test_relatives_of_mnist_end_to_end(dataset: str, classes: int, word: str, data_dir: Path, tmp_path: Path) -> None:
    from hfvae import hub, load
    from hfvae.demo.draw import draw
    from hfvae.demo.registry import ModelRegistry

    model = train(tmp_path, data_dir, *SMALL, f"--data.dataset={dataset}")
    vae = load(model, device="cpu")
    assert vae.training_data.dataset.name == dataset
    assert len(vae.training_data.dataset.class_names) == classes
    assert hub.ModelSource(model).latents().labels.unique().tolist() == list(range(classes))
    metrics = measure(tmp_path, data_dir, model)
    assert metrics["inception_score"]["value"] is None
    assert "no classifier" in metrics["inception_score"]["protocol"]
    card = (model / hub.CARD).read_text()
    assert word in card
    assert "ylecun/mnist" not in card
    registry = ModelRegistry([str(model)], "cpu")
    [described] = registry.describe()
    assert len(described["classes"]) == classes
    assert described["dataset"] == dataset
    answer = draw.class_examples(registry, {"model": described["name"]})
    assert answer["labels"] == list(range(classes))
    with hub.model_files(vae, "user/name", model) as files:
        assert hub.CARD in files


def test_a_gaussian_on_standardised_pixels(data_dir: Path, tmp_path: Path) -> None:
    """Standardised pixels are what it is evaluated on, and images are shown in grey levels."""
    import torch

    from hfvae import MNISTDataModule, generate, load, reconstruct

    settings = [*SMALL, "--model.vae.init_args.likelihood_type=Gaussian", "--model.vae.init_args.latent_dim=4"]
    pixels = ["--data.dequantize=false", "--data.rotation=0", "--data.mean=0.25", "--data.std=0.4"]
    model = train(tmp_path, data_dir, *settings, *pixels, "--trainer.max_epochs=40")
    vae = load(model, device="cpu")
    assert (vae.training_data.pixels.mean, vae.training_data.pixels.std) == (0.25, 0.4)
    metrics = measure(tmp_path, data_dir, model)
    assert "standardised, (k / 255 - 0.25) / 0.4" in metrics["elbo"]["protocol"]
    module = MNISTDataModule(data_dir, batch_size=120)
    module.setup("test")
    grey, _ = next(iter(module.test_dataloader()))
    assert (reconstruct(vae, grey) - grey).square().mean() < 0.02, "reconstructions are grey levels, too"
    assert metrics["reconstruction_mse"]["value"] == pytest.approx(
        (reconstruct(vae, grey) - grey).square().mean().item(), rel=1e-3
    )
    assert abs(generate(vae, 200, generator=torch.Generator().manual_seed(0)).mean() - grey.mean()) < 0.1
