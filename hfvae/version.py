"""The version, and the command lines to show to the user. Imports nothing slow."""

from __future__ import annotations

from pathlib import Path

__version__ = "0.1.0"

PACKAGE = Path(__file__).resolve().parent
"""The package's folder."""
CLONE = PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").is_file() else None
"""The clone that the package runs from; None if it is installed."""
_SCRIPTS = {"app": "app.py", "fit": "train/fit.py", "evaluate": "train/evaluate.py", "push": "train/push.py"}


def command(name: str) -> str:
    """The command line for a command: ``hfvae fit``, or in a clone ``python train/fit.py``."""
    if CLONE is None:
        return f"hfvae {name}"
    return f"python {_SCRIPTS[name]}" if name in _SCRIPTS else f"python -m hfvae {name}"
