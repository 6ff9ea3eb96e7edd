"""Journey: a training is cut short, goes on, and leaves its best model, which loads.

HFVAE_KILLS=20 pytest tests/journeys/test_interrupted_run.py kills more often.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from support import REPOSITORY, for_training

from hfvae import VAE, hub, load
from hfvae.cli import fit as script
from hfvae.hub import card, layout

pytestmark = [pytest.mark.mnist, pytest.mark.filterwarnings("ignore")]  # Lightning warns of its own parts
KILLS = int(os.environ.get("HFVAE_KILLS", "2"))
LEARNED_PRIOR = [
    "--trainer.callbacks=null",
    "--model.optimizer=adam",
    "--model.vae.init_args.prior_type=Flow",
    '--model.vae.init_args.prior_options={"blocks": 2, "features": 16}',
]
Fit = Callable[..., str]


class Killer(Callback):
    """SIGKILL while a file named as $HFVAE_KILL_AT is half written, at the second time."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        atomic_write, times = hub.atomic_write, 0

        def killing(path: Path, write: Callable[[Path], object]) -> None:
            nonlocal times
            times += path.name == os.environ["HFVAE_KILL_AT"]

            def half(temporary: Path) -> None:
                write(temporary)
                if times == 2 or (times == 1 and path.suffix != ".ckpt"):
                    os.truncate(temporary, temporary.stat().st_size // 2)
                    os.kill(os.getpid(), signal.SIGKILL)

            atomic_write(path, half)

        for module in (hub, layout, card):  # each that has imported it
            module.atomic_write = killing


class Worsen(Callback):
    """Replaces the weights by noise after an epoch, so that later validations are worse."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch > 0:
            with torch.no_grad():
                for weight in pl_module.parameters():
                    weight.mul_(0.5)


class InterruptValidation(Callback):
    """Ctrl-C in the second batch of the first validation."""

    times = 0

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.times += 1
        if self.times == 2:
            raise KeyboardInterrupt


def settings(root: Path, **changes: Any) -> list[str]:
    chosen = {
        "default_root_dir": root,
        "max_epochs": 4,
        "check_val_every_n_epoch": 1,
        "limit_train_batches": 12,
        "limit_val_batches": 2,
        "log_every_n_steps": 1,
        "enable_progress_bar": "false",
        **changes,
    }
    return [*(f"--trainer.{name}={value}" for name, value in chosen.items()), "--ckpt_path=last"]


def start(few_digits: Path, root: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A training in a process of its own, which can be killed."""
    return subprocess.Popen(
        [sys.executable, str(REPOSITORY / "train" / "fit.py"), *settings(root), *arguments],
        env={
            **for_training(few_digits, **environment),
            "PYTHONPATH": f"{Path(__file__).parent}:{REPOSITORY / 'tests'}",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # a background job's children ignore Ctrl-C, and tests may run in one
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(process: subprocess.Popen[str]) -> str:
    printed, _ = process.communicate(timeout=110)
    assert process.returncode == 0, printed
    return printed


@pytest.fixture
def fit(few_digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fit:
    """A training of a tiny model in this process; returns what it prints."""
    monkeypatch.setenv("HFVAE_DATA_DIR", str(few_digits))
    monkeypatch.setattr("hfvae.cli.result.EMBEDDED", 50)

    def fit(root: Path, *arguments: str, **changes: Any) -> str:
        small = ["--model.vae.init_args.hidden_features=[16]", "--data.batch_size=32", "--model.compile=false"]
        script.main([*settings(root, **{"limit_train_batches": 5, **changes}), *small, *arguments])
        return capsys.readouterr().out

    return fit


def exported(root: Path) -> dict[str, Any]:
    """The record of the exported model, which loads and is the one that the run ended with."""
    record = json.loads((root / "pretrained" / hub.TRAINING).read_text())
    name = "final" if record["weights"] == "last" else "best"
    weights = VAE.load_from_checkpoint(root / "checkpoints" / f"{name}.ckpt").state_dict()
    for key, value in load(root / "pretrained", device="cpu").state_dict().items():
        assert torch.equal(value, weights[key]), key
    card_text = (root / "pretrained" / hub.CARD).read_text()
    if record["weights"] == "last":
        assert "of the last step, since there was no validation" in card_text
    else:
        assert f"of the best validation bound, {record['validation_bound']:.2f} nats" in card_text
    return record


def last_step(root: Path) -> int:
    return hub.read_checkpoint(root / "checkpoints" / "last.ckpt").step


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({"max_steps": 7, "max_epochs": 80, "check_val_every_n_epoch": 5}, 7),
        ({"max_steps": 7, "max_epochs": -1}, 7),
        ({"max_epochs": 3, "check_val_every_n_epoch": 2}, 15),
        ({"max_epochs": 2, "val_check_interval": 0.4}, 10),
        ({"max_epochs": 2, "val_check_interval": 7, "check_val_every_n_epoch": "null"}, 10),
        ({"max_epochs": 1000, "max_time": "00:00:00:01", "check_val_every_n_epoch": 500}, None),
        ({"max_epochs": -1, "max_time": "00:00:00:01"}, None),
    ],
    ids=["steps", "steps without epochs", "epochs", "within epochs", "across epochs", "time", "time without epochs"],
)
def test_every_end_exports_the_best_model(changes: dict[str, Any], steps: int | None, fit: Fit, tmp_path: Path) -> None:
    printed = fit(tmp_path, **changes)
    record = exported(tmp_path)
    assert record["weights"] == "best"
    assert f"The best model (validation bound {record['validation_bound']:.2f} nats) is in" in printed
    assert last_step(tmp_path) == record["steps"]
    assert steps in (None, record["steps"])
    shorter = {name: value for name, value in changes.items() if name not in ("max_time", "max_steps")}
    fit(tmp_path, **{**shorter, "max_epochs": 2 + hub.read_checkpoint(tmp_path / "checkpoints" / "last.ckpt").epoch})
    assert last_step(tmp_path) > record["steps"], "the same run goes on"
    assert exported(tmp_path)["validation_bound"] >= record["validation_bound"]


def test_early_stopping_between_validations(fit: Fit, tmp_path: Path) -> None:
    stop = ["--trainer.callbacks+=lightning.pytorch.callbacks.EarlyStopping", "--trainer.callbacks.monitor=train/elbo"]
    stop += ["--trainer.callbacks.mode=min", "--trainer.callbacks.patience=1"]
    stop.append("--trainer.callbacks.check_on_train_epoch_end=true")
    fit(tmp_path, *stop, max_epochs=20, check_val_every_n_epoch=10)
    assert exported(tmp_path)["steps"] == last_step(tmp_path) < 100


def test_without_validation_the_last_weights_are_exported(fit: Fit, tmp_path: Path) -> None:
    printed = fit(tmp_path, limit_val_batches=0)
    assert "There was no validation, so the last weights, after 20 steps, are in" in printed
    assert exported(tmp_path)["validation_bound"] is None
    fit(tmp_path, max_epochs=5)
    assert exported(tmp_path)["weights"] == "best"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"fast_dev_run": "true"}, "--trainer.fast_dev_run only tries the code"),
        ({"max_epochs": 0}, "not one training step was taken"),
        ({"limit_train_batches": 0}, "not one training step was taken"),
    ],
    ids=str,
)
def test_a_run_without_a_model_says_why(changes: dict[str, Any], sentence: str, fit: Fit, tmp_path: Path) -> None:
    assert f"No model was exported: {sentence}" in fit(tmp_path, **changes)
    assert not (tmp_path / "pretrained").exists()
    assert not (tmp_path / "checkpoints").exists()


