"""What `fit` leaves at the end of a run: a hub folder with the model, its codes, the training's record and a card."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from .. import evaluation, hub
from ..data import MNISTDataModule
from ..models import VAE
from ..training import Outcome
from ..version import CLONE, command

EMBEDDED = 1500
"""Codes of the test set that the map's t-SNE embeds, so that a short run ends soon; evaluate embeds more."""
BEST, LAST = "best", "last"


def export(result: Outcome, folder: Path, data: MNISTDataModule, record: dict[str, Any], dtype: torch.dtype) -> None:
    """Write a run's model as a hub folder, with the latent codes of the test images.

    Args:
        result: the weights.
        folder: the hub folder.
        data: the data of the training.
        record: what to keep in training.json.
        dtype: how the weights are stored.
    """
    vae = VAE.load_from_checkpoint(result.path)
    vae.save_pretrained(folder, weights_dtype=dtype)
    vae = VAE.from_pretrained(folder)
    data.setup("test")
    encoded = evaluation.encode_dataset(vae, data.test_dataloader())
    elbo = evaluation.image_bounds(vae, data.test_dataloader()).elbo
    places = evaluation.neighbour_embedding(encoded.codes, most=EMBEDDED)
    hub.write_latents(folder, hub.Latents(encoded.codes, encoded.labels, elbo, places))
    hub.write_json(folder / hub.TRAINING, record)
    hub.write_card(folder, vae.facts())


def training_record(
    result: Outcome, trainer: Trainer, data: MNISTDataModule, *, called: str, recipe: Path, minutes: float
) -> dict[str, Any]:
    """The contents of training.json: how the weights came about, and which of the run's they are."""
    return {
        "command": called,
        "recipe": recipe.read_text(encoding="utf-8").strip(),
        "images": len(data.train_set),
        "epochs": trainer.current_epoch,
        "steps": trainer.global_step,
        "minutes": round(minutes, 1),
        "weights": LAST if result.bound is None else BEST,
        "validation_bound": result.bound,
        "device": device_name(trainer.strategy.root_device),
        "precision": trainer.precision,
        "commit": code_commit(),
    }


def say_what_is_there(result: Outcome, folder: Path, trainer: Trainer) -> None:
    """Print where the model is, which of the run's it is, and the next commands."""
    if result.bound is None:
        model = f"There was no validation, so the last weights, after {trainer.global_step:,} steps, are in {folder}"
    else:
        model = f"The best model (validation bound {result.bound:.2f} nats) is in {folder}"
    print(f"\n{model}. Next:")
    for name in ("app", "evaluate"):
        print(f"  {command(name)} --model {folder}")
    if any(isinstance(logger, TensorBoardLogger) for logger in trainer.loggers):
        print(f"  tensorboard --logdir {folder.parent / 'logs'}")


def say_why_there_is_none(trainer: Trainer) -> None:
    """Print why a run exported no model, and how to get one."""
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        print("No model was exported: --trainer.fast_dev_run only tries the code. Leave it out to train a model.")
        return
    print(
        "No model was exported: not one training step was taken. Raise --trainer.max_epochs, max_steps, max_time or "
        "limit_train_batches, whichever is 0."
    )


def code_commit() -> str | None:
    """The commit of this code, with "-dirty" if files differ from it; None outside a git repository."""
    if CLONE is None:  # perhaps inside somebody else's repository
        return None
    git = ["git", "-C", str(CLONE), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        return subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def device_name(device: torch.device) -> str:
    """What a card calls the device of a training."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type.upper()}, {threads} {'thread' if threads == 1 else 'threads'}"
