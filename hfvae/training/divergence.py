"""Stop a training whose loss or gradient is not finite, before a checkpoint contains it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor

from .. import hub

CHECK_EVERY = 50
"""Interval, in steps, of the checks on a GPU, where each check syncs; on a CPU every step is checked."""


class Diverged(RuntimeError):
    """Raised when the loss or a gradient is not finite."""


class GradientWatch:
    """Collects gradient norms and raises if one is not finite."""

    def __init__(self) -> None:
        self._unchecked: list[tuple[Tensor, Any, int]] = []

    def add(self, norm: Tensor, batch: Any, trainer: lightning.Trainer) -> None:
        """Add the gradient norm of a step, with its batch.

        Raises:
            Diverged: as `check` does.
        """
        self._unchecked.append((norm, batch, trainer.global_step))
        if norm.device.type == "cpu" or len(self._unchecked) >= CHECK_EVERY:
            self.check(trainer)

    def check(self, trainer: lightning.Trainer) -> None:
        """Raise if any gradient norm added since the last check is not finite.

        Raises:
            Diverged: after the batch that caused it was saved.
        """
        unchecked, self._unchecked = self._unchecked, []
        if not unchecked:
            return
        finite = torch.stack([norm for norm, _, _ in unchecked]).isfinite().tolist()
        if all(finite):
            return
        _, batch, step = unchecked[finite.index(False)]
        path = Path(trainer.default_root_dir) / f"diverged-{trainer.global_rank}.pt"
        hub.atomic_write(path, lambda temporary: torch.save({"batch": batch, "step": step}, temporary))
        raise Diverged(
            f"the loss or its gradient is not finite in step {step}, epoch {trainer.current_epoch}. No checkpoint "
            f"contains it; its batch is in {path}. Resume from the last checkpoint with --ckpt_path last and a lower "
            "--model.learning_rate, or with --trainer.gradient_clip_val"
        )
