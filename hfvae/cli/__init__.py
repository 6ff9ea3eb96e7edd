"""The commands ``hfvae app``, ``fit``, ``evaluate``, ``push``, ``export``, which `app.py` and `train/*.py` call too."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ..version import __version__

if TYPE_CHECKING:
    from ..hub import ModelSource

COMMANDS = {
    "app": "serve the app",
    "fit": "train a model",
    "evaluate": "measure a model and write its card",
    "push": "publish a model",
    "export": "write a model's parts as ONNX or torch programs",
}


def main() -> None:
    """Run the command that the first argument names; the module of that name parses the others."""
    name, arguments = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if name == "--version":
        print(f"hfvae {__version__}")
        return
    if name not in COMMANDS:
        listing = "\n".join(f"  hfvae {command:10} {text}" for command, text in COMMANDS.items())
        asked = name in ("", "-h", "--help")
        print(f"{'' if asked else f'hfvae has no command {name}. '}The commands, each with its own --help:\n{listing}")
        sys.exit(0 if asked else 2)
    import_module(f".{name}", __package__).main(arguments)


def add_extension_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--extension`` to a command that loads models."""
    parser.add_argument(
        "--extension",
        action="append",
        default=[],
        metavar="MODULE",
        help="Python module to import first, which adds priors, likelihoods, data sets or models; may be repeated",
    )


def import_extensions(modules: Sequence[str]) -> None:
    """Import modules by name, also from the working directory."""
    here = str(Path.cwd())
    if modules and here not in sys.path:
        sys.path.insert(0, here)
    for module in modules:
        import_module(module)


def model_folder(source: ModelSource) -> Path:
    """Where what a command makes of a model belongs: in its own folder, or for a repository in runs/."""
    return source.folder or Path("runs") / source.name.replace("/", "--")
