"""Somebody writes a network of their own as docs/extend.md shows; it is saved, pushed, loaded elsewhere and shown."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hub_server import HubServer
from support import REPOSITORY
from walk import clean_environment, served, visitor

MAKE = """
import linear
vae = linear.LinearVAE(latent_dim=3)
vae.save_pretrained("model")
print(linear.LinearVAE.from_pretrained("model").push_to_hub("user/name"))
"""
LOAD = """
import json, sys, torch, hfvae, linear
vae = hfvae.load("user/name", device="cpu")
images = hfvae.generate(vae, z=torch.tensor([json.loads(sys.argv[1])]))
print(json.dumps([type(vae).__name__, images.flatten().tolist()]))
"""


def example(name: str) -> str:
    """The code of docs/extend.md's file of that name."""
    text = (REPOSITORY / "docs" / "extend.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return next(block for block in blocks if block.startswith(f"# {name}"))


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_a_network_of_ones_own(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "linear.py").write_text(example("linear.py"))
    with HubServer() as server:
        places = {"PYTHONPATH": f"{REPOSITORY}:{tmp_path}"}
        author = clean_environment(**{**server.env(tmp_path / "author", "hf_user"), **places})
        reader = clean_environment(**{**server.env(tmp_path / "reader"), **places})

        def python(environment: dict[str, str], *arguments: str) -> str:
            command = [sys.executable, *arguments]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        assert f"{server.url}/user/name" in python(author, "-c", MAKE)
        without = subprocess.run(
            [sys.executable, "-c", 'import hfvae; hfvae.load("user/name")'],
            env=reader,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert "'LinearVAE'; known classes are" in without.stderr, "a class that was not imported is named"
        app = [sys.executable, str(REPOSITORY / "app.py"), "--model", "user/name", "--extension", "linear"]
        folder = tmp_path / "work"
        folder.mkdir()
        with served(app, folder, reader) as url, visitor(browser, url) as person:
            person.open("Sliders")
            person.page.locator("#sliders input").first.fill("0.75")
            person.page.wait_for_function("hfvae.state.z[0] === 0.75 && hfvae.state.exact && !!hfvae.state.decode")
            shown = person.settled("#generated")
            name, expected = json.loads(python(reader, "-c", LOAD, json.dumps(person.z)))
        assert name == "LinearVAE"
        assert max(abs(grey - 255 * value) for grey, value in zip(shown, expected, strict=True)) <= 1
