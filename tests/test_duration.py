"""The estimate of how long a training takes, and the learning rate of a training that a time limit ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, Timer
from support import TINY
from test_training import batches, quiet_trainer
from torch.utils.data import DataLoader

from hfvae.training import TimeEstimate, VAETraining, duration
from hfvae.training.duration import Pace, estimate
from hfvae.training.schedule import progress

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's, of loaders without workers and runs without an end
PACE = Pace(step=1.0, importance_step=3.0, validation=4.0)


class TenBatches(lightning.LightningDataModule):
    def __init__(self) -> None:
        super().__init__()
        self.batches = batches(*[4] * 10)

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.batches, batch_size=None)

    val_dataloader = train_dataloader


class EstimateAndStop(Callback):
    """Takes the estimate after the first batch, and ends the training."""

    sentence = ""

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        self.sentence = estimate(trainer, pl_module, PACE, 5.0, trainer.current_epoch)
        trainer.should_stop = True


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "About 60 s for 4 epochs on this machine (14 s an epoch, validation included)"),
        ({"check_val_every_n_epoch": 2}, "About 52 s for 4 epochs on this machine (12 s an epoch,"),
        ({"limit_val_batches": 0}, "About 44 s for 4 epochs on this machine (10 s an epoch,"),
        ({"val_check_interval": 0.5}, "About 75 s for 4 epochs on this machine (18 s an epoch,"),
        ({"val_check_interval": 5}, "About 75 s for 4 epochs on this machine (18 s an epoch,"),
        ({"val_check_interval": "00:00:01:00"}, "About 60 s for 4 epochs on this machine (14 s an epoch,"),
        ({"max_steps": 7}, "About 13 s for 7 steps on this machine (14 s an epoch,"),
        ({"max_epochs": 100}, "About 23 minutes for 100 epochs"),
        ({"max_epochs": -1, "max_steps": 20_000}, "About 7.8 hours for 20,000 steps"),
        ({"accumulate_grad_batches": 2}, "About 41 s for 4 epochs on this machine (9 s an epoch,"),
        (
            {"max_epochs": 10**6, "max_time": "00:01:00:00"},
            "About 60 minutes on this machine, until --trainer.max_time",
        ),
        ({"max_epochs": -1, "max_time": "00:01:00:00"}, "About 60 minutes on this machine, until --trainer"),
    ],
    ids=str,
)
def test_the_sentence(options: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    said = EstimateAndStop()
    trainer = quiet_trainer(tmp_path, callbacks=[said], **{"max_epochs": 4, **options})
    trainer.fit(VAETraining(TINY["dense"]()), datamodule=TenBatches())
    assert said.sentence.startswith(sentence), said.sentence


def test_importance_weighted_epochs_take_longer(tmp_path: Path) -> None:
    said = EstimateAndStop()
    training = VAETraining(TINY["dense"](), importance_epochs=1, importance_samples=2)
    quiet_trainer(tmp_path, callbacks=[said], max_epochs=4).fit(training, datamodule=TenBatches())
    assert said.sentence.startswith("About 80 s for 4 epochs"), "ten of 39 steps at three times the price"


@pytest.mark.parametrize("importance", [{}, {"importance_epochs": 1, "importance_samples": 2}], ids=str)
def test_estimating_changes_nothing_and_happens_once(
    importance: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(duration, "LEAST_SECONDS", 0.0)
    weights = []
    for callbacks in ([], [TimeEstimate()]):
        torch.manual_seed(0)
        training = VAETraining(TINY["dense"](), **importance)
        quiet_trainer(tmp_path, max_epochs=3, callbacks=callbacks).fit(training, datamodule=TenBatches())
        weights.append(training.vae.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert capsys.readouterr().out.count("About") == 1


def test_a_short_training_gets_no_estimate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = quiet_trainer(tmp_path, max_steps=12, callbacks=[TimeEstimate()])
    trainer.fit(VAETraining(TINY["dense"]()), datamodule=TenBatches())
    assert "About" not in capsys.readouterr().out


def test_a_time_limit_ends_the_learning_rate_s_schedule(tmp_path: Path) -> None:
    """Where steps end it too, they count, so that a run can be extended."""
    timer = Timer(duration={"seconds": 1000})
    timer.load_state_dict({"time_elapsed": {"train": 250.0}})
    by_time = quiet_trainer(tmp_path, max_epochs=-1, callbacks=[timer])
    seen: list[float] = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
            seen.append(progress(trainer, trainer.global_step))
            trainer.should_stop = True

    for trainer in (by_time, quiet_trainer(tmp_path, max_epochs=4, callbacks=[timer])):
        trainer.callbacks.append(Watch())
        trainer.fit(VAETraining(TINY["dense"]()), datamodule=TenBatches())
    assert seen == [pytest.approx(0.25, abs=0.02), 1 / 40]
    timer.load_state_dict({"time_elapsed": {"train": 5000.0}})
    assert progress(by_time, 3) == 1.0
