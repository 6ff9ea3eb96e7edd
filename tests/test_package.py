"""What is on an index: a wheel and an sdist, installed alone, away from the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from pathlib import Path

import pytest
from support import REPOSITORY, free_port, wait_until_served

from hfvae import hub
from hfvae.version import __version__


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`python -m build` of what the package is made of, with the build tools that are installed."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("hfvae", "pyproject.toml", "README.md", "LICENSE"):
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / name)
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
    assert needed <= files
    assert needed | {"LICENSE", "README.md", "pyproject.toml"} <= sources
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
