"""Publish an evaluated model, and if you like a Space that shows it.

python train/push.py --model runs/mnist_conv/pretrained --repo_id user/name --tag v1
python train/push.py --model runs/mnist_conv/pretrained --repo_id user/name --space user/demo
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))  # so that a clone works without installing the package
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

from huggingface_hub import constants  # noqa: E402

from hfvae import VAE, __version__, hub, publish  # noqa: E402

TRAINING_ONLY = {"data.py", "training.py", "plots.py"}
TRAINING_REQUIREMENTS = "# What train/ needs besides."


def main() -> None:
    parser = argparse.ArgumentParser(description="Publish an evaluated model, and if you like a Space that shows it.")
    parser.add_argument("--model", required=True, metavar="DIR", help="folder of an evaluated model, or a bundled name")
    parser.add_argument("--repo_id", required=True, help="where to publish it: user/name")
    parser.add_argument("--private", action="store_true", default=None, help="make the repository private")
    parser.add_argument("--revision", help="branch to commit to, made if missing (default: main)")
    parser.add_argument("--tag", help="tag to put on the commit")
    parser.add_argument("--message", default="Publish with hfvae", help="commit message")
    parser.add_argument("--space", metavar="USER/SPACE", help="publish the app too, as a Space that loads this model")
    arguments = parser.parse_args()
    try:
        publish_model(arguments)
        if arguments.space:
            publish_space(arguments)
    except hub.HubError as error:
        parser.exit(1, f"{error}\n")


def publish_model(arguments: argparse.Namespace) -> None:
    folder = hub.Source(arguments.model).folder
    if folder is None:
        raise hub.NotFoundError(f"{arguments.model} is no folder: train/fit.py prints the one it exported to")
    VAE.from_pretrained(folder)
    files = publish.prepare(folder, arguments.repo_id)
    announce(files, arguments.repo_id)
    address = publish.push(
        files,
        arguments.repo_id,
        message=arguments.message,
        private=arguments.private,
        revision=arguments.revision,
        tag=arguments.tag,
    )
    at = arguments.tag or arguments.revision
    revision = f', revision="{at}"' if at else ""
    print(f'Sent to {address}\nLoad it with hfvae.load("{arguments.repo_id}"{revision})')


def publish_space(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        files = space_files(Path(scratch), arguments.space, arguments.repo_id)
        announce(files, arguments.space)
        address = publish.push(
            files,
            arguments.space,
            message=arguments.message,
            repo_type="space",
            private=arguments.private,
            variables={"HFVAE_MODELS": arguments.repo_id},
        )
    print(f"Sent to {address}")
    if arguments.private:
        print("A private model needs a secret HF_TOKEN in the Space's settings")


def space_files(scratch: Path, space: str, model: str) -> dict[str, Path]:
    """What a Space needs to run the app: no training, no tests, no bundled models."""
    import gradio

    requirements = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8")
    needed, _, _ = requirements.partition(TRAINING_REQUIREMENTS)
    (scratch / "requirements.txt").write_text(needed, encoding="utf-8")
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
license: mit
models:
- {model}
tags:
- vae
- mnist
---

Draw digits, move latents and walk the latent map of [{model}]({constants.ENDPOINT}/{model}), with hfvae {__version__}.
Its variable `HFVAE_MODELS` names the models to load, separated by commas.
""",
        encoding="utf-8",
    )
    package = REPOSITORY / "hfvae"
    sources = [*package.glob("*.py"), *(package / "demo").glob("*.py"), *(package / "demo" / "assets").glob("*.*")]
    files = {path.relative_to(REPOSITORY).as_posix(): path for path in sources if path.name not in TRAINING_ONLY}
    files["app.py"] = REPOSITORY / "app.py"
    return files | {path.name: path for path in scratch.iterdir()}


def announce(files: Mapping[str, Path], repo_id: str) -> None:
    print(f"To {repo_id}:")
    for name, path in files.items():
        print(f"  {name:40} {path.stat().st_size:>12,} bytes")


if __name__ == "__main__":
    main()
