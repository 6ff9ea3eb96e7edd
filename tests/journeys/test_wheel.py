"""Somebody has the wheel and no clone: every command, in a folder of theirs, with messages that name what they have."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub_server import HubServer
from walk import clean_environment, served, visitor, walk

from hfvae.version import __version__

SHORT = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=20", "--trainer.callbacks=null"]
CLONE_ONLY = re.compile(r"train/\w+\.py|python app\.py|configs/")


@pytest.mark.mnist
@pytest.mark.browser
@pytest.mark.timeout(1500)
def test_every_command_of_the_wheel(
    wheel: Path, install: Callable[..., str], few_digits: Path, browser: Any, tmp_path: Path
) -> None:
    python = install(f"{wheel}[app,train]")
    packages = tmp_path / "packages"  # where this environment serves, the wheel's own files come first
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(packages), str(wheel)],
        check=True,
    )
    work = tmp_path / "work"
    work.mkdir()
    with HubServer() as server:
        ours = {**server.env(tmp_path / "home", "hf_user"), "HFVAE_DATA_DIR": str(few_digits)}
        environment = clean_environment(**{**ours, "PYTHONPATH": str(packages), "OMP_NUM_THREADS": "2"})

        def hfvae(*arguments: str, code: int = 0) -> str:
            command = [python, "-m", "hfvae", *arguments]
            done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=300)
            printed = done.stdout + done.stderr
            assert done.returncode == code, printed
            assert "training mode" not in printed
            assert not CLONE_ONLY.search(printed.replace(str(tmp_path), "")), printed
            return printed

        assert hfvae("--version") == f"hfvae {__version__}\n"
        for command in ("app", "fit", "evaluate", "push", "export"):
            assert f"hfvae {command}" in hfvae(command, "--help")
        assert "hfvae evaluate --model runs/mnist_dense/pretrained" in hfvae("fit", *SHORT)
        model = "runs/mnist_dense/pretrained"
        assert f"hfvae push --model {model}" in hfvae("evaluate", "--model", model, "--num_samples", "1")
        hfvae("export", "--model", model, "--format", "torch")
        hfvae("push", "--model", model, "--repo_id", "user/name", "--space", "user/demo")
        assert {"hfvae/demo/page/strings/en.json", "app.py"} <= set(server.files("user/demo", repo_type="space"))
        sent = server.files("user/name")
        assert json.loads(sent["training.json"])["command"].startswith("hfvae fit ")
        assert not CLONE_ONLY.search(re.sub(r"or in a clone `[^`]*`", "", sent["README.md"].decode()))
        run = [python, "-m", "hfvae", "app", "--model", "mnist-dense-2d", "--model", "user/name"]
        with served(run, work, environment) as url, visitor(browser, url) as person:
            walk(person)
