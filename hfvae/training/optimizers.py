"""The table from optimizer names to optimizers of a VAE's parameters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.optim import Optimizer

from ..models import VAE
from .hardware import multiplies_bfloat16


def adam(vae: VAE, learning_rate: float, fused: bool = True) -> Optimizer:
    """Adam (Kingma & Ba 2015); not `fused` where scaled gradients must be unscaled before they are clipped."""
    return torch.optim.Adam(vae.parameters(), lr=learning_rate, fused=fused)


def muon(vae: VAE, learning_rate: float, fused: bool = True) -> Optimizer:  # noqa: ARG001
    """Muon for the hidden layers' weights; Adam (Nesterov's) at half the rate for biases and the layers at the ends."""
    from timm.optim import muon as timm_muon  # the import takes a second or two

    if not multiplies_bfloat16():
        # timm orthogonalises in bfloat16 and has no argument for it; emulated, that takes most of a step's time
        exact = partial(timm_muon.zeropower_via_newtonschulz, dtype=torch.float32)
        timm_muon.zeropower_via_newtonschulz = exact
    weights = ([p for p in net.parameters() if p.ndim > 1] for net in (vae.encoder, vae.decoder))
    hidden = [p for layers in weights for p in layers[1:-1]]
    chosen = set(hidden)
    groups: list[dict[str, Any]] = [
        {"params": hidden},
        {"params": [p for p in vae.parameters() if p not in chosen], "lr": learning_rate / 2, "use_fallback": True},
    ]
    return timm_muon.Muon(groups, lr=learning_rate, nesterov=True, betas=(0.9, 0.999))


OPTIMIZERS: dict[str, Callable[[VAE, float, bool], Optimizer]] = {"adam": adam, "muon": muon}
