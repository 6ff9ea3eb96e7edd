"""Checkpoints of a run, and which weights it ends with.

``best.ckpt`` has the weights with the highest validation bound, ``last.ckpt`` the newest state, where
``--ckpt_path last`` goes on, and ``final.ckpt`` the last weights of a run without validation.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, StochasticWeightAveraging
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from .. import hub

MONITOR = "val/bound"
"""The metric that the best checkpoint maximises, in nats per image."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Replaces checkpoints atomically; Lightning's own way is not atomic where /tmp is on another disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()  # torch's own writer does not say that a disk is full
        torch.save(checkpoint, content)
        hub.atomic_write(Path(path), lambda temporary: temporary.write_bytes(content.getbuffer()))


class BestCheckpoint(ModelCheckpoint):
    """Keeps the weights with the highest ``val/bound`` in ``best.ckpt``.

    A resumed run continues with the ``best.ckpt`` in its own folder and with the bound stored in that file. The paths
    in a checkpoint are absolute, so they are wrong once the folder has been moved or mounted elsewhere.

    Args:
        folder: the run's folder of checkpoints.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(
            folder,
            filename="best",
            monitor=MONITOR,
            mode="max",
            save_on_train_epoch_end=False,  # save the weights that were validated, also within an epoch
            enable_version_counter=False,
        )
        self.validated_step = 0
        """The optimizer step after which the run last validated."""

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if not trainer.sanity_checking:
            self.validated_step = trainer.global_step
        super().on_validation_end(trainer, pl_module)

    def offer(self, trainer: lightning.Trainer, bound: float) -> None:
        """Save the trainer's present weights if `bound`, in nats, exceeds the best so far. Call it in all processes."""
        if self.best_model_score is None or bound > self.best_model_score:
            self._adopt(torch.tensor(bound))
            trainer.save_checkpoint(self.best_model_path)

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Lightning's hook.

        Raises:
            hub.HubError: the run's ``best.ckpt`` is damaged.
        """
        path = Path(self.format_checkpoint_name({}))
        found = trainer.is_global_zero and path.is_file()
        bound: Tensor | None = trainer.strategy.broadcast(saved_bound(path) if found else None)
        if bound is not None:
            self._adopt(bound)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "validated_step": self.validated_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the step of the last validation; `on_load_checkpoint` reads the rest from ``best.ckpt``."""
        self.validated_step = state_dict.get("validated_step", 0)

    def _adopt(self, bound: Tensor) -> None:
        """Take ``best.ckpt`` in this run's folder, with its bound, as the best so far."""
        path = self.format_checkpoint_name({})
        super().load_state_dict(
            {
                "dirpath": self.dirpath,
                "best_model_path": path,
                "best_model_score": bound,
                "best_k_models": {path: bound},
                "kth_best_model_path": path,
                "kth_value": bound,
            }
        )


def saved_bound(path: Path) -> Tensor | None:
    """The validation bound that a ``best.ckpt`` was saved with, in nats; None if it was saved without validation.

    Raises:
        hub.HubError: the file is damaged.
    """
    states = hub.read_checkpoint(path).callbacks.values()
    return next((state.get("best_model_score") for state in states if state.get("monitor") == MONITOR), None)


class LastCheckpoint(Checkpoint):
    """Keeps the newest state in ``last.ckpt``: at the ends of epochs, at the run's end, after Ctrl-C and SIGTERM.

    Args:
        folder: the run's folder of checkpoints.
        every_n_epochs: epochs from one save to the next.
    """

    def __init__(self, folder: str | Path, every_n_epochs: int = 1) -> None:
        self.path = Path(folder) / "last.ckpt"
        self.every_n_epochs = every_n_epochs

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        due = (trainer.current_epoch + 1) % self.every_n_epochs == 0
        if (due or _is_last_epoch(trainer)) and not _only_tries(trainer):
            trainer.save_checkpoint(self.path)

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        stopped = isinstance(exception, KeyboardInterrupt | SIGTERMException)
        if stopped and trainer.global_step > 0 and not trainer.sanity_checking:
            trainer.save_checkpoint(self.path)
            rank_zero_info(f"Saved {self.path}. Go on with the same command and --ckpt_path last")


def _is_last_epoch(trainer: lightning.Trainer) -> bool:
    """Whether the run ends with the present epoch, complete or not."""
    steps = 0 <= trainer.max_steps <= trainer.global_step
    epochs = trainer.max_epochs is not None and 0 <= trainer.max_epochs <= trainer.current_epoch + 1
    return trainer.should_stop or steps or epochs


def _only_tries(trainer: lightning.Trainer) -> bool:
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]


class Outcome(NamedTuple):
    """The weights that a run ends with."""

    path: Path
    """Their checkpoint."""
    bound: float | None
    """Their validation bound in nats, the best of the run; None: the last weights, without validation."""


def outcome(
    trainer: lightning.Trainer,
    training: lightning.LightningModule,
    data: lightning.LightningDataModule,
    best: BestCheckpoint,
) -> Outcome | None:
    """The weights that a run ends with; None if it took no step, or only tried the code (``fast_dev_run``).

    Validates the last weights unless that has been done, whatever ended the run. Call it after ``trainer.fit``, in all
    processes.
    """
    if trainer.global_step == 0 or _only_tries(trainer):
        return None
    if not trainer.enable_validation:
        path = Path(best.format_checkpoint_name({}, "final"))
        trainer.save_checkpoint(path)
        return Outcome(path, None)
    averaged = any(isinstance(callback, StochasticWeightAveraging) for callback in trainer.callbacks)  # type: ignore[attr-defined]
    validated = best.best_model_score is not None and best.validated_step == trainer.global_step
    if averaged or not validated:  # an average replaces the weights when training ends
        [metrics] = trainer.validate(training, datamodule=data, verbose=False)
        best.offer(trainer, metrics[MONITOR])
    assert best.best_model_score is not None
    return Outcome(Path(best.best_model_path), float(best.best_model_score))
