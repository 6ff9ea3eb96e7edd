"""Lightning callbacks: images in the logs, averaged weights, a last phase without augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, WeightAveraging
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from matplotlib.figure import Figure
from torch import Tensor

from ..data import MNISTDataModule
from ..evaluation import encode_dataset, plots
from ..inference import generate, read_batch, reconstruct
from ..models import VAE
from ..tensors import HALF

_EVERY_STEP_UNTIL = 100


class LogImages(Callback):
    """Log reconstructions, samples and the latent scatter of validation images, with any logger.

    Args:
        every_n_epochs: minimum number of epochs between two sets of figures; the first validation and the last epoch
            always have one.
        num_images: number of reconstructions and of samples.
    """

    def __init__(self, every_n_epochs: int = 20, num_images: int = 16) -> None:
        self.every_n_epochs = every_n_epochs
        self.num_images = num_images
        self._next = 0

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        last = 0 <= (trainer.max_epochs or -1) <= trainer.current_epoch + 1  # a validation after the end counts too
        due = last or trainer.current_epoch >= self._next
        if trainer.sanity_checking or not trainer.is_global_zero or not due:
            return
        self._next = trainer.current_epoch + self.every_n_epochs
        vae: VAE = pl_module.vae  # type: ignore[assignment]
        loaders = trainer.val_dataloaders
        loader: Any = loaders[0] if isinstance(loaders, list) else loaders
        first, labels = read_batch(vae, next(iter(loader)), torch.Generator().manual_seed(0))
        x = vae.training_data.pixels.denormalize(first[: self.num_images]).clamp(0, 1)
        seeded = torch.Generator().manual_seed(0)
        figures = {
            "reconstructions": plots.reconstructions(x, reconstruct(vae, x)),
            "samples": plots.image_grid(generate(vae, self.num_images, generator=seeded), columns=8),
        }
        if vae.latent_dim == 2 and labels is not None:
            encoded = encode_dataset(vae, loader)
            classes = vae.training_data.dataset.class_names
            figures["latents"] = plots.latent_scatter(encoded.codes, encoded.labels, classes)
        for logger in trainer.loggers:
            for name, figure in figures.items():
                log_figure(logger, name, figure, trainer.global_step)


@singledispatch
def log_figure(logger: Logger, name: str, figure: Figure, step: int) -> None:
    """Log a figure; for loggers without figures, save figures/<name>-<step>.png beside their logs."""
    folder = logger.log_dir or logger.save_dir
    if folder is None:
        return  # a logger without files of its own
    path = Path(folder) / "figures" / f"{name}-{step}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


@log_figure.register
def _tensorboard(logger: TensorBoardLogger, name: str, figure: Figure, step: int) -> None:
    logger.experiment.add_figure(name, figure, step)


@log_figure.register
def _wandb(logger: WandbLogger, name: str, figure: Figure, step: int) -> None:
    logger.log_image(name, [figure], step=step)


@log_figure.register
def _mlflow(logger: MLFlowLogger, name: str, figure: Figure, step: int) -> None:
    logger.experiment.log_figure(logger.run_id, figure, f"figures/{name}-{step}.png")


class AverageWeights(WeightAveraging):
    """Exponential moving average of the weights, used by validation and checkpoints (Polyak & Juditsky 1992).

    The decay in step n is (1 + n) / (10 + n), at most `decay`, so that short runs forget the initial weights too.

    Args:
        decay: the largest decay per step, in [0, 1).
        every_n_steps: update interval after the first 100 steps; the decay is raised to this power. An update takes up
            to 4 % of a step, and an average over hundreds of steps does not need one at each.

    Raises:
        ValueError: a decay or a number of steps out of range.
    """

    def __init__(self, decay: float = 0.999, every_n_steps: int = 8) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps must be at least 1, got {every_n_steps}")
        self.decay = decay
        self.every_n_steps = every_n_steps
        super().__init__(use_buffers=False, multi_avg_fn=self._average)
        self._validating = False

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Lightning's hook.

        Raises:
            MisconfigurationException: weights in half precision, which would round small updates away.
        """
        trainer.precision_plugin.convert_module(pl_module)  # before the average copies the weights' dtype
        if any(weight.dtype in HALF for weight in pl_module.parameters()):
            raise MisconfigurationException(
                "AverageWeights needs weights in float32 or float64: set --trainer.precision bf16-mixed or 32-true"
            )
        super().setup(trainer, pl_module, stage)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None and (step_idx < _EVERY_STEP_UNTIL or step_idx % self.every_n_steps == 0)

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        super().on_validation_epoch_start(trainer, pl_module)
        self._validating = True

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        super().on_validation_epoch_end(trainer, pl_module)
        self._validating = False

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Swap the weights back if Ctrl-C came during a validation, before a checkpoint is saved."""
        if self._validating:
            self.on_validation_epoch_end(trainer, pl_module)

    @torch.no_grad()
    def _average(self, averaged: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor | int) -> None:
        later = max(0, int(updates) - _EVERY_STEP_UNTIL)  # updates that stand for several steps
        step, covered = int(updates) + (self.every_n_steps - 1) * later, self.every_n_steps if later else 1
        decay = min(self.decay, (1 + step) / (10 + step)) ** covered
        torch._foreach_lerp_(list(averaged), list(current), 1 - decay)


class NoAugmentationAtEnd(Callback):
    """Turn augmentation off for the last epochs.

    Augmentation reduces overfitting but makes the model fit augmented images; a few epochs without it, at a learning
    rate near 0, fit it to the originals.

    Args:
        last_epochs: number of epochs without augmentation.

    Raises:
        ValueError: a number below 1.
    """

    def __init__(self, last_epochs: int) -> None:
        if last_epochs < 1:
            raise ValueError(f"last_epochs must be at least 1, got {last_epochs}")
        self.last_epochs = last_epochs

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Lightning's hook.

        Raises:
            MisconfigurationException: loader processes are used (each has its own copy of the augmentation), or the
                number of epochs is not known.
        """
        data: MNISTDataModule = trainer.datamodule  # type: ignore[attr-defined]
        if data.num_workers > 0:
            raise MisconfigurationException("NoAugmentationAtEnd needs --data.num_workers 0")
        if trainer.max_epochs is None or trainer.max_epochs < 0:
            raise MisconfigurationException("NoAugmentationAtEnd needs --trainer.max_epochs")
        last = trainer.current_epoch >= trainer.max_epochs - self.last_epochs
        data.train_set.augmentation = None if last else data.augmentation
