"""Training survives: kills at any moment, full disks, gradients that are no numbers, checkpoints that are none.

HFVAE_KILLS=20 pytest tests/test_survival.py kills more often.
"""

from __future__ import annotations

import os
import random
import resource
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

from hfvae import VAE, hub
from hfvae.cli.fit import LOCK
from hfvae.hub import card, layout

KILLS = int(os.environ.get("HFVAE_KILLS", "2"))
PLAIN = [
    "--trainer.callbacks=null",
    "--model.optimizer=adam",
    "--model.vae.init_args.prior_type=Flow",
    '--model.vae.init_args.prior_options={"blocks": 2, "features": 16}',
]


class Poison(Callback):
    """A gradient that is not a number, in the seventh step."""

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == 7:
            next(pl_module.parameters()).grad.fill_(torch.nan)


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


def start(
    mnist_dir: Path,
    root: Path,
    *arguments: str,
    preexec_fn: Callable[[], None] | None = None,
    **environment: str,
) -> subprocess.Popen[str]:
    settings = {
        "--trainer.default_root_dir": root,
        "--trainer.max_epochs": 4,
        "--trainer.check_val_every_n_epoch": 1,
        "--trainer.limit_train_batches": 12,
        "--trainer.limit_val_batches": 2,
        "--trainer.log_every_n_steps": 1,
        "--trainer.enable_progress_bar": "false",
        "--ckpt_path": "last",
    }
    given = [f"{name}={value}" for name, value in settings.items()]
    return subprocess.Popen(
        [sys.executable, str(REPOSITORY / "train" / "fit.py"), *given, *arguments],
        env=for_training(mnist_dir, **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=preexec_fn,
    )


def finish(process: subprocess.Popen[str]) -> str:
    printed, _ = process.communicate(timeout=110)
    assert process.returncode == 0, printed
    return printed


def refused(process: subprocess.Popen[str]) -> str:
    printed, _ = process.communicate(timeout=110)
    assert process.returncode == 1, printed
    assert "Traceback" not in printed, printed
    return printed


def curve(root: Path) -> list[tuple[str, int, float]]:
    """Everything that TensorBoard shows."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(root / "logs"))
    events.Reload()
    return [(tag, event.step, event.value) for tag in events.Tags()["scalars"] for event in events.Scalars(tag)]


def results(root: Path) -> dict[str, Any]:
    """All that a run leaves, but for the time it took."""
    exported = {
        path.name: path.read_bytes()
        for path in sorted((root / "pretrained").iterdir())
        if path.name not in (hub.TRAINING, hub.CARD) and not path.name.startswith(".")
    }
    weights = {
        name: torch.load(root / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
        for name in ("best", "last")
    }
    return {"exported": exported, "weights": weights, "curve": sorted(curve(root))}


@pytest.mark.mnist
@pytest.mark.timeout(120 + 40 * KILLS)
@pytest.mark.parametrize("settings", [[], PLAIN], ids=["muon, averaged", "adam, learned prior"])
def test_killed_and_resumed_is_the_same_run(settings: list[str], mnist_dir: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    finish(start(mnist_dir, tmp_path / "whole", *settings))
    took = time.monotonic() - started
    moments = random.Random(0)
    kills = 0
    while kills < KILLS:
        process = start(mnist_dir, tmp_path / "killed", *settings)
        try:
            process.wait(moments.uniform(0.3, 0.8) * took)
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        else:  # the whole run was slower, on a machine that others use: begin again, with less time
            shutil.rmtree(tmp_path / "killed")
            kills, took = 0, 0.7 * took
        process.communicate()
    finish(start(mnist_dir, tmp_path / "killed", *settings))
    require_same_results(tmp_path / "whole", tmp_path / "killed")
    leftovers = [path for path in (tmp_path / "killed").rglob(".*") if path.is_file() and path.name != LOCK]
    assert len(leftovers) <= kills, "at most what each kill left of the file being written"


def require_same_results(one: Path, other: Path) -> None:
    whole, killed = results(one), results(other)
    assert whole["exported"].keys() == killed["exported"].keys()
    for name, content in whole["exported"].items():
        assert killed["exported"][name] == content, name
    for name, state in whole["weights"].items():
        assert all(torch.equal(value, killed["weights"][name][key]) for key, value in state.items()), name
    assert whole["curve"] == killed["curve"]


@pytest.mark.mnist
@pytest.mark.timeout(300)
def test_killed_while_writing(mnist_dir: Path, tmp_path: Path) -> None:
    """One run, killed in the middle of each file that it writes."""
    finish(start(mnist_dir, tmp_path / "whole"))
    killer = "--trainer.callbacks+=test_survival.Killer"
    for file in ("best.ckpt", "last.ckpt", hub.WEIGHTS, hub.LATENTS, hub.CARD):
        process = start(mnist_dir, tmp_path / "killed", killer, HFVAE_KILL_AT=file)
        process.communicate(timeout=110)
        assert process.returncode == -signal.SIGKILL, file
    finish(start(mnist_dir, tmp_path / "killed"))
    require_same_results(tmp_path / "whole", tmp_path / "killed")


@pytest.fixture(scope="module")
def begun(mnist_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("begun")
    finish(start(mnist_dir, root, "--trainer.max_epochs=1"))
    return root


def weights(root: Path) -> dict[str, torch.Tensor]:
    return VAE.load_from_checkpoint(root / "checkpoints" / "last.ckpt").state_dict()


@pytest.mark.mnist
def test_a_full_disk(begun: Path, mnist_dir: Path) -> None:
    before = weights(begun)

    def nearly_full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    printed = refused(start(mnist_dir, begun, preexec_fn=nearly_full))
    assert "Stopped: [Errno" in printed
    assert "go on with --ckpt_path last" in printed
    assert all(torch.equal(value, before[name]) for name, value in weights(begun).items())
    assert not [path for path in (begun / "checkpoints").iterdir() if path.suffix != ".ckpt"]


@pytest.mark.mnist
def test_a_folder_that_cannot_be_written(mnist_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert "Stopped: [Errno" in refused(start(mnist_dir, tmp_path / "file" / "root"))


@pytest.mark.mnist
def test_a_gradient_that_is_not_a_number(mnist_dir: Path, tmp_path: Path) -> None:
    printed = refused(
        start(mnist_dir, tmp_path, "--trainer.callbacks+=test_survival.Poison", "--trainer.limit_train_batches=5")
    )
    assert "not finite in step 7, epoch 1" in printed
    saved = torch.load(tmp_path / "diverged-0.pt", weights_only=True)
    assert saved["step"] == 7
    assert saved["batch"][0].shape[1:] == (1, 28, 28)
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 5
    assert all(value.isfinite().all() for value in weights(tmp_path).values())


@pytest.mark.mnist
@pytest.mark.parametrize(
    ("spoil", "arguments", "sentence"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1000]), [], "is not a whole checkpoint"),
        (lambda path: torch.save({"state_dict": {}}, path), [], "is not a whole checkpoint"),
        (lambda path: path.unlink(), [], "there is no such checkpoint"),
        (lambda path: None, ["--model.vae.init_args.latent_dim=3"], "begun with"),
    ],
    ids=["truncated", "foreign", "missing", "of another model"],
)
def test_a_checkpoint_that_is_no_use(
    spoil: Callable[[Path], object], arguments: list[str], sentence: str, begun: Path, mnist_dir: Path, tmp_path: Path
) -> None:
    path = tmp_path / "some.ckpt"
    path.write_bytes((begun / "checkpoints" / "last.ckpt").read_bytes())
    spoil(path)
    assert sentence in refused(start(mnist_dir, tmp_path / "run", f"--ckpt_path={path}", *arguments))