def test_a_time_limit_counts_the_time_before_a_resumption(fit: Fit, tmp_path: Path) -> None:
    fit(tmp_path, max_epochs=-1, max_time="00:00:00:01")
    steps = last_step(tmp_path)
    fit(tmp_path, max_epochs=-1, max_time="00:00:00:01")
    assert last_step(tmp_path) == steps, "the second is over"
    epochs = hub.read_checkpoint(tmp_path / "checkpoints" / "last.ckpt").epoch + 2
    fit(tmp_path, max_epochs=epochs, max_time="00:01:00:00")
    assert last_step(tmp_path) > steps
    exported(tmp_path)


@pytest.mark.parametrize("finished", [True, False], ids=["finished", "unfinished"])
def test_a_run_moved_elsewhere_keeps_its_best_model(finished: bool, fit: Fit, tmp_path: Path) -> None:
    """Also where validation is due at other epochs than before."""
    worsen = ["--trainer.callbacks+=test_interrupted_run.Worsen"]
    fit(tmp_path / "here", *worsen, max_epochs=2)
    (tmp_path / "mounted").mkdir()
    (tmp_path / "here").rename(tmp_path / "mounted" / "there")
    there = tmp_path / "mounted" / "there"
    before = (there / "checkpoints" / "best.ckpt").read_bytes()
    bound = exported(there)["validation_bound"]
    shutil.rmtree(there / "pretrained")
    fit(there, *worsen, max_epochs=2 if finished else 4, check_val_every_n_epoch=1 if finished else 2)
    assert (there / "checkpoints" / "best.ckpt").read_bytes() == before, "what came later is worse"
    assert exported(there)["validation_bound"] == bound
    assert not (tmp_path / "here").exists()


def test_a_run_that_lost_its_best_model_begins_another(fit: Fit, tmp_path: Path) -> None:
    worsen = ["--trainer.callbacks+=test_interrupted_run.Worsen"]
    fit(tmp_path, *worsen, max_epochs=1)
    (tmp_path / "checkpoints" / "best.ckpt").unlink()
    fit(tmp_path, *worsen, max_epochs=3)
    assert last_step(tmp_path) == 15
    exported(tmp_path)


