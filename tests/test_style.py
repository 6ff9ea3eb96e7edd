"""Lint, layout and types, so that `pytest` is the one command that checks everything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import REPOSITORY


@pytest.mark.parametrize("command", ["ruff check .", "ruff format --check .", "mypy"])
def test_the_checkers_are_content(command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command.split()], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md"))])
def test_links_lead_somewhere(page: str) -> None:
    path = REPOSITORY / page
    links = re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", path.read_text())
    local = [link for pair in links for link in pair if link and not link.startswith("http")]
    assert [link for link in local if not (path.parent / link).exists()] == []


def test_the_readme_works_on_a_package_index() -> None:
    """Its links are absolute, and lead to what is in this repository."""
    links = re.findall(r"\]\(([^)#]+)\)", (REPOSITORY / "README.md").read_text())
    ours = re.compile(r"https://(?:github\.com/hfvae/hfvae/blob|raw\.githubusercontent\.com/hfvae/hfvae)/main/(.*)")
    paths = [ours.fullmatch(link) for link in links]
    assert len(paths) > 8
    assert [link for link, path in zip(links, paths, strict=True) if not path] == []
    assert [path[1] for path in paths if path and not (REPOSITORY / path[1]).exists()] == []


def commands(page: Path) -> set[str]:
    """The scripts of ours that a page says to run."""
    return set(re.findall(r"python ((?:train|tests)/\w+\.py)", page.read_text()))


def test_commands_name_scripts_that_are_there() -> None:
    pages = [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]
    named = set().union(*(commands(page) for page in pages))
    assert {"train/fit.py", "train/evaluate.py", "train/push.py"} <= named
    assert [script for script in named if not (REPOSITORY / script).is_file()] == []
