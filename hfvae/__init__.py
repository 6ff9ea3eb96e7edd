"""Variational autoencoders for MNIST, dense and convolutional, that live on a Hugging Face-style hub."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .inference import encode_loader, generate, interpolate, reconstruct
from .models import VAE, ConvVAE, DenseVAE
from .probability import continuous_bernoulli, flows, likelihoods, posteriors, priors, sampling
from .probability.continuous_bernoulli import ContinuousBernoulli
from .version import __version__
from .zoo import load

if TYPE_CHECKING:
    from .data import MNISTDataModule

__all__ = [
    "VAE",
    "ContinuousBernoulli",
    "ConvVAE",
    "DenseVAE",
    "MNISTDataModule",
    "__version__",
    "encode_loader",
    "generate",
    "interpolate",
    "load",
    "reconstruct",
]
_MODULES = {name: name for name in ("data", "evaluation", "export", "sketch", "training")}
_MODULES["plots"] = "evaluation.plots"
"""Modules that `import hfvae` makes available without importing them."""
_FORMER = {
    "distributions": continuous_bernoulli,
    "flows": flows,
    "likelihoods": likelihoods,
    "posteriors": posteriors,
    "priors": priors,
    "sampling": sampling,
}
"""Modules of `probability` by their earlier names: `import hfvae.likelihoods` still finds one."""
globals().update(_FORMER)
sys.modules.update({f"{__name__}.{name}": module for name, module in _FORMER.items()})


def __getattr__(name: str) -> Any:
    """Import on first use what takes time: `MNISTDataModule` needs lightning and torchvision, and the app does not."""
    if name == "MNISTDataModule":
        return import_module(".data", __name__).MNISTDataModule
    if name in _MODULES:
        return import_module(f".{_MODULES[name]}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
