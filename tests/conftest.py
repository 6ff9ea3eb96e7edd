"""Fixtures: tiny models, the real MNIST, a real Chromium.

A test that needs MNIST, Chromium or Node.js skips where there is none; with HFVAE_NO_SKIPS=1 (as in CI) it fails.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from person import Person
from support import MEASURED, REPOSITORY, TINY, App, chromium, missing, open_browser

from hfvae import VAE, MNISTDataModule, hub, load

LONGEST = [
    "test_wheel",
    "test_share",
    "test_publish",
    "test_space",
    "test_clone",
    "test_page_serving",
    "test_page_point",
    "test_page_sliders",
    "test_interrupted_run",
    "test_survival",
    "test_training",
    "test_page_draw",
    "test_page_map",
    "test_extension",
    "test_own_class",
    "test_notebook",
]
"""Modules that take minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that processes that share the tests end together."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


def pytest_xdist_auto_num_workers() -> int:
    """A process more than cores: many tests wait for a server, a browser or a time-out."""
    return (os.cpu_count() or 1) + 1


def pytest_configure() -> None:
    """One thread of torch, here and in what tests start, since processes share the cores already."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(scope="session", autouse=True)
def measure_what_only_others_run() -> None:
    """Coverage would measure every process that a test starts, which takes a third of a short training's time."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_PROCESS")]:
        MEASURED[name] = os.environ.pop(name)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)
    torch.distributions.Distribution.set_default_validate_args(True)  # a test's torch.compile turns it off for good


@pytest.fixture(params=sorted(TINY))
def make_vae(request: pytest.FixtureRequest) -> Callable[..., VAE]:
    """Builds a tiny model of each class."""
    return TINY[request.param]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., App]]:
    """Starts apps that show the models in these folders, and stops them at the end, whatever happened."""
    apps: list[App] = []

    def started(*folders: Path) -> App:
        models = [part for folder in folders for part in ("--model", str(folder))]
        apps.append(App(tmp_path / f"log{len(apps)}", *models))
        return apps[-1]

    yield started
    for app in apps:
        app.stop()


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


@pytest.fixture(scope="session")
def few_digits(mnist_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the first 3,600 and 500 of MNIST's images, so that trainings and evaluations take seconds."""
    folder = tmp_path_factory.mktemp("few")
    (folder / "MNIST" / "raw").mkdir(parents=True)
    for part, count in (("train", 3600), ("t10k", 500)):
        for kind, header, size in (("images-idx3", 16, 784), ("labels-idx1", 8, 1)):
            name = f"MNIST/raw/{part}-{kind}-ubyte"
            content = (mnist_dir / name).read_bytes()[: header + size * count]
            (folder / name).write_bytes(content[:4] + count.to_bytes(4, "big") + content[8:])
    return folder


@pytest.fixture(scope="session")
def mnist(mnist_dir: Path) -> MNISTDataModule:
    """Grey test and training digits, 500 a batch."""
    module = MNISTDataModule(mnist_dir, batch_size=500)
    module.setup()
    return module


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if chromium() is None:
        missing("no chromium on the PATH; install it, or set HFVAE_CHROMIUM")
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app with the bundled models; its log must end without a traceback."""
    app = App(tmp_path_factory.mktemp("app") / "log")
    yield app
    app.stop()
    assert "Traceback" not in app.log.read_text()


@pytest.fixture(scope="module")
def vaes() -> dict[str, VAE]:
    """The bundled models."""
    return {name: load(name, device="cpu") for name in hub.bundled_names()}


@pytest.fixture
def person(app: App, browser: Any) -> Iterator[Person]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    person = Person(context.new_page(), app.url)
    yield person
    assert person.outside == [], "no request leaves the machine"
    assert person.mishaps == []
    context.close()
