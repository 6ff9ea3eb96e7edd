"""Every line of code that README, docs, cards and the page show: Python runs, commands are understood."""

from __future__ import annotations

import argparse
import html
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from hub_server import HubServer
from huggingface_hub import constants
from PIL import Image
from support import REPOSITORY, TINY

import hfvae
from hfvae import hub, load

DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
CARDS = [hub.BUNDLED / name / hub.CARD for name in hub.bundled_names()]
FENCED = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"(?:python app\.py|python train/\w+\.py|hfvae \w+)(?= |$).*")


def blocks(path: Path, language: str) -> Iterator[str]:
    yield from (code for tag, code in FENCED.findall(path.read_text()) if tag == language)


def code_blocks() -> Iterator[Any]:
    """Python that stands for itself; docs/extend.md's files are run by test_extension.py."""
    for path in (*DOCUMENTS, *CARDS):
        for number, code in enumerate(blocks(path, "python")):
            if not re.match(r"# \w+\.py", code):
                yield pytest.param(code, id=f"{path.parent.name}-{path.stem}-{number}")


def commands() -> Iterator[str]:
    """Command lines in blocks without a language, but for synopses."""
    for path in (*DOCUMENTS, *CARDS):
        for block in blocks(path, ""):
            for line in block.splitlines():
                found = [COMMAND.search(part) for part in line.partition(" #")[0].split("&&")]
                yield from (command[0].strip() for command in found if command and "]..." not in command[0])


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What the code speaks of: user/name on a hub, a data set, a drawing, a batch of images."""
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    blank = Image.new("L", (28, 28))
    images = datasets.Dataset.from_dict({"image": [blank] * 200, "label": list(range(200))}, features=features)
    monkeypatch.setattr(datasets, "load_dataset", lambda *positional, **named: images)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", "hf_user")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with HubServer() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace("https://huggingface.co", server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        TINY["conv"]().save_pretrained(tmp_path / "model")
        files = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
        server.put("user/name", files)
        server.repo("user/name").tags["v1"] = server.commits("user/name")[0].id
        vae = load("mnist-conv-32d", device="cpu")
        drawing = torch.zeros(140, 140)
        drawing[30:110, 60:75] = 1
        yield {"vae": vae, "x": torch.rand(5, 1, 28, 28), "z": torch.randn(5, 32), "drawing": drawing}


@pytest.mark.parametrize("code", list(code_blocks()))
@pytest.mark.filterwarnings("ignore")  # Lightning's hints
def test_python_runs(code: str, world: dict[str, Any], request: pytest.FixtureRequest) -> None:
    if "gradio_client" in code:
        code = code.replace("http://127.0.0.1:7860", request.getfixturevalue("app").url)
    exec(compile(code, "shown", "exec"), world)


@pytest.mark.parametrize("name", hub.bundled_names())
def test_the_steps_that_the_page_explains_run(name: str) -> None:
    """The code beside each step, from a drawing to its ELBO, as the page has it for this model."""
    folder = REPOSITORY / "hfvae" / "demo" / "draw"
    [first, binary] = re.findall(
        r'`(x = .*?)\$\{model\.binary \? "(.*?)" : ""\}`', (folder / "explain.js").read_text()
    )[0]
    vae = load(name, device="cpu")
    if vae.likelihood.evaluation_pixels(vae.training_data.pixels).binary:
        first += binary
    steps = [first, *re.findall(r"<code>(.+?)</code>", (folder / "explain.html").read_text())]
    assert len(steps) == 5
    names: dict[str, Any] = {"vae": vae, "hfvae": hfvae, "drawing": torch.eye(140)}
    for step in map(html.unescape, steps):
        exec(step, names)
    assert names["elbo"].shape == (1,)
    assert names["elbo"].isfinite()


class Understood(Exception):
    """A command line was parsed; nothing is to be run."""


@pytest.mark.parametrize("line", sorted(set(commands())))
@pytest.mark.filterwarnings("ignore")  # Lightning's command line warns of its own parts
def test_commands_are_understood(line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = shlex.split(line)
    name, arguments = (words[1], words[2:]) if words[0] == "hfvae" else (Path(words[1]).stem, words[2:])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(REPOSITORY / "configs")
    main = import_module(f"hfvae.cli.{name}").main
    if name == "fit":
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--print_config"])
        assert not ended.value.code
        return
    parse = argparse.ArgumentParser.parse_args

    def only_parse(*positional: Any) -> NoReturn:
        parse(*positional)
        raise Understood

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", only_parse)
    with pytest.raises(Understood):
        main(arguments)
