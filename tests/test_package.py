"""What is on an index: a wheel and an sdist, installed alone, away from the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest
from support import REPOSITORY, TINY, free_port, wait_until_served

from hfvae import hub
from hfvae.cli import push as push_script
from hfvae.version import __version__


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`python -m build` of a clone, with the build tools that are installed."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for path in REPOSITORY.iterdir():
        if path.is_dir() and path.name in ("hfvae", "configs", "docs", "tests", "train"):
            shutil.copytree(path, source / path.name, ignore=shutil.ignore_patterns("__pycache__", "MNIST"))
        elif path.is_file():
            shutil.copy(path, source / path.name)
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
    needed = {"hfvae/py.typed", "hfvae/demo/shared/core.js", "hfvae/demo/shared/style.css"}
    needed |= {"hfvae/hub/card_template.md", "hfvae/classifier.safetensors", "hfvae/demo/draw/draw.html"}
    for name in hub.bundled_names():
        needed |= {f"hfvae/pretrained/{name}/{file}" for file in (hub.CONFIG, hub.WEIGHTS, hub.LATENTS, hub.CARD)}
    needed |= {f"hfvae/recipes/{path.name}" for path in (REPOSITORY / "configs").glob("*.yaml")}
    assert needed <= files
    modules = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "hfvae").rglob("*.py")}
    assert modules == {name for name in files if name.endswith(".py")}, "pyproject.toml lists the packages"
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


def test_the_app_starts(installed: Path, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "hfvae", "app", "--port", str(port)]
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=tmp_path, env=alone(installed), stdout=output, stderr=output)
    try:
        wait_until_served(f"http://127.0.0.1:{port}/", process, log)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/config", timeout=30) as answer:
            assert "mnist-conv-32d" in answer.read().decode()
    finally:
        process.terminate()
        process.wait(20)


def test_a_recipe_by_name(installed: Path, mnist_dir: Path, tmp_path: Path) -> None:
    """What `pip install "hfvae[train]"` gives: train by a recipe's name, away from the repository."""
    command = [sys.executable, "-m", "hfvae", "fit", "--config", "mnist_conv", "--trainer.fast_dev_run", "1"]
    environment = {**alone(installed), "HFVAE_DATA_DIR": str(mnist_dir), "OMP_NUM_THREADS": "1"}
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


@pytest.mark.timeout(1200)
@pytest.mark.skipif(os.environ.get("HFVAE_INSTALL_TESTS") != "1", reason="installs gigabytes: HFVAE_INSTALL_TESTS=1")
def test_a_space_in_an_environment_of_its_own(tmp_path: Path) -> None:
    """A Space's folder, installed from its own requirements and started; CPU builds of torch may be out of reach."""
    space = tmp_path / "space"
    (tmp_path / "scratch").mkdir()
    files = push_script.space_files(tmp_path / "scratch", "user/demo", "user/name")
    for name, path in files.items():
        (space / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, space / name)
    requirements = (space / "requirements.txt").read_text().replace(push_script.CPU_BUILDS, "")
    (space / "requirements.txt").write_text(requirements)
    TINY["conv"]().save_pretrained(tmp_path / "model")
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "-r", "requirements.txt"]
    subprocess.run(install, cwd=space, check=True)
    installed = subprocess.check_output([python, "-m", "pip", "list"], text=True).split()
    assert not {"lightning", "torchvision", "timm", "scikit-learn"} & set(installed)
    port, log = free_port(), tmp_path / "log"
    command = [python, "app.py", "--port", str(port), "--model", str(tmp_path / "model")]
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=space, env=alone(space), stdout=output, stderr=output)
    try:
        wait_until_served(f"http://127.0.0.1:{port}/", process, log)
    finally:
        process.terminate()
        process.wait(20)
