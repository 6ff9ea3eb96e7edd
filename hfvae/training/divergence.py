"""The refusal of gradients that are not finite, before they reach a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor

from .. import hub

CHECK_EVERY = 50
"""Steps on a GPU whose gradients are checked together, since each check waits for it; a CPU's are checked at once."""


class Diverged(RuntimeError):
    """Raised when the loss or a gradient is not finite."""


class GradientWatch:
    """Collects the norms of gradients, and refuses one that is not finite."""

    def __init__(self) -> None:
        self._unchecked: list[tuple[Tensor, Any, int]] = []

    def add(self, norm: Tensor, batch: Any, trainer: lightning.Trainer) -> None:
        """Take the norm of a step's gradient, and the batch that it is of.

        Raises:
            Diverged: as `check` does.
        """
        self._unchecked.append((norm, batch, trainer.global_step))
        if norm.device.type == "cpu" or len(self._unchecked) >= CHECK_EVERY:
            self.check(trainer)

    def check(self, trainer: lightning.Trainer) -> None:
        """Refuse what a gradient that is not finite has led to, or is about to.

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
            f"the loss or its gradient is not finite in step {step}, epoch {trainer.current_epoch}. No checkpoint has "
            f"it; its batch is in {path}. Go on from the last checkpoint with --ckpt_path last and a lower "
            "--model.learning_rate, or with --trainer.gradient_clip_val"
        )