@pytest.mark.parametrize("name", ["best", "last"])
def test_any_checkpoint_of_a_run_goes_on(name: str, fit: Fit, tmp_path: Path) -> None:
    fit(tmp_path / "first", max_epochs=2, val_check_interval=0.4)
    begun = hub.read_checkpoint(tmp_path / "first" / "checkpoints" / f"{name}.ckpt")
    fit(tmp_path / "second", f"--ckpt_path={begun.path}", max_epochs=4)
    assert last_step(tmp_path / "second") == 20
    exported(tmp_path / "second")


def test_ctrl_c_within_a_validation(fit: Fit, tmp_path: Path) -> None:
    """The checkpoint has the weights and their average each in its place."""
    with pytest.raises(SystemExit):
        fit(tmp_path / "cut", "--trainer.callbacks+=test_interrupted_run.InterruptValidation", max_epochs=1)
    fit(tmp_path / "whole", max_epochs=1)
    cut, whole = (
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True) for name in ("cut", "whole")
    )
    for part in ("state_dict", "current_model_state"):
        assert all(torch.equal(value, cut[part][name]) for name, value in whole[part].items()), part


@pytest.mark.parametrize(("stop", "status"), [(signal.SIGINT, 1), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_a_stopped_run_goes_on(stop: signal.Signals, status: int, few_digits: Path, tmp_path: Path) -> None:
    last = tmp_path / "checkpoints" / "last.ckpt"
    process = start(few_digits, tmp_path, "--trainer.max_epochs=100000", "--model.compile=false")
    try:
        for _ in range(900):
            time.sleep(0.1)
            if last.exists():
                break
        process.send_signal(stop)
        printed, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status
    assert f"Saved {last}. Go on with the same command and --ckpt_path last" in printed
    epochs = hub.read_checkpoint(last).epoch + 1
    finish(start(few_digits, tmp_path, f"--trainer.max_epochs={epochs}", "--model.compile=false"))
    exported(tmp_path)


def results(root: Path) -> dict[str, Any]:
    """All that a run leaves, but for the time it took."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(root / "logs"))
    events.Reload()
    tags = events.Tags()["scalars"]
    hub_files = {
        path.name: path.read_bytes()
        for path in sorted((root / "pretrained").iterdir())
        if path.name not in (hub.TRAINING, hub.CARD) and not path.name.startswith(".")
    }
    weights = {
        name: torch.load(root / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
        for name in ("best", "last")
    }
    curve = sorted((tag, event.step, event.value) for tag in tags for event in events.Scalars(tag))
    return {"exported": hub_files, "weights": weights, "curve": curve}


def require_same_results(one: Path, other: Path) -> None:
    whole, killed = results(one), results(other)
    assert whole["exported"].keys() == killed["exported"].keys()
    for name, content in whole["exported"].items():
        assert killed["exported"][name] == content, name
    for name, state in whole["weights"].items():
        assert all(torch.equal(value, killed["weights"][name][key]) for key, value in state.items()), name
    assert whole["curve"] == killed["curve"]
    exported(other)


@pytest.mark.timeout(120 + 40 * KILLS)
@pytest.mark.parametrize("more", [[], LEARNED_PRIOR], ids=["muon, averaged", "adam, learned prior"])
def test_killed_and_resumed_is_the_same_run(more: list[str], few_digits: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    finish(start(few_digits, tmp_path / "whole", *more))
    took = time.monotonic() - started
    moments = random.Random(0)
    kills = 0
    while kills < KILLS:
        process = start(few_digits, tmp_path / "killed", *more)
        try:
            process.wait(moments.uniform(0.3, 0.8) * took)
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        else:  # the whole run was slower, on a machine that others use: begin again, with less time
            shutil.rmtree(tmp_path / "killed")
            kills, took = 0, 0.7 * took
        process.communicate()
    finish(start(few_digits, tmp_path / "killed", *more))
    require_same_results(tmp_path / "whole", tmp_path / "killed")
    leftovers = [path for path in (tmp_path / "killed").rglob(".*") if path.is_file() and path.name != script.LOCK]
    assert len(leftovers) <= kills, "at most what each kill left of the file being written"


@pytest.mark.timeout(300)
def test_killed_while_writing(few_digits: Path, tmp_path: Path) -> None:
    """One run, killed in the middle of each file that it writes."""
    finish(start(few_digits, tmp_path / "whole"))
    killer = "--trainer.callbacks+=test_interrupted_run.Killer"
    for file in ("best.ckpt", "last.ckpt", hub.WEIGHTS, hub.LATENTS, hub.CARD):
        process = start(few_digits, tmp_path / "killed", killer, HFVAE_KILL_AT=file)
        process.communicate(timeout=110)
        assert process.returncode == -signal.SIGKILL, file
    finish(start(few_digits, tmp_path / "killed"))
    require_same_results(tmp_path / "whole", tmp_path / "killed")
