"""Load a model: bundled, from a folder or from a hub."""

from __future__ import annotations

from pathlib import Path

import torch

from .models import VAE


def load(
    model: str | Path,
    revision: str | None = None,
    device: str | torch.device = "auto",
    *,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> VAE:
    """Load a model of the class that its config.json names, in eval mode.

    Args:
        model: a folder, the name of a bundled model (``"mnist-conv-32d"``, ...), or a hub repository.
        revision: branch, tag or commit of a hub repository.
        device: ``"auto"`` is CUDA if available, else the CPU.
        token, cache_dir, local_files_only: as in ``huggingface_hub.hf_hub_download``.

    Raises:
        hub.HubError: the model cannot be loaded; the message says why and what to do.

    Example:
        >>> vae = load("mnist-conv-32d", device="cpu")
        >>> type(vae).__name__, vae.latent_dim
        ('ConvVAE', 32)
    """
    return VAE.from_pretrained(
        model,
        revision=revision,
        token=token,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        device=pick_device(device),
    )


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """Resolve a device; ``"auto"`` is CUDA if available, else the CPU.

    Raises:
        ValueError: not a device, or CUDA is not available.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        picked = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device must be auto, cpu or cuda, got {device!r}") from error
    if picked.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {device!r} is not available: torch finds no CUDA device; use auto or cpu")
    return picked
