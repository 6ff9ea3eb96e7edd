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

from .. import hub
from ..models import VAE
from ..version import command
from . import add_extension_option, import_extensions


def main(arguments: Sequence[str] | None = None) -> None:
    """Publish as `arguments` (None: the command line's) say."""
    parser = argparse.ArgumentParser(
        prog=command("push"), description="Publish an evaluated model, and optionally a Space that shows it."
    )
    parser.add_argument("--model", required=True, metavar="DIR", help="folder of an evaluated model, or a bundled name")
    parser.add_argument("--repo_id", required=True, help="where to publish it: user/name")
    parser.add_argument("--private", action="store_true", default=None, help="make the repository private")
    parser.add_argument("--revision", help="branch to commit to, made if missing (default: main)")
    parser.add_argument("--tag", help="tag to put on the commit")
    parser.add_argument("--message", default="Publish with hfvae", help="commit message")
    parser.add_argument("--space", metavar="USER/SPACE", help="publish the app too, as a Space that loads this model")
    parser.add_argument(
        "--hardware", default=hub.HARDWARE, help="hardware that the Space suggests (default: %(default)s)"
    )
    add_extension_option(parser)
    options = parser.parse_args(arguments)
    import_extensions(options.extension)
    try:
        publish(options)
    except hub.HubError as error:
        parser.exit(1, f"{error}\n")


def publish(options: argparse.Namespace) -> None:
    """Check the model and the Space; once both are fit to be sent, send the one and then the other.

    Raises:
        hub.HubError: what is wrong, and what was sent.
    """
    folder = hub.ModelSource(options.model).folder
    if folder is None:
        raise hub.NotFoundError(f"{options.model} is not a folder: give the one that {command('fit')} exported to")
    if options.space and options.revision:
        raise hub.PushError("a Space loads the main branch of its model: leave --revision or --space out")
    repo_id = hub.full_repo_id(options.repo_id)
    with (
        tempfile.TemporaryDirectory() as scratch,
        hub.model_files(VAE.from_pretrained(folder), repo_id, folder) as files,
    ):
        hub.check_push(repo_id, private=options.private, tag=options.tag)
        if options.space:
            space = hub.full_repo_id(options.space)
            app = hub.space_files(Path(scratch), space, repo_id, options.hardware)
            hub.check_push(space, repo_type="space", private=options.private)
        send_model(files, repo_id, options)
        if options.space:
            send_space(app, space, repo_id, options)


def send_model(files: Mapping[str, Path], repo_id: str, options: argparse.Namespace) -> None:
    """Send the model's files, and say how to load them."""
    announce(files, repo_id)
    commit = hub.push(
        files,
        repo_id,
        message=options.message,
        private=options.private,
        revision=options.revision,
        tag=options.tag,
    )
    at = options.tag or options.revision
    revision = f', revision="{at}"' if at else ""
    address = f"{commit.repo_url}/tree/{at}" if at else commit.repo_url
    print(f'Sent to {address}\nLoad it with hfvae.load("{repo_id}"{revision})')


def send_space(files: Mapping[str, Path], space: str, model: str, options: argparse.Namespace) -> None:
    """Send the app to a Space that loads the published model."""
    announce(files, space)
    commit = hub.push(
        files,
        space,
        message=options.message,
        repo_type="space",
        private=options.private,
        variables={"HFVAE_MODELS": model},
    )
    print(f"Sent to {commit.repo_url}")
    if options.private:
        print("A private model needs a secret HF_TOKEN in the Space's settings")


def announce(files: Mapping[str, Path], repo_id: str) -> None:
    """Print what is about to be sent."""
    print(f"To {repo_id}:")
    for name, path in files.items():
        print(f"  {name:40} {path.stat().st_size:>12,} bytes")
