"""Training with Lightning: a module around a VAE, callbacks, and checkpoints that survive."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.distributions import Independent, Normal
from torch.optim import Optimizer

from . import hub, plots
from .data import Batch
from .inference import encode_loader, generate, reconstruct
from .models import VAE, Bound, draw


class Diverged(RuntimeError):
    """Training came to numbers that are none."""


class VAETraining(lightning.LightningModule):
    """Minimise distortion + beta * rate; the learning rate warms up linearly and decays along a cosine.

    Args:
        vae: the model to train.
        learning_rate: the peak of the schedule.
        warmup: fraction of the training steps in which the learning rate rises.
        kl_warmup_epochs: epochs over which the rate's weight rises linearly from 0 to beta (Sønderby et al. 2016).
        importance_epochs: the last so many epochs maximise the importance-weighted bound instead of the ELBO: a better
            density, of which the posterior is a looser approximation (Burda et al. 2016).
        importance_samples: draws of z an image in that bound.
        channels_last: keep convolutions' weights and images with the channels innermost, which hardware likes better;
            results are the same.
        optimizer: "adam", or "muon", whose steps go further: each hidden weight matrix moves along its orthogonalised
            momentum (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks").
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
    ) -> None:
        super().__init__()
        if not learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {learning_rate}")
        if optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {optimizer}")
        if not 0 < warmup < 1:
            raise ValueError(f"warmup must be a fraction of the training between 0 and 1, got {warmup}")
        if kl_warmup_epochs < 0:
            raise ValueError(f"kl_warmup_epochs must not be negative, got {kl_warmup_epochs}")
        if importance_epochs < 0 or importance_samples < 1 or (importance_epochs > 0) != (importance_samples > 1):
            raise ValueError(
                "importance_epochs and importance_samples must be given together, at least 1 and 2, "
                f"got {importance_epochs} and {importance_samples}"
            )
        if importance_epochs and vae.beta != 1:
            raise ValueError(f"the importance-weighted bound must have beta 1, got {vae.beta}")
        self.vae = vae.to(memory_format=torch.channels_last) if channels_last else vae
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.warmup = warmup
        self.kl_warmup_epochs = kl_warmup_epochs
        self.importance_epochs = importance_epochs
        self.importance_samples = importance_samples

    def on_fit_start(self) -> None:
        self.seed = torch.initial_seed()

    def on_train_epoch_start(self) -> None:
        """Make an epoch's randomness a function of seed, epoch and rank: no two processes turn a digit alike."""
        sequence = np.random.SeedSequence((self.seed, self.current_epoch, self.global_rank))
        torch.manual_seed(int(sequence.generate_state(1)[0]))

    def training_step(self, batch: Batch) -> Tensor:
        self.batch = batch  # for the one that goes wrong
        x = batch[0]
        if self.in_last_stretch:
            bound = importance_weighted_bound(self.vae, x, self.importance_samples).mean()
            self.log("train/bound", bound.detach())
            return -bound
        elbo = self.vae.elbo(x)
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (self.global_step + 1) % every == 0:  # logging takes a tenth of a dense model's step
            self._log_elbo("train", elbo)
        return (elbo.distortion + self.rate_weight * elbo.rate).mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the ELBO and what the best checkpoint is chosen by, ``val/bound``: the bound that training ends with."""
        x, generator = batch[0], torch.Generator().manual_seed(batch_idx)
        elbo = self.vae.elbo(x, generator=generator)
        self._log_elbo("val", elbo)
        bound = elbo.elbo
        if self.importance_epochs:
            bound = importance_weighted_bound(self.vae, x, self.importance_samples, generator)
        self.log("val/bound", bound.mean(), batch_size=len(x), sync_dist=True)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Refuse a gradient that is no number, before it reaches the weights.

        Raises:
            Diverged: after the batch that caused it was saved.
        """
        gradients = [parameter.grad for parameter in self.vae.parameters() if parameter.grad is not None]
        if torch.nn.utils.get_total_norm(gradients).isfinite() or self.trainer.precision == "16-mixed":
            return  # float16 overflows now and then; its loss scaling skips such steps
        path = Path(self.trainer.default_root_dir) / f"diverged-{self.global_rank}.pt"
        hub.replace(path, lambda temporary: torch.save({"batch": self.batch, "step": self.global_step}, temporary))
        raise Diverged(
            f"the loss or its gradient is not a number in step {self.global_step}, epoch {self.current_epoch}. The "
            f"weights are as they were before it; its batch is in {path}. Go on from the last checkpoint with "
            "--ckpt_path last and a lower --model.learning_rate, or with --trainer.gradient_clip_val"
        )

    @property
    def rate_weight(self) -> float:
        """beta, or less while the KL warm-up lasts."""
        done = 1.0 if self.kl_warmup_epochs == 0 else min(1.0, (self.current_epoch + 1) / self.kl_warmup_epochs)
        return self.vae.beta * done

    @property
    def in_last_stretch(self) -> bool:
        """Whether the importance-weighted bound has taken over."""
        last = self.trainer.max_epochs or 0
        return self.importance_epochs > 0 and self.current_epoch >= last - self.importance_epochs

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        if not math.isfinite(self.trainer.estimated_stepping_batches):
            raise ValueError(
                "the learning rate's schedule needs an end: set --trainer.max_epochs or --trainer.max_steps"
            )
        if not 0 <= self.importance_epochs <= max(self.trainer.max_epochs or 0, 0):
            raise ValueError(
                f"importance_epochs is {self.importance_epochs} and --trainer.max_epochs {self.trainer.max_epochs}: "
                "set max_epochs to at least as many"
            )
        if self.optimizer == "muon":
            optimizer = muon(self.vae, self.learning_rate)
        else:  # Lightning cannot clip for a fused optimizer
            optimizer = adam(self.vae, self.learning_rate, fused=not self.trainer.gradient_clip_val)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._share_of_learning_rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _share_of_learning_rate(self, step: int) -> float:
        """Up linearly, then down a half cosine to 0; a function of the trainer's length, so a run may be extended."""
        progress = min(1.0, step / self.trainer.estimated_stepping_batches)
        if progress < self.warmup:
            return max(progress / self.warmup, 1e-2)
        return 0.5 * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup)))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[hub.CHECKPOINT_KEY] = {"model_class": type(self.vae).__name__, "arguments": self.vae.config}

    def _log_elbo(self, stage: str, bound: Bound) -> None:
        """Mean ELBO, rate and distortion in nats per image; beta scales none of them."""
        options: dict[str, Any] = {"batch_size": len(bound.elbo), "sync_dist": stage == "val"}
        means = {f"{stage}/{name}": value.detach().mean() for name, value in bound._asdict().items()}
        self.log_dict(means, on_step=stage == "train", on_epoch=stage == "val", **options)
        if stage == "val":
            self.log("elbo", means["val/elbo"], prog_bar=True, logger=False, **options)


