"""Fixtures: tiny models, the real MNIST, a real Chromium.

A test that needs MNIST or Chromium skips where there is none; with HFVAE_NO_SKIPS=1 (as in CI) it fails instead.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from hfvae import VAE, ConvVAE, DenseVAE, MNISTDataModule, generate, hub, load
from hfvae.networks import ResidualBlock

REPOSITORY = Path(__file__).parent.parent


def residual(**options: Any) -> ConvVAE:
    """With blocks that do something already: they start as the identity."""
    vae = ConvVAE(channels=[2, 4], blocks=1, **{"hidden_features": [16], "latent_dim": 3, **options})
    for block in vae.modules():
        if isinstance(block, ResidualBlock):
            block[3].reset_parameters()
    return vae


TINY: dict[str, Callable[..., VAE]] = {
    "dense": lambda **options: DenseVAE(**{"hidden_features": [16], "latent_dim": 2, **options}),
    "conv": lambda **options: ConvVAE(channels=[2, 4], **{"hidden_features": [16], "latent_dim": 3, **options}),
    "residual": residual,
}
LIKELIHOOD_TYPES = ["Bernoulli", "ContinuousBernoulli", "Gaussian", "Laplace"]


LONGEST = ["test_page", "test_survival", "test_training", "test_publish", "test_story", "test_notebook"]
"""Modules that take minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that processes that share the tests end together."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


def missing(what: str) -> None:
    """Skip, or fail where nothing may be missing."""
    if os.environ.get("HFVAE_NO_SKIPS") == "1":
        pytest.fail(f"{what}, and HFVAE_NO_SKIPS=1 forbids to skip")
    pytest.skip(what)


MEASURED: dict[str, str] = {}
"""The environment of a process that coverage measures: the app, a hub's client."""


@pytest.fixture(scope="session", autouse=True)
def measure_what_only_others_run() -> None:
    """Coverage would measure every process that a test starts, which takes a third of a short training's time."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_PROCESS")]:
        MEASURED[name] = os.environ.pop(name)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=sorted(TINY))
def make_vae(request: pytest.FixtureRequest) -> Callable[..., VAE]:
    """Builds a tiny model of each class."""
    return TINY[request.param]


@pytest.fixture
def vae(make_vae: Callable[..., VAE]) -> VAE:
    return make_vae().eval()


@pytest.fixture
def images() -> torch.Tensor:
    """(6, 1, 28, 28) binary, so that every likelihood takes them."""
    return (torch.rand(6, 1, 28, 28) > 0.8).float()


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    folder = Path(os.environ.get("HFVAE_DATA_DIR", REPOSITORY / "data")).absolute()
    if not (folder / "MNIST" / "raw" / "t10k-images-idx3-ubyte").is_file():
        missing(f"no MNIST in {folder}; set HFVAE_DATA_DIR, or train once")
    return folder


def for_training(mnist_dir: Path, **more: str) -> dict[str, str]:
    """The environment of a process that trains on this MNIST, with callbacks of the tests' own."""
    ours = {"HFVAE_DATA_DIR": str(mnist_dir), "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    return {**os.environ, **ours, **more}


@pytest.fixture(scope="session")
def mnist(mnist_dir: Path) -> MNISTDataModule:
    """Grey test and training digits, 500 a batch."""
    module = MNISTDataModule(mnist_dir, batch_size=500)
    module.setup()
    return module


def chromium() -> str | None:
    """Where Chromium is."""
    return os.environ.get("HFVAE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def open_browser() -> Iterator[Any]:
    """A headless Chromium that phones nobody."""
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if chromium() is None:
        missing("no chromium on the PATH; install it, or set HFVAE_CHROMIUM")
    with open_browser() as browser:
        yield browser


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_served(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.URLError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
    raise AssertionError(f"no answer from {url}: {log.read_text()}")


class App:
    """`python app.py`, or another script that serves it, in a process of its own."""

    def __init__(
        self,
        log: Path,
        *arguments: str,
        script: Path = REPOSITORY / "app.py",
        port: int | None = None,
        **environment: str,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.log = log
        command = [sys.executable, str(script), "--port", str(self.port), *arguments]
        with log.open("w") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **MEASURED, **environment}
            )
        wait_until_served(self.url, self.process, log)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app with the bundled models; its log must end without a traceback."""
    app = App(tmp_path_factory.mktemp("app") / "log")
    yield app
    app.stop()
    assert "Traceback" not in app.log.read_text()


def close(shown: list[int], vae: VAE, z: list[float]) -> bool:
    """Whether a picture on the page is that of a latent point, as Python decodes it, to a grey level."""
    expected = (generate(vae, z=torch.tensor([z], dtype=torch.float32)).flatten() * 255).round()
    return bool(((torch.tensor(shown) - expected).abs() <= 1).all())


@pytest.fixture(scope="module")
def vaes() -> dict[str, VAE]:
    """The bundled models."""
    return {name: load(name, device="cpu") for name in hub.bundled_names()}
