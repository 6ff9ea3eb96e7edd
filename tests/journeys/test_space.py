"""Somebody pushes a model with a Space; the hub checks the Space out by itself, installs it and starts it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub_server import HubServer
from support import REPOSITORY
from walk import clean_environment, served, visitor, walk

from hfvae import hub

MODELS = ("mnist-dense-2d", "mnist-conv-32d")


def push(server: HubServer, home: Path, *arguments: str) -> None:
    command = [sys.executable, str(REPOSITORY / "train" / "push.py"), *arguments]
    done = subprocess.run(command, env=server.env(home, "hf_user"), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


def check_out(server: HubServer, space: str, folder: Path) -> None:
    for name, content in server.files(space, repo_type="space").items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.mark.browser
@pytest.mark.timeout(1200)
def test_a_pushed_space(
    install: Callable[..., str], reachable: Callable[[Path], Path], browser: Any, tmp_path: Path
) -> None:
    space = tmp_path / "space"
    with HubServer() as server:
        for name in MODELS:
            push(server, tmp_path / "home", "--model", name, "--repo_id", f"user/{name}", "--space", "user/demo")
        check_out(server, "user/demo", space)
        assert not [path for path in space.rglob("*") if path.name == hub.WEIGHTS], "no bundled model"
        python = install("-r", reachable(space / "requirements.txt"))
        variables = server.repo("user/demo", repo_type="space").variables
        assert variables == {"HFVAE_MODELS": f"user/{MODELS[-1]}"}
        both = ",".join(f"user/{name}" for name in MODELS)  # as the Space's card tells its owner
        ours = {"SPACE_ID": "user/demo", "GRADIO_SERVER_NAME": "0.0.0.0", "HFVAE_MODELS": both}
        environment = clean_environment(**{**server.env(tmp_path / "fresh"), **ours})
        environment.pop("PYTHONPATH", None)  # the Space's own files are found first
        with served([python, "app.py"], space, environment) as url, visitor(browser, url) as person:
            titles = person.page.locator("#model option").all_inner_texts()
            assert [title.split(" ")[0] for title in titles] == [f"user/{name}" for name in MODELS]
            walk(person)
