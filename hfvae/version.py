"""The package's version, and how its commands are called where it runs. Imports neither torch nor anything slow."""

from __future__ import annotations

from pathlib import Path

__version__ = "0.1.0"

PACKAGE = Path(__file__).resolve().parent
"""The package's folder."""
CLONE = PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").is_file() else None
"""The clone of the repository that the package runs from; None where it is installed."""
_SCRIPTS = {"app": "app.py", "fit": "train/fit.py", "evaluate": "train/evaluate.py", "push": "train/push.py"}


def command(name: str) -> str:
    """How a user calls a command: ``hfvae fit``, or in a clone ``python train/fit.py``, which needs no installation."""
    if CLONE is None:
        return f"hfvae {name}"
    return f"python {_SCRIPTS[name]}" if name in _SCRIPTS else f"python -m hfvae {name}"
