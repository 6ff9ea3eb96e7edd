"""Progress of a training, by steps or by time, and the learning rate schedule."""

from __future__ import annotations

import math

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Timer


def progress(trainer: lightning.Trainer, step: int) -> float:
    """Fraction of the training completed after `step` optimizer steps, in [0, 1].

    By steps if their total is known, so that a run can be extended; otherwise by the time limit.

    Raises:
        MisconfigurationException: the training has neither.
    """
    total = trainer.estimated_stepping_batches
    if math.isfinite(total):
        return min(1.0, step / max(total, 1))
    timer = time_limit(trainer)
    if timer is None:
        raise MisconfigurationException(
            "the learning rate's schedule needs an end: set --trainer.max_epochs, --trainer.max_steps or "
            "--trainer.max_time"
        )
    remaining, elapsed = seconds_left(timer), timer.time_elapsed()
    done = elapsed / (elapsed + remaining) if remaining > 0 else 1.0
    return trainer.strategy.broadcast(done)  # the clocks of several processes differ


def time_limit(trainer: lightning.Trainer) -> Timer | None:
    """The callback that limits the training time, if any."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    timers = (callback for callback in callbacks if isinstance(callback, Timer))
    return next((timer for timer in timers if timer.time_remaining() is not None), None)


def seconds_left(timer: Timer) -> float:
    """Seconds until the time limit, at least 0."""
    return max(timer.time_remaining() or 0.0, 0.0)


def warmup_and_cosine(done: float, warmup: float) -> float:
    """Learning rate factor at `done` in [0, 1]: linear rise until `warmup`, then half a cosine down to 0."""
    if done < warmup:
        return max(done / warmup, 1e-2)
    return 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))
