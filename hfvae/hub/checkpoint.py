"""The model inside a training checkpoint of train/fit.py, read without unpickling anything."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..version import command
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
    epoch: int
    """The epoch that it was saved in."""
    callbacks: dict[str, dict[str, Any]]
    """The states of Lightning's callbacks."""


def read_checkpoint(path: str | Path) -> Checkpoint:
    """A training checkpoint, its tensors on the CPU; nothing is unpickled.

    Raises:
        NotFoundError: there is none.
        WeightsError: the file is no whole checkpoint of train/fit.py.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(
            f"{path}: there is no such checkpoint; {command('fit')} writes them to the folder checkpoints/ of its run"
        )
    try:
        _require_whole(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        described, state = content[CHECKPOINT_KEY], content["state_dict"]
        weights = {
            name.removeprefix(CHECKPOINT_PREFIX): value
            for name, value in state.items()
            if name.startswith(CHECKPOINT_PREFIX)
        }
        arguments, data = dict(described["arguments"]), described.get("data")
        if not isinstance(described["model_class"], str) or not isinstance(data, dict | None):
            raise TypeError("it does not name its model's class and data")
        step, epoch = _progress(content)
        if not all(value.isfinite().all() for value in weights.values()):
            raise ValueError("its weights hold NaN or infinity")
        callbacks = {name: dict(state) for name, state in content.get("callbacks", {}).items()}
        return Checkpoint(path, described["model_class"], arguments, data, weights, step, epoch, callbacks)
    except Exception as error:  # torch.load raises anything for truncated, foreign and hostile files
        best = path.with_name("best.ckpt")
        way_back = f". The best model so far is in {best}" if best.is_file() and best != path else ""
        raise WeightsError(
            f"{path} is not a whole checkpoint of {command('fit')}: {type(error).__name__}: {error}{way_back}"
        ) from error


def _require_whole(path: Path) -> None:
    """Compare the checksums that the zip file keeps of its parts, which torch.load does not.

    Raises:
        ValueError: a part is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"its part {damaged} is damaged")


def _progress(content: Mapping[str, Any]) -> tuple[int, int]:
    """The steps and epochs done, and that there is what a training needs to go on.

    Raises:
        ValueError: counts that cannot be, or no state of optimizer or loop. There may be no learning rate schedule.
    """
    step, epoch = content["global_step"], content["epoch"]
    if type(step) is not int or type(epoch) is not int or not 0 <= epoch <= max(step, 1) or step < 0:
        raise ValueError(f"it counts {step!r} steps and {epoch!r} epochs")
    for part in ("optimizer_states", "loops"):
        if not content[part]:
            raise ValueError(f"its {part} are empty")
    if not isinstance(content["lr_schedulers"], list):
        raise ValueError("its lr_schedulers are not a list")
    return step, epoch
