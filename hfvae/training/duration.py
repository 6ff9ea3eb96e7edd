"""An estimate of how long a training takes, from its first steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from ..inference import evaluating, read_batch
from .module import VAETraining
from .objectives import importance_weighted_bound
from .schedule import seconds_left, time_limit

WARM_UP = 5
"""Batches that are not timed: compilation and the optimizer's first steps are slower than the rest."""
LEAST_BATCHES, LEAST_SECONDS = 10, 2.0
"""Batches and seconds to time before the estimate."""


class Pace(NamedTuple):
    """What the parts of a training take, in seconds."""

    step: float
    """An optimizer step on the ELBO."""
    importance_step: float
    """An optimizer step on the importance-weighted bound."""
    validation: float
    """A validation."""


class TimeEstimate(Callback):
    """Says once, after a few timed steps, how long the training will take on this machine.

    A training that ends before enough steps have been timed, about two seconds, gets no estimate. The trainer needs a
    data module.
    """

    def __init__(self) -> None:
        self._began = 0.0
        self._first_epoch = 0
        self._batches = 0
        self._timed: list[float] = []
        self._previous: float | None = None
        self._done = True

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._began, self._first_epoch = time.monotonic(), trainer.current_epoch
        self._batches, self._timed, self._previous = 0, [], None
        self._done = not trainer.is_global_zero

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._previous = None

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._previous = None

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: lightning.Trainer, pl_module: VAETraining, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._done:
            return
        now = _now(pl_module.device)
        self._batches += 1
        if self._previous is not None and self._batches > WARM_UP:
            self._timed.append(now - self._previous)
        self._previous = now
        if len(self._timed) >= LEAST_BATCHES and sum(self._timed) >= LEAST_SECONDS:
            self._done = True
            pace = self._pace(trainer, pl_module, batch)
            trainer.print(estimate(trainer, pl_module, pace, now - self._began, self._first_epoch))

    def _pace(self, trainer: lightning.Trainer, training: VAETraining, batch: Any) -> Pace:
        seconds = sum(self._timed) / len(self._timed)
        step = seconds * trainer.accumulate_grad_batches
        with torch.autocast(training.device.type, torch.bfloat16, enabled=trainer.precision == "bf16-mixed"):
            with evaluating(training.vae):
                validation = _seconds(training.device, lambda: training.bounds(batch, 0))
            factor = _importance_factor(training, batch)
        return Pace(step, step * factor, validation * _validation_batches(trainer))


def estimate(trainer: lightning.Trainer, training: VAETraining, pace: Pace, elapsed: float, first_epoch: int) -> str:
    """The sentence about a training that has run for `elapsed` seconds since the beginning of `first_epoch`."""
    steps, validations = _steps_per_epoch(trainer), _validations_per_epoch(trainer)
    detail = f"{_amount(steps * pace.step + validations * pace.validation)} an epoch, validation included"
    left, timer = _seconds_to_last_step(trainer, training, pace), time_limit(trainer)
    if timer is not None and seconds_left(timer) < left:
        return f"About {_amount(elapsed + seconds_left(timer))} on this machine, until --trainer.max_time ({detail})"
    if 0 <= trainer.max_steps == trainer.estimated_stepping_batches:
        what = f"{trainer.max_steps:,} steps"
    else:
        epochs = (trainer.max_epochs or 0) - first_epoch
        what = f"{'the remaining ' if first_epoch else ''}{epochs} {'epoch' if epochs == 1 else 'epochs'}"
    return f"About {_amount(elapsed + left)} for {what} on this machine ({detail})"


def _seconds_to_last_step(trainer: lightning.Trainer, training: VAETraining, pace: Pace) -> float:
    """Seconds for the steps and validations that are left; infinite if only a time limit ends the training."""
    done, total, epoch = trainer.global_step, trainer.estimated_stepping_batches, _steps_per_epoch(trainer)
    if not math.isfinite(total):
        return math.inf
    begins = epoch * ((trainer.max_epochs or 0) - training.importance_epochs)
    importance = max(0.0, total - max(done, begins)) if training.importance_epochs else 0.0
    left = max(total - done, 0.0)
    validations = left / epoch * _validations_per_epoch(trainer)
    return (left - importance) * pace.step + importance * pace.importance_step + validations * pace.validation


def _steps_per_epoch(trainer: lightning.Trainer) -> float:
    return max(1.0, trainer.num_training_batches / trainer.accumulate_grad_batches)


def _validations_per_epoch(trainer: lightning.Trainer) -> float:
    if not trainer.enable_validation:
        return 0.0
    interval: Any = getattr(trainer, "val_check_interval", None)  # missing where validation is due by time
    within = 1.0
    if isinstance(interval, float):
        within = 1 / interval
    elif isinstance(interval, int):
        within = trainer.num_training_batches / interval
    return within / (trainer.check_val_every_n_epoch or 1)


def _validation_batches(trainer: lightning.Trainer) -> int:
    """Batches of a validation in each process, as ``--trainer.limit_val_batches`` limits them."""
    if not trainer.enable_validation:
        return 0
    loader = trainer.datamodule.val_dataloader()  # type: ignore[attr-defined]
    batches = math.ceil(len(loader) / trainer.world_size)
    limit: Any = trainer.limit_val_batches
    return min(limit, batches) if isinstance(limit, int) else int(limit * batches)


def _importance_factor(training: VAETraining, batch: Any) -> float:
    """How many times as long as a step on the ELBO one on the importance-weighted bound takes."""
    if not training.importance_epochs or training.in_importance_phase:
        return 1.0
    vae, samples = training.vae, training.importance_samples
    x, _ = read_batch(vae, batch, torch.Generator().manual_seed(0))
    weights = list(vae.parameters())

    def seconds(bound: Callable[[], Tensor]) -> float:  # torch.autograd.grad leaves the training's gradients alone
        return _seconds(training.device, lambda: torch.autograd.grad(bound().mean(), weights, allow_unused=True))

    return seconds(lambda: importance_weighted_bound(vae, x, samples)) / seconds(lambda: vae.elbo(x).elbo)


def _seconds(device: torch.device, work: Callable[[], object]) -> float:
    """Seconds that `work` takes once it is warm. It leaves torch's random state as it was."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        work()
        began = _now(device)
        work()
        return _now(device) - began


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic()


def _amount(seconds: float) -> str:
    """A duration to two digits."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 100 else f"{minutes / 60:.1f} hours"
