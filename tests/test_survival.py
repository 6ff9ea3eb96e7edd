"""Training survives full disks, gradients that are not finite, and damaged checkpoints."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from support import REPOSITORY, for_training

from hfvae import VAE


class Poison(Callback):
    """A gradient that is not a number, in the seventh step."""

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == 7:
            next(pl_module.parameters()).grad.fill_(torch.nan)


def start(
    few_digits: Path,
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
        env=for_training(few_digits, **environment),
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


@pytest.fixture(scope="module")
def begun(few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("begun")
    finish(start(few_digits, root, "--trainer.max_epochs=1"))
    return root


def weights(root: Path) -> dict[str, torch.Tensor]:
    return VAE.load_from_checkpoint(root / "checkpoints" / "last.ckpt").state_dict()


@pytest.mark.mnist
def test_a_full_disk(begun: Path, few_digits: Path) -> None:
    before = weights(begun)

    def nearly_full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    printed = refused(start(few_digits, begun, preexec_fn=nearly_full))
    assert "Stopped: [Errno" in printed
    assert "go on with --ckpt_path last" in printed
    assert all(torch.equal(value, before[name]) for name, value in weights(begun).items())
    assert not [path for path in (begun / "checkpoints").iterdir() if path.suffix != ".ckpt"]


@pytest.mark.mnist
def test_a_folder_that_cannot_be_written(few_digits: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert "Stopped: [Errno" in refused(start(few_digits, tmp_path / "file" / "root"))


@pytest.mark.mnist
def test_a_gradient_that_is_not_a_number(few_digits: Path, tmp_path: Path) -> None:
    printed = refused(
        start(few_digits, tmp_path, "--trainer.callbacks+=test_survival.Poison", "--trainer.limit_train_batches=5")
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
    spoil: Callable[[Path], object], arguments: list[str], sentence: str, begun: Path, few_digits: Path, tmp_path: Path
) -> None:
    path = tmp_path / "some.ckpt"
    path.write_bytes((begun / "checkpoints" / "last.ckpt").read_bytes())
    spoil(path)
    assert sentence in refused(start(few_digits, tmp_path / "run", f"--ckpt_path={path}", *arguments))