def adam(vae: VAE, learning_rate: float, fused: bool = True) -> Optimizer:
    return torch.optim.Adam(vae.parameters(), lr=learning_rate, fused=fused)


def muon(vae: VAE, learning_rate: float) -> Optimizer:
    """Muon for the hidden layers' weights; Adam (Nesterov's) at half the rate for biases and the layers at the ends."""
    from timm.optim.muon import Muon  # takes a second or two, which only its users wait for

    weights = ([p for p in net.parameters() if p.ndim > 1] for net in (vae.encoder, vae.decoder))
    hidden = [p for layers in weights for p in layers[1:-1]]
    chosen = set(hidden)
    groups: list[dict[str, Any]] = [
        {"params": hidden},
        {"params": [p for p in vae.parameters() if p not in chosen], "lr": learning_rate / 2, "use_fallback": True},
    ]
    return Muon(groups, lr=learning_rate, nesterov=True, betas=(0.9, 0.999))


OPTIMIZERS = {"adam": adam, "muon": muon}


def importance_weighted_bound(
    vae: VAE, x: Tensor, num_samples: int, generator: torch.Generator | None = None
) -> Tensor:
    """E[log (1/S) sum_s p(x, z_s) / q(z_s|x)] of each image, (B,), with doubly reparameterised gradients.

    The plain gradient's signal for the encoder drowns in noise as S grows; this one's does not: log q is taken at fixed
    parameters, and what reaches z_s is scaled by its normalised weight (Tucker et al. 2019, "Doubly reparameterized
    gradient estimators", eq. 8).
    """
    q = vae.encode(x)
    z = draw(q.expand((num_samples, len(x))), generator)
    fixed = Independent(Normal(q.base_dist.loc.detach(), q.base_dist.scale.detach()), 1)
    log_weights = vae.log_weights(x, z, fixed)
    share = log_weights.detach().softmax(0)
    if z.requires_grad:
        z.register_hook(lambda gradient: share.unsqueeze(-1) * gradient)
    bound = log_weights.detach().logsumexp(0) - math.log(num_samples)
    surrogate = (share * log_weights).sum(0)  # only its gradient counts
    return bound + surrogate - surrogate.detach()


class Pictures(Callback):
    """Reconstructions, samples and the latent scatter of validation digits, to TensorBoard after every few epochs.

    Args:
        every_n_epochs: how often.
        num_images: digits to reconstruct and images to sample.
    """

    def __init__(self, every_n_epochs: int = 10, num_images: int = 16) -> None:
        self.every_n_epochs = every_n_epochs
        self.num_images = num_images

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        last = trainer.current_epoch + 1 == trainer.max_epochs
        due = last or trainer.current_epoch % self.every_n_epochs == 0
        if trainer.sanity_checking or not trainer.is_global_zero or not due:
            return
        vae: VAE = pl_module.vae  # type: ignore[assignment]
        loader = trainer.datamodule.val_dataloader()  # type: ignore[attr-defined]
        x = next(iter(loader))[0][: self.num_images]
        seeded = torch.Generator().manual_seed(0)
        figures = {
            "reconstructions": plots.reconstructions(x.clamp(0, 1), reconstruct(vae, x)),
            "samples": plots.image_grid(generate(vae, self.num_images, generator=seeded), columns=8),
        }
        if vae.latent_dim == 2:
            z_mu, _, y = encode_loader(vae, loader, return_targets=True)
            figures["latents"] = plots.latent_scatter(z_mu, y)
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger):
                continue
            for name, figure in figures.items():
                logger.experiment.add_figure(name, figure, trainer.global_step)


class WholeCheckpoints(TorchCheckpointIO):
    """A checkpoint is replaced only by a whole one; Lightning's own way is none where /tmp lies on another disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()  # torch's own writer answers a full disk with an error that does not name it
        torch.save(checkpoint, content)
        hub.replace(Path(path), lambda temporary: temporary.write_bytes(content.getbuffer()))


class SaveOnInterrupt(Callback):
    """Ctrl-C leaves ``last.ckpt`` in `folder`, where ``--ckpt_path last`` finds it."""

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / "last.ckpt"

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        if isinstance(exception, KeyboardInterrupt) and trainer.global_step > 0 and not trainer.sanity_checking:
            trainer.save_checkpoint(self.path)
            rank_zero_info(f"Saved {self.path}. Go on with the same command and --ckpt_path last")
