"""Training steps captured as a CUDA graph: on a GPU as they are, on a CPU with a stand-in that runs them at once."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from support import TINY, needs_gpu
from torch.utils.data import DataLoader

from hfvae import VAE
from hfvae.training import Diverged, VAETraining
from hfvae.training.graphs import make_capturable, make_portable
from hfvae.training.optimizers import OPTIMIZERS

without_validation = pytest.mark.filterwarnings(
    "ignore:You defined a `validation_step` but have no `val_dataloader`", "ignore:The 'train_dataloader'"
)
pytestmark = without_validation


def model() -> VAE:
    return TINY["conv"](hidden_features=[16, 16], prior_type="Flow", prior_options={"blocks": 2, "features": 8})


class Replayed:
    """Runs the step whenever a captured one would be replayed."""

    made: list[Replayed]

    def __init__(self, step: Any, *inputs: torch.Tensor) -> None:
        self.step, self.calls = step, 0
        Replayed.made.append(self)

    def __call__(self, *inputs: torch.Tensor) -> Any:
        self.calls += 1
        return self.step(*inputs)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[Replayed]:
    Replayed.made = []
    monkeypatch.setattr("hfvae.training.module.CapturedStep", Replayed)
    return Replayed


class Exact(VAETraining):
    """Learning rates are tensors, as on a GPU: their rounding matters in Muon's bfloat16."""

    def on_train_start(self) -> None:
        super().on_train_start()
        for group in self._optimizer.param_groups:
            group["lr"] = torch.tensor(group["lr"])


class Capturing(Exact):
    def on_train_start(self) -> None:
        super().on_train_start()
        self._may_capture = True


def batches(count: int, last: int = 7) -> DataLoader[Any]:
    sizes = [16] * (count - 1) + [last]
    generator = torch.Generator().manual_seed(0)
    data = [(torch.rand(size, 1, 28, 28, generator=generator), torch.zeros(size)) for size in sizes]
    return DataLoader(data, batch_size=None)  # type: ignore[arg-type]


def trained(kind: type[VAETraining], folder: Path, optimizer: str, device: str = "cpu", **settings: Any) -> Any:
    torch.manual_seed(0)
    training = kind(model(), learning_rate=3e-3, optimizer=optimizer, **settings)  # type: ignore[arg-type]
    options = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    Trainer(accelerator=device, devices=1, default_root_dir=folder, max_epochs=3, gradient_clip_val=100, **options).fit(
        training, batches(6)
    )
    return training


def weights(training: VAETraining) -> torch.Tensor:
    return torch.cat([value.detach().cpu().flatten() for value in training.vae.parameters()])


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
@pytest.mark.parametrize("importance_epochs", [0, 1, 3])
def test_replayed_steps_train_as_lightnings_own(
    tmp_path: Path, stand_in: type[Replayed], optimizer: str, importance_epochs: int
) -> None:
    settings = {"importance_epochs": importance_epochs, "importance_samples": 3 if importance_epochs else 1}
    plain = trained(Exact, tmp_path, optimizer, **settings)
    assert not stand_in.made
    replayed = trained(Capturing, tmp_path, optimizer, **settings)
    torch.testing.assert_close(weights(replayed), weights(plain))
    # of six batches an epoch the first, the last, and the run's first three are taken as they come
    assert sum(made.calls for made in stand_in.made) == 2 + 4 + 4
    assert len(stand_in.made) == (2 if importance_epochs == 1 else 1), "a graph for each objective"


def test_a_replayed_gradient_that_is_not_finite_stops_the_run(tmp_path: Path, stand_in: type[Replayed]) -> None:
    class Exploding(Capturing):
        def _objective(self, x: torch.Tensor, rate_weight: Any) -> dict[str, torch.Tensor]:
            outcome = super()._objective(x, rate_weight)
            return {**outcome, "loss": outcome["loss"] * (math.inf if self.global_step == 4 else 1)}

    with pytest.raises(Diverged, match="not finite in step 4"):
        trained(Exploding, tmp_path, "adam")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_capturable_optimizers_state_is_portable(optimizer: str) -> None:
    vae = model()
    made = OPTIMIZERS[optimizer](vae, 1e-3, True, 0.0)
    vae.elbo(torch.rand(4, 1, 28, 28)).elbo.mean().backward()
    made.step()
    rates = [group["lr"] for group in made.param_groups]
    make_capturable(made, torch.device("cpu"))
    assert all(isinstance(group["lr"], torch.Tensor) and group["capturable"] for group in made.param_groups)
    state = made.state_dict()
    make_portable(state)
    assert [group["lr"] for group in state["param_groups"]] == pytest.approx(rates, rel=1e-6)
    fresh = OPTIMIZERS[optimizer](vae, 1e-3, True, 0.0)
    fresh.load_state_dict(state)
    fresh.step()


@needs_gpu
@pytest.mark.parametrize("optimizer", ["adam", "muon"])
@pytest.mark.parametrize("importance_epochs", [0, 1])
def test_a_captured_step_on_the_gpu(tmp_path: Path, optimizer: str, importance_epochs: int) -> None:
    settings = {"importance_epochs": importance_epochs, "importance_samples": 3 if importance_epochs else 1}
    eager = trained(VAETraining, tmp_path, optimizer, "cuda", cuda_graph=False, **settings)
    captured = trained(VAETraining, tmp_path, optimizer, "cuda", **settings)
    assert captured._captured is not None
    torch.testing.assert_close(weights(captured), weights(eager), rtol=1e-2, atol=5e-3)


@needs_gpu
@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_checkpoint_goes_on_elsewhere(tmp_path: Path, optimizer: str) -> None:
    """From GPU to CPU and back."""
    for epochs, device in enumerate(("cuda", "cpu", "cuda"), 1):
        training = VAETraining(model(), optimizer=optimizer)  # type: ignore[arg-type]
        kept = ModelCheckpoint(tmp_path, save_last=True)
        options = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
        trainer = Trainer(accelerator=device, devices=1, callbacks=[kept], max_epochs=epochs, **options)
        path = tmp_path / "last.ckpt"
        trainer.fit(training, batches(6), ckpt_path=path if path.exists() else None, weights_only=True)
        assert trainer.current_epoch == epochs
        assert torch.isfinite(weights(training)).all()
