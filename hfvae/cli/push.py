"""Publish an evaluated model, and optionally a Space that shows it.

python train/push.py --model runs/mnist_conv/pretrained --repo_id user/name --tag v1
python train/push.py --model runs/mnist_conv/pretrained --repo_id user/name --space user/demo
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # huggingface_hub reads it when it is imported

from huggingface_hub import constants

from .. import hub
from ..models import VAE
from ..version import __version__
from . import REPOSITORY, add_extension_option, import_extensions

TRAINING_ONLY = {
    *("data.py", "readers.py", "plots.py", "training", "export.py"),
    *("fit.py", "evaluate.py", "metrics.py", "push.py"),
}
"""Modules and folders of the package that a Space does not need."""
HARDWARE = "cpu-basic"
CPU_BUILDS = "--extra-index-url https://download.pytorch.org/whl/cpu"
"""PyTorch's own builds, without 4 GB of CUDA packages; the address that pytorch.org gives."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Publish as `arguments` (None: the command line's) say."""
    parser = argparse.ArgumentParser(description="Publish an evaluated model, and optionally a Space that shows it.")
    parser.add_argument("--model", required=True, metavar="DIR", help="folder of an evaluated model, or a bundled name")
    parser.add_argument("--repo_id", required=True, help="where to publish it: user/name")
    parser.add_argument("--private", action="store_true", default=None, help="make the repository private")
    parser.add_argument("--revision", help="branch to commit to, made if missing (default: main)")
    parser.add_argument("--tag", help="tag to put on the commit")
    parser.add_argument("--message", default="Publish with hfvae", help="commit message")
    parser.add_argument("--space", metavar="USER/SPACE", help="publish the app too, as a Space that loads this model")
    parser.add_argument("--hardware", default=HARDWARE, help=f"hardware that the Space suggests (default: {HARDWARE})")
    add_extension_option(parser)
    options = parser.parse_args(arguments)
    import_extensions(options.extension)
    try:
        publish_model(options)
        if options.space:
            publish_space(options)
    except hub.HubError as error:
        parser.exit(1, f"{error}\n")


def publish_model(options: argparse.Namespace) -> None:
    """Check and send the model's folder."""
    folder = hub.ModelSource(options.model).folder
    if folder is None:
        raise hub.NotFoundError(f"{options.model} is no folder: train/fit.py prints the one it exported to")
    with hub.model_files(VAE.from_pretrained(folder), options.repo_id, folder) as files:
        announce(files, options.repo_id)
        commit = hub.push(
            files,
            options.repo_id,
            message=options.message,
            private=options.private,
            revision=options.revision,
            tag=options.tag,
        )
    at = options.tag or options.revision
    revision = f', revision="{at}"' if at else ""
    address = f"{commit.repo_url}/tree/{at}" if at else commit.repo_url
    print(f'Sent to {address}\nLoad it with hfvae.load("{options.repo_id}"{revision})')


def publish_space(options: argparse.Namespace) -> None:
    """Send the app, without any model, to a Space that loads the published one."""
    with tempfile.TemporaryDirectory() as scratch:
        files = space_files(Path(scratch), options.space, options.repo_id, options.hardware)
        announce(files, options.space)
        commit = hub.push(
            files,
            options.space,
            message=options.message,
            repo_type="space",
            private=options.private,
            variables={"HFVAE_MODELS": options.repo_id},
        )
    print(f"Sent to {commit.repo_url}")
    if options.private:
        print("A private model needs a secret HF_TOKEN in the Space's settings")


def space_files(scratch: Path, space: str, model: str, hardware: str = HARDWARE) -> dict[str, Path]:
    """What a Space needs to run the app: no training, no tests, no bundled models.

    Args:
        scratch: an existing folder for the files that are made.
        space: the Space, user/name.
        model: the repository of the model that it loads.
        hardware: a name of the hub's; torch is built without CUDA for those that begin with "cpu".
    """
    import gradio

    if not (REPOSITORY / "requirements.txt").is_file():
        raise hub.NotFoundError("a Space is made of a clone's files: run train/push.py in a clone of the repository")
    needed = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8")
    builds = f"{CPU_BUILDS}\n" if hardware.startswith("cpu") else ""
    (scratch / "requirements.txt").write_text(builds + needed, encoding="utf-8")
    (scratch / "README.md").write_text(
        f"""---
title: {space.split("/")[-1]}
emoji: ✍️
colorFrom: gray
colorTo: blue
sdk: gradio
sdk_version: {gradio.__version__}
app_file: app.py
python_version: "3.11"
short_description: Draw digits and walk through a VAE's latent space
thumbnail: {constants.ENDPOINT}/{model}/resolve/main/figures/samples.png
suggested_hardware: {hardware}
license: mit
models:
- {model}
preload_from_hub:
- {model} config.json,model.safetensors,latents.safetensors
tags:
- vae
- mnist
---

Draw, move latents and explore the latent map of [{model}]({constants.ENDPOINT}/{model}), with hfvae {__version__}.
Its variable `HFVAE_MODELS` names the models to load, separated by commas.
""",
        encoding="utf-8",
    )
    package = REPOSITORY / "hfvae"
    kinds = {".py", ".js", ".html", ".css", ".md"}
    parts = {path: path.relative_to(package).parts for path in sorted(package.rglob("*")) if path.suffix in kinds}
    files = {
        path.relative_to(REPOSITORY).as_posix(): path
        for path, names in parts.items()
        if not {"pretrained", *TRAINING_ONLY} & set(names)
    }
    files["app.py"] = REPOSITORY / "app.py"
    return files | {path.name: path for path in scratch.iterdir()}


def announce(files: Mapping[str, Path], repo_id: str) -> None:
    """Print what is about to be sent."""
    print(f"To {repo_id}:")
    for name, path in files.items():
        print(f"  {name:40} {path.stat().st_size:>12,} bytes")
