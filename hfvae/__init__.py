"""Variational autoencoders for MNIST, dense and convolutional, that live on a Hugging Face-style hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .distributions import ContinuousBernoulli
from .inference import encode_loader, generate, interpolate, reconstruct
from .models import VAE, ConvVAE, DenseVAE
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


def __getattr__(name: str) -> Any:
    """`MNISTDataModule` is imported on first use: lightning and torchvision cost seconds that the app does not have."""
    if name == "MNISTDataModule":
        from .data import MNISTDataModule

        return MNISTDataModule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
