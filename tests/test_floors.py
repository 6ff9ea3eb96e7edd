"""The oldest versions that pyproject.toml claims: a training, an evaluation and a loaded model with them."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support import REPOSITORY

NOT_REPLACED = {"torch", "torchvision", "gradio", "huggingface_hub", "httpx2"}
"""Gigabytes, or with dependencies of their own: the installed ones stay. The hub tests try huggingface_hub's range."""
CHECK = """
import sys, numpy, torch, PIL, hfvae
from importlib.metadata import version
from PIL import Image
from hfvae.images import as_images
versions = {name: version(name) for name in ("numpy", "safetensors", "jinja2", "tqdm", "pillow")}
vae = hfvae.load(sys.argv[1], device="cpu")
x = as_images([Image.new("L", (28, 28), 90), numpy.zeros((28, 28, 4), numpy.uint8)], vae.image_shape)
assert hfvae.reconstruct(vae, x).shape == hfvae.generate(vae, 2).shape == (2, 1, 28, 28)
print(versions)
"""


def floors() -> list[str]:
    """What the package and its extras `app` and `train` need, as ``name==oldest``."""
    tomllib = pytest.importorskip("tomllib", reason="tomllib is new in Python 3.11")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = {*project["dependencies"], *extras["app"], *extras["train"]}
    oldest = {name.partition("[")[0]: least for name, _, least in (entry.partition(">=") for entry in needed)}
    return [f"{name}=={least.partition(',')[0]}" for name, least in sorted(oldest.items()) if name not in NOT_REPLACED]


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the oldest versions, to stand first on the path."""
    target = tmp_path_factory.mktemp("floors")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run([*command, "--target", str(target), *floors()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "yanked" not in done.stderr, "nobody gets a yanked release"
    return target


def write_images(data_dir: Path) -> None:
    """FashionMNIST's four files, with noise in them."""
    folder = data_dir / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for part, count in (("train", 600), ("t10k", 100)):
        pixels = torch.randint(0, 256, (count, 28, 28), generator=generator, dtype=torch.uint8)
        labels = (torch.arange(count) % 10).byte()
        for kind, array in (("images-idx3", pixels), ("labels-idx1", labels)):
            header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
            (folder / f"{part}-{kind}-ubyte").write_bytes(header + array.numpy().tobytes())


@pytest.mark.skipif(os.environ.get("HFVAE_INSTALL_TESTS") != "1", reason="HFVAE_INSTALL_TESTS=1 installs packages")
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the oldest numpy is older than Python 3.13")
@pytest.mark.timeout(600)
def test_the_oldest_versions_train_measure_and_load(overlay: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "data")
    path = os.pathsep.join([str(overlay), str(REPOSITORY)])
    environment = {**os.environ, "PYTHONPATH": path, "HFVAE_DATA_DIR": str(tmp_path / "data"), "HF_HUB_OFFLINE": "1"}
    settings = ["--data.dataset", "FashionMNIST", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
    folder = str(tmp_path / "run" / "pretrained")
    for arguments in (
        [
            "-m",
            "hfvae",
            "fit",
            "--config",
            "mnist_dense",
            *settings,
            "--trainer.default_root_dir",
            str(tmp_path / "run"),
        ],
        ["-m", "hfvae", "evaluate", "--model", folder, "--num_samples", "2", "--device", "cpu"],
        ["-c", CHECK, folder],
    ):
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    for requirement in floors():
        name, _, version = requirement.partition("==")
        if name.lower() in ("numpy", "safetensors", "jinja2", "tqdm", "pillow"):
            assert f"'{name.lower()}': '{version}" in done.stdout, "the old ones were used"
