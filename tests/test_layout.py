"""The rooms and the arrows between them, read off the sources and off a running interpreter."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import REPOSITORY

PACKAGE = REPOSITORY / "hfvae"
# Which rooms a room may know. `demo` stands for all its modules.
ARROWS: dict[str, set[str]] = {
    "distributions": set(),
    "networks": set(),
    "card": set(),
    "hub": {"card"},
    "publish": {"card", "hub"},
    "sketch": set(),
    "plots": set(),
    "data": set(),
    "version": set(),
    "allocator": set(),
    "likelihoods": {"distributions"},
    "models": {"hub", "publish", "likelihoods", "networks"},
    "zoo": {"models"},
    "inference": {"models"},
    "evaluation": {"models", "inference"},
    "training": {"hub", "plots", "data", "inference", "models"},
    "demo": {"hub", "sketch", "models", "zoo", "inference", "evaluation"},
}
HEAVY = {"lightning": {"data", "training"}, "torchvision": {"data"}, "gradio": {"demo"}}


def room(path: Path) -> str:
    return "demo" if path.parent.name == "demo" else path.stem


def imports(path: Path) -> tuple[set[str], set[str]]:
    """The rooms and the outside packages that a module imports, at its top or inside a function."""
    rooms, packages = set(), set()
    base = 2 if path.parent.name == "demo" else 1
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            packages.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.level == base:
            rooms |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
    return rooms, packages


MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_point_down(path: Path) -> None:
    rooms, packages = imports(path)
    assert rooms <= ARROWS[room(path)]
    for package, allowed in HEAVY.items():
        if package in packages:
            assert room(path) in allowed, f"{package} is not for {path.name}"


@pytest.mark.parametrize("statement", ["import hfvae", "import hfvae.demo, app"])
def test_the_app_waits_for_neither_lightning_nor_torchvision(statement: str) -> None:
    probe = f"{statement}; import sys; print([m for m in ('lightning', 'torchvision', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names() -> None:
    import hfvae

    assert all(hasattr(hfvae, name) for name in hfvae.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hfvae.nothing  # noqa: B018


def test_the_readmes_code_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        names: dict[str, object] = {}
        exec(block, names)
        assert names["elbo"].shape == (25,)  # type: ignore[attr-defined]


EXTENSIONS = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs" / "extend.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("block", EXTENSIONS, ids=["dataset", "likelihood", "network"])
def test_extensions_are_short_and_work(block: str, tmp_path: Path) -> None:
    assert len(block.splitlines()) < 40
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", block], cwd=tmp_path, env=environment, check=True, timeout=100)


def test_requirements_are_the_declared_ones() -> None:
    tomllib = pytest.importorskip("tomllib", reason="tomllib is new in Python 3.11")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    declared = {
        *project["dependencies"],
        *(r for extra in ("app", "train") for r in project["optional-dependencies"][extra]),
    }
    listed = {line for line in (REPOSITORY / "requirements.txt").read_text().splitlines() if not line.startswith("#")}
    assert listed == declared
