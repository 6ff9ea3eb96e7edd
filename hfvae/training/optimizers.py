"""Optimizers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from ..models import VAE
from .muon import Muon, evaluate


class CombinedOptimizer(Optimizer):
    """Several optimizers, each with its own parameters, as one: schedules and checkpoints expect a single optimizer.

    Args:
        parts: the optimizers; from now on they share the groups and state of this one.
    """

    def __init__(self, *parts: Optimizer) -> None:
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        groups = iter(self.param_groups)
        for part in self.parts:
            part.state = self.state
            part.param_groups = [next(groups) for _ in part.param_groups]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = evaluate(closure)
        for part in self.parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._share()


def adam(vae: VAE, learning_rate: float, fused: bool = True, weight_decay: float = 0.0) -> Optimizer:
    """AdamW (Kingma & Ba 2015, Loshchilov & Hutter 2019); Adam without weight decay.

    Use fused=False where gradients are unscaled before clipping (16-mixed).
    """
    return torch.optim.AdamW(vae.parameters(), lr=learning_rate, fused=fused, weight_decay=weight_decay)


def muon(vae: VAE, learning_rate: float, fused: bool = True, weight_decay: float = 0.0) -> Optimizer:
    """Muon with weight decay for the weights of hidden layers.

    Adam updates all other parameters, at half the learning rate and without weight decay.
    """
    weights = ([p for p in net.parameters() if p.ndim > 1] for net in (vae.encoder, vae.decoder))
    hidden = [p for layers in weights for p in layers[1:-1]]
    chosen = set(hidden)
    others = torch.optim.Adam([p for p in vae.parameters() if p not in chosen], lr=learning_rate / 2, fused=fused)
    return CombinedOptimizer(Muon([{"params": hidden}], learning_rate, weight_decay), others)


OPTIMIZERS: dict[str, Callable[[VAE, float, bool, float], Optimizer]] = {"adam": adam, "muon": muon}
