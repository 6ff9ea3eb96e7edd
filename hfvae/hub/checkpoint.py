"""The model inside a training checkpoint of train/fit.py, read without unpickling anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .errors import NotFoundError, WeightsError

CHECKPOINT_KEY = "hfvae"
"""Where a training checkpoint keeps the class name, constructor arguments and data record of its model."""
CHECKPOINT_PREFIX = "vae."
"""What the names of the model's weights begin with in a training checkpoint."""


class Checkpoint(NamedTuple):
    """What a training checkpoint of train/fit.py says of its model."""

    path: Path
    model_class: str
    arguments: dict[str, Any]
    """The model's constructor arguments."""
    data: dict[str, Any] | None
    """The record of its data set and pixels; None in checkpoints that lack it."""
    weights: dict[str, Tensor]
    step: int
    """Optimizer steps done."""


def read_checkpoint(path: str | Path) -> Checkpoint:
    """A training checkpoint, its tensors on the CPU; nothing is unpickled.

    Raises:
        NotFoundError: there is none.
        WeightsError: the file is no whole checkpoint of train/fit.py.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(
            f"{path}: there is no such checkpoint; train/fit.py writes them under its root's checkpoints/"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        described, state = content[CHECKPOINT_KEY], content["state_dict"]
        weights = {
            name.removeprefix(CHECKPOINT_PREFIX): value
            for name, value in state.items()
            if name.startswith(CHECKPOINT_PREFIX)
        }
        arguments, data = dict(described["arguments"]), described.get("data")
        return Checkpoint(path, described["model_class"], arguments, data, weights, content["global_step"])
    except Exception as error:  # torch.load raises anything for truncated, foreign and hostile files
        raise WeightsError(
            f"{path} is not a whole checkpoint of train/fit.py: {type(error).__name__}: {error}"
        ) from error
