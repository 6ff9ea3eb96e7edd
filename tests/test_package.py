"""What is on an index: a wheel and an sdist, installed alone, away from the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from support import REPOSITORY, copy_repository

from hfvae import hub
from hfvae.version import __version__


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`python -m build` of a clone, with the build tools that are installed."""
    source, output = copy_repository(tmp_path_factory.mktemp("source")), tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(output), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return output


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def installed(built: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package and nothing else; what it depends on is this environment's."""
    archive = next(built.glob("*.whl" if request.param == "wheel" else "*.tar.gz"))
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--no-index", "--target", str(target), str(archive)], check=True, capture_output=True)
    return target


def alone(installed: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(installed), "HF_HUB_OFFLINE": "1"}


def test_what_is_in_the_archives(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        files = set(wheel.namelist())
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        sources = {name.partition("/")[2] for name in sdist.getnames()}
    needed = {f"hfvae/{name}" for name in hub.package_files() if not name.endswith("reconstructions.png")}
    needed |= {f"hfvae/recipes/{path.name}" for path in (REPOSITORY / "configs").glob("*.yaml")}
    assert needed == {name for name in files if name.startswith("hfvae/")}, "the package's folder, and the recipes"
    assert {name for name in needed if "recipes" not in name} <= sources
    assert {"LICENSE", "README.md", "pyproject.toml", "app.py", "train/fit.py", "configs/mnist_dense.yaml"} <= sources
    assert {"tests/conftest.py", "tests/data/golden.safetensors", "docs/share.md"} <= sources
    assert not [name for name in files if name.startswith(("tests", "train")) or "screenshots" in name]


def test_models_load(installed: Path, tmp_path: Path) -> None:
    program = (
        "import hfvae; from hfvae import load; print(hfvae.__file__); print(hfvae.version.__version__);"
        "print(*sorted(load(name).config['latent_dim'] for name in ('mnist-conv-32d', 'mnist-dense-2d')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=alone(installed), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(installed / "hfvae" / "__init__.py"), __version__, "2", "32"]


def test_a_recipe_by_name(installed: Path, few_digits: Path, tmp_path: Path) -> None:
    """What `pip install "hfvae[train]"` gives: train by a recipe's name, away from the repository."""
    command = [sys.executable, "-m", "hfvae", "fit", "--config", "mnist_conv", "--trainer.fast_dev_run", "1"]
    environment = {**alone(installed), "HFVAE_DATA_DIR": str(few_digits), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    command[5] = "mnist_com"
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 1
    assert "no recipe of that name; there are mnist_conv, mnist_conv_binary" in done.stderr


def test_the_sdist_can_run_its_own_tests(built: Path, tmp_path: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        sdist.extractall(tmp_path, filter="data")
    [root] = tmp_path.iterdir()
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "tests/test_sampling.py"]
    done = subprocess.run([*command, "tests/test_priors.py"], cwd=root, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
