"""The Lightning module: objective, learning rate schedule, logging, divergence."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from typing_extensions import Self

from .. import hub
from ..inference import read_batch
from ..models import VAE, ELBOTerms
from ..tensors import unchecked_values
from .divergence import GradientWatch
from .graphs import CapturedStep, make_capturable, make_portable
from .hardware import can_compile
from .objectives import importance_weighted_bound
from .optimizers import OPTIMIZERS
from .schedule import progress, warmup_and_cosine

CAPTURE_FROM = 3
"""On a GPU, steps before one is captured: the first ones select algorithms and create the optimizer state."""
CAPTURED_PRECISIONS = ("32-true", "bf16-mixed")
"""Trainer precisions that allow capture; float16 loss scaling decides on the CPU whether to skip a step."""
COMPILE_FROM = 2000
"""Minimum number of steps for ``compile="auto"``: compiling pays off after about 1,000."""


class VAETraining(lightning.LightningModule):
    """Minimise distortion + beta * rate, with linear warm-up and cosine decay of the learning rate.

    Args:
        vae: the model to train.
        learning_rate: peak of the schedule.
        warmup: fraction of the training in which the learning rate rises.
        kl_warmup_epochs: epochs over which the rate's weight rises linearly from 0 to beta (Sønderby et al. 2016).
        importance_epochs: number of final epochs that maximise the importance-weighted bound instead of the ELBO: a
            better density, with a posterior that is a looser approximation (Burda et al. 2016).
        importance_samples: samples of z per image in that bound.
        channels_last: use the channels-last memory format for convolutions: faster, same results.
        optimizer: "adam", or "muon": each hidden weight matrix moves along its orthogonalised momentum (Jordan et al.
            2024, "Muon: An optimizer for hidden layers in neural networks").
        weight_decay: decoupled weight decay (Loshchilov & Hutter 2019): each step multiplies weights by 1 -
            learning rate * weight_decay; "muon" only those that Muon updates, "adam" all parameters.
        compile: compile the ELBO and its gradient with ``torch.compile``, which takes about 15 s and needs a C++
            compiler. "auto" compiles on a CPU with a compiler, for runs of 2,000 steps or more. It makes dense models
            faster and convolutions slower.
        cuda_graph: on a single GPU, capture a training step as a CUDA graph and replay it for batches of the same size,
            because a step has thousands of kernels shorter than their launch. No effect with gradient accumulation or
            16-mixed precision.
    """

    def __init__(
        self,
        vae: VAE,
        learning_rate: float = 1e-3,
        warmup: float = 0.02,
        kl_warmup_epochs: int = 0,
        importance_epochs: int = 0,
        importance_samples: int = 1,
        channels_last: bool = True,
        optimizer: Literal["adam", "muon"] = "adam",
        weight_decay: float = 0.0,
        compile: bool | Literal["auto"] = False,
        cuda_graph: bool = True,
    ) -> None:
        super().__init__()
        if not learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {learning_rate}")
        if optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {optimizer}")
        if not weight_decay >= 0:
            raise ValueError(f"weight_decay must not be negative, got {weight_decay}")
        if not 0 < warmup < 1:
            raise ValueError(f"warmup must be a fraction of the training between 0 and 1, got {warmup}")
        if kl_warmup_epochs < 0:
            raise ValueError(f"kl_warmup_epochs must not be negative, got {kl_warmup_epochs}")
        if importance_epochs < 0 or importance_samples < 1 or (importance_epochs > 0) != (importance_samples > 1):
            raise ValueError(
                "importance_epochs and importance_samples must be at least 1 and 2, or 0 and 1 for none; "
                f"got {importance_epochs} and {importance_samples}"
            )
        if importance_epochs and vae.beta != 1:
            raise ValueError(f"the importance-weighted bound must have beta 1, got {vae.beta}")
        self.vae = vae.to(memory_format=torch.channels_last) if channels_last else vae
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.warmup = warmup
        self.kl_warmup_epochs = kl_warmup_epochs
        self.importance_epochs = importance_epochs
        self.importance_samples = importance_samples
        self.compile_elbo = compile
        self.cuda_graph = cuda_graph
        self.seed: int | None = None
        self._elbo: Callable[[Tensor], ELBOTerms] = vae.elbo
        self._full_batch = 0
        self._gradients = GradientWatch()
        self._may_capture = False
        self._steps_run = 0
        self._captured: tuple[Any, CapturedStep] | None = None
        self.save_hyperparameters(ignore=["vae"])

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: str | Path, map_location: Any = None, hparams_file: Any = None, **settings: Any
    ) -> Self:
        """The module and its VAE from a training checkpoint; nothing is unpickled.

        Args:
            checkpoint_path: the checkpoint.
            map_location, hparams_file: as for Lightning's method.
            settings: constructor arguments to change, by name.

        Raises:
            HubError: no such file, or not an hfvae checkpoint.
        """
        vae = VAE.load_from_checkpoint(checkpoint_path)
        options = {"map_location": map_location, "hparams_file": hparams_file, "weights_only": True}
        return super().load_from_checkpoint(checkpoint_path, vae=vae, **options, **settings)

    def on_fit_start(self) -> None:
        self.seed = torch.initial_seed()
        record = getattr(getattr(self.trainer, "datamodule", None), "record", None)
        if record is not None:
            self.vae.training_record = record
        self._elbo = torch.compile(self.vae.elbo) if self._compiles() else self.vae.elbo

    def _compiles(self) -> bool:
        """Whether to compile the ELBO.

        Raises:
            MisconfigurationException: compile is True and there is no compiler.
        """
        automatic = self.compile_elbo == "auto"
        if not self.compile_elbo or (automatic and not self._compilation_pays()):
            return False
        if can_compile():
            return True
        if automatic:
            rank_zero_info("No C++ compiler found: the model is not compiled and trains more slowly")
            return False
        raise MisconfigurationException(
            "--model.compile true needs a working C++ compiler such as g++: install one, or set it to auto"
        )

    def _compilation_pays(self) -> bool:
        return self.device.type == "cpu" and self.trainer.estimated_stepping_batches >= COMPILE_FROM

    def on_train_start(self) -> None:
        """Decide whether to capture steps; the optimizer state of a checkpoint has been loaded by now."""
        single = self.trainer.world_size == 1 and self.trainer.accumulate_grad_batches == 1
        exact = self.trainer.precision in CAPTURED_PRECISIONS
        self._may_capture = self.cuda_graph and self.device.type == "cuda" and single and exact
        self._steps_run, self._captured = 0, None
        if self._may_capture:
            make_capturable(self._optimizer, self.device)

    @property
    def _optimizer(self) -> torch.optim.Optimizer:
        return self.optimizers(use_pl_optimizer=False)  # type: ignore[return-value]

    @cached_property
    def _weights(self) -> list[Tensor]:
        """The model's parameters; collecting a flow's at every step would take half a millisecond."""
        return list(self.vae.parameters())

    def on_train_epoch_start(self) -> None:
        """Seed each epoch by (seed, epoch, rank), so that a resumed run repeats it and processes differ."""
        if self.seed is None:  # Lightning's tuners skip on_fit_start
            self.seed = torch.initial_seed()
        sequence = np.random.SeedSequence((self.seed, self.current_epoch, self.global_rank))
        torch.manual_seed(int(sequence.generate_state(1)[0]))

    def forward(self, x: Tensor) -> Tensor:
        """Reconstructions in [0, 1] of images x (B, *image_shape) as in `VAE.encode`."""
        return self.vae.decode_image(self.vae.posterior.code(self.vae.encode(x)))

    def training_step(self, batch: Any, batch_idx: int = 0) -> Tensor:
        """The loss of a batch as in `hfvae.inference.read_batch`. On a GPU only an epoch's first batch is validated."""
        self.batch = batch  # to save if the step diverges
        x, _ = read_batch(self.vae, batch)
        self._full_batch = self._full_batch or len(x)
        first = batch_idx == 0
        with unchecked_values() if x.is_cuda and not first else nullcontext():
            replays = self._capturable(x) and not first
            outcome = self._replay(x) if replays else self._objective(x, self.rate_weight)
        self._steps_run += 1
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and (self.global_step + 1) % every == 0:  # logging every step costs a dense model 10 %
            self._log_means("train", {name: value for name, value in outcome.items() if name not in ("loss", "norm")})
        return outcome["loss"]

    def _objective(self, x: Tensor, rate_weight: float | Tensor) -> dict[str, Tensor]:
        """The loss for images x (B, *image_shape), and values to log, (B,) each."""
        if self.in_importance_phase:
            bound = importance_weighted_bound(self.vae, x, self.importance_samples)
            return {"loss": -bound.mean(), "bound": bound}
        # the last, smaller batch would be compiled again
        elbo = self._elbo(x) if len(x) == self._full_batch else self.vae.elbo(x)
        return {"loss": (elbo.distortion + rate_weight * elbo.rate).mean(), **elbo._asdict()}

    def _capturable(self, x: Tensor) -> bool:
        """Whether this batch's step may be captured; a graph cannot read the rates of a learning rate finder."""
        if not self._may_capture or self._steps_run < CAPTURE_FROM or len(x) != self._full_batch:
            return False
        return all(isinstance(group["lr"], Tensor) for group in self._optimizer.param_groups)

    def _replay(self, x: Tensor) -> dict[str, Tensor]:
        """Take a whole step by replaying the graph; Lightning then finds no gradients and does nothing."""
        weight = torch.full((), self.rate_weight, device=x.device)
        kind = (self.in_importance_phase, x.shape)
        if self._captured is None or self._captured[0] != kind:
            self._captured = None  # free its memory first
            self._captured = kind, CapturedStep(self._whole_step, x, weight)
        outcome = self._captured[1](x, weight)
        self._gradients.add(outcome["norm"].clone(), self.batch, self.trainer)
        return outcome

    def _whole_step(self, x: Tensor, rate_weight: Tensor) -> dict[str, Tensor]:
        """Backward, clipping and optimizer step, as Lightning does them."""
        self._optimizer.zero_grad()
        outcome = self._objective(x, rate_weight)
        with torch.autocast(x.device.type, enabled=False):
            outcome["loss"].backward()
            norm = self._clip(self.trainer.gradient_clip_val, self.trainer.gradient_clip_algorithm)
            self._optimizer.step()
        return {name: value.detach() for name, value in {**outcome, "norm": norm}.items()}

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Lightning's hook; a replayed step has no gradient left."""
        if loss.requires_grad:
            super().backward(loss, *args, **kwargs)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the ELBO and ``val/bound``, the objective of the last epochs, which selects the best checkpoint."""
        self._log_bounds("val", batch, batch_idx)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Log the ELBO and ``test/bound``; `train/evaluate.py` measures everything else."""
        self._log_bounds("test", batch, batch_idx)

    def predict_step(self, batch: Any, batch_idx: int = 0) -> Tensor:
        """The codes of a batch's images, (B, latent_dim)."""
        x, _ = read_batch(self.vae, batch, torch.Generator().manual_seed(batch_idx))
        return self.vae.posterior.code(self.vae.encode(x))

    def bounds(self, batch: Any, seed: int) -> tuple[ELBOTerms, Tensor]:
        """The ELBO terms of a batch and the objective of the last epochs, (B,) each, in nats."""
        generator = torch.Generator().manual_seed(seed)
        x, _ = read_batch(self.vae, batch, generator)
        elbo = self.vae.elbo(x, generator=generator)
        if not self.importance_epochs:
            return elbo, elbo.elbo
        return elbo, importance_weighted_bound(self.vae, x, self.importance_samples, generator)

    def _log_bounds(self, stage: str, batch: Any, batch_idx: int) -> None:
        elbo, bound = self.bounds(batch, batch_idx)
        self._log_means(stage, elbo._asdict())
        self.log(f"{stage}/bound", bound.mean(), batch_size=len(bound), sync_dist=True)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip to ``--trainer.gradient_clip_val``, and refuse a gradient that is not finite.

        Lightning's clipping refuses fused optimizers, which save a tenth of a step.

        Raises:
            Diverged: after saving the batch that caused it.
        """
        if all(weight.grad is None for weight in self._weights):
            return  # replayed
        norm = self._clip(gradient_clip_val, gradient_clip_algorithm)
        if self.trainer.precision != "16-mixed":  # float16 overflows; loss scaling skips these steps
            self._gradients.add(norm, self.batch, self.trainer)

    def _clip(self, most: float | None, algorithm: str | None) -> Tensor:
        """Clip the gradient's norm, or each of its elements; returns the norm as it was."""
        norm = torch.nn.utils.get_total_norm([weight.grad for weight in self._weights if weight.grad is not None])
        if most and algorithm == "value":
            torch.nn.utils.clip_grad_value_(self._weights, most)
        elif most:
            torch.nn.utils.clip_grads_with_norm_(self._weights, most, norm)
        return norm

    @property
    def rate_weight(self) -> float:
        """beta, or less while the KL warm-up lasts."""
        done = 1.0 if self.kl_warmup_epochs == 0 else min(1.0, (self.current_epoch + 1) / self.kl_warmup_epochs)
        return self.vae.beta * done

    @property
    def in_importance_phase(self) -> bool:
        """Whether the importance-weighted bound has taken over."""
        last = self.trainer.max_epochs or 0
        return self.importance_epochs > 0 and self.current_epoch >= last - self.importance_epochs

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        if not 0 <= self.importance_epochs <= max(self.trainer.max_epochs or 0, 0):
            raise MisconfigurationException(
                f"importance_epochs is {self.importance_epochs} and --trainer.max_epochs {self.trainer.max_epochs}: "
                "set max_epochs to at least as many"
            )
        fused = self.trainer.precision != "16-mixed"
        optimizer = OPTIMIZERS[self.optimizer](self.vae, self.learning_rate, fused, self.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._learning_rate_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _learning_rate_factor(self, step: int) -> float:
        return warmup_and_cosine(progress(self.trainer, step), self.warmup)

    def on_validation_start(self) -> None:
        self._gradients.check(self.trainer)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._gradients.check(self.trainer)
        record = self.vae.training_record
        checkpoint[hub.CHECKPOINT_KEY] = {
            "model_class": type(self.vae).__name__,
            "arguments": self.vae.config,
            "data": None if record is None else record.to_json(),
        }
        for state in checkpoint.get("optimizer_states", ()):
            make_portable(state)

    def _log_means(self, stage: str, values: dict[str, Tensor]) -> None:
        """Means over images (B,) each, in nats per image; beta scales none of them."""
        trains = stage == "train"
        size = len(next(iter(values.values())))
        options: dict[str, Any] = {"batch_size": size, "sync_dist": not trains}
        means = {f"{stage}/{name}": value.detach().mean() for name, value in values.items()}
        self.log_dict(means, on_step=trains, on_epoch=not trains, **options)
        if stage == "val":
            self.log("elbo", means["val/elbo"], prog_bar=True, logger=False, **options)
