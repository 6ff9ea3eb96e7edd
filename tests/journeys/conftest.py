"""Places where users have the package: a clone, a wheel, environments with nothing else in them.

With HFVAE_INSTALL_TESTS=1 (as in CI) each place has an environment of its own, made by pip; else this one serves, with
the place's files first on its path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from support import REPOSITORY, copy_repository

from hfvae.hub.space import CPU_BUILDS

Install = Callable[..., str]
OWN = os.environ.get("HFVAE_INSTALL_TESTS") == "1"


def pip(python: str | Path, *arguments: str | Path) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-cache-dir", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def torch_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with torch alone: its gigabytes are installed once for all places."""
    shared = tmp_path_factory.getbasetemp().parent / "torch-environment"
    with FileLock(f"{shared}.lock"):
        if not (shared / "whole").exists():
            venv.create(shared, with_pip=True)
            pip(shared / "bin" / "python", next(line for line in requirement_lines() if line.startswith("torch")))
            (shared / "whole").touch()
    return shared


def requirement_lines() -> list[str]:
    return (REPOSITORY / "requirements.txt").read_text().splitlines()


@pytest.fixture
def install(request: pytest.FixtureRequest, tmp_path: Path) -> Install:
    """Installs what pip is told into a new environment; returns its Python."""

    def install(*arguments: str | Path) -> str:
        if not OWN:
            return sys.executable
        environment = tmp_path / "environment"
        shared = request.getfixturevalue("torch_environment")
        shutil.copytree(shared, environment, symlinks=True, copy_function=os.link)
        pip(environment / "bin" / "python", *arguments)
        return str(environment / "bin" / "python")

    return install


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository's files, without what tests and runs leave in it."""
    return copy_repository(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="session")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `python -m build` makes of a clone, with the build tools that are installed."""
    output = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(output), str(clone)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return next(output.glob("*.whl"))


@pytest.fixture
def reachable() -> Callable[[Path], Path]:
    """Takes the address of PyTorch's own builds, which tests cannot reach, out of a requirements.txt."""

    def reachable(requirements: Path) -> Path:
        requirements.write_text(requirements.read_text().replace(CPU_BUILDS, ""))
        return requirements

    return reachable
