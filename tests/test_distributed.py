"""Several processes, on one machine and as if on two: `train/fit.py` with Lightning's own strategy."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from support import REPOSITORY, for_training

BATCH = 100
ON_TWO_MACHINES = ["--trainer.num_nodes=2", "--trainer.devices=1"]
ON_ONE_MACHINE = ["--trainer.devices=2"]


class Recorder(Callback):
    """Keeps the grey levels that each process trains on, and the noise in their upper left corner."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.levels: list[torch.Tensor] = []
        self.noise: list[torch.Tensor] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        scaled = 256 * batch[0]
        self.levels.append(scaled.floor().byte().flatten(1))
        self.noise.append(scaled[:, 0, 0, 0].clone())

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        torch.save((torch.cat(self.levels), torch.cat(self.noise)), self.folder / f"{trainer.global_rank}.pt")


def start(root: Path, few_digits: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(REPOSITORY / "train" / "fit.py"), f"--trainer.default_root_dir={root}"]
    settings = ["--data.rotation=0", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    return subprocess.Popen(
        [*command, *settings, *arguments],
        env=for_training(few_digits, **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def bound(process: subprocess.Popen[str]) -> float:
    printed, _ = process.communicate(timeout=110)
    assert process.returncode == 0, printed
    found = re.search(r"validation bound (-?[\d.]+) nats", printed)
    assert found, printed
    return float(found[1])


@pytest.fixture(scope="module")
def alone(few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    return bound(start(tmp_path_factory.mktemp("alone"), few_digits, f"--data.batch_size={BATCH}"))


@pytest.mark.mnist
@pytest.mark.parametrize("layout", [ON_ONE_MACHINE, ON_TWO_MACHINES], ids=["one machine", "two machines"])
def test_two_processes_train_as_one(layout: list[str], alone: float, few_digits: Path, tmp_path: Path) -> None:
    recorder = ["--trainer.callbacks+=test_distributed.Recorder", f"--trainer.callbacks.folder={tmp_path}"]
    arguments = [*layout, "--trainer.strategy=ddp", f"--data.batch_size={BATCH // 2}", *recorder]
    if layout is ON_ONE_MACHINE:
        ours = bound(start(tmp_path / "run", few_digits, *arguments))
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        machines = [start(tmp_path / "run", few_digits, *arguments, **address, NODE_RANK=str(rank)) for rank in (0, 1)]
        ours = bound(machines[0])
        machines[1].communicate(timeout=60)
        assert machines[1].returncode == 0
    assert ours == pytest.approx(alone, rel=0.02), "the same loss as one process with the same global batch"
    (levels_a, noise_a), (levels_b, noise_b) = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert len(levels_a) == len(levels_b) == 1_500
    assert len({bytes(image) for image in torch.cat([levels_a, levels_b]).numpy()}) == 3_000, "no digit comes twice"
    assert (noise_a != noise_b).float().mean() > 0.99, "each process draws noise and angles of its own"
