"""The Muon optimizer, for weight matrices and convolutions.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
https://kellerjordan.github.io/posts/muon/. torch's own takes matrices only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from .hardware import has_fast_bf16

NEWTON_SCHULZ = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
"""Coefficients of each Newton-Schulz step (https://leloykun.github.io/ponder/muon-opt-coeffs/)."""


class Muon(Optimizer):
    """Move each weight along its orthogonalised momentum.

    A convolution's weight (out, in, kH, kW) counts as a matrix (out, in * kH * kW). Steps are scaled to the size of
    Adam's (Liu et al. 2025, "Muon is scalable for LLM training", eq. 4).

    Args:
        params: weights of two or more dimensions, or groups of them as for torch.optim.
        lr: learning rate.
        weight_decay: decoupled weight decay.
        momentum: of the exponential moving average of gradients; Nesterov's.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, weight_decay: float = 0.0, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = evaluate(closure)
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group["lr"], group["weight_decay"], group["momentum"])
        return loss

    def _update(
        self, weight: Tensor, gradient: Tensor, lr: float | Tensor, weight_decay: float, momentum: float
    ) -> None:
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        average = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        direction = orthogonalized(gradient.lerp(average, momentum).flatten(1))
        scale = 0.2 * max(direction.shape) ** 0.5
        weight.mul_(1 - lr * weight_decay)
        step = direction.view(weight.shape)
        if isinstance(lr, Tensor):  # a captured step's
            weight.add_(step * (-lr * scale))
        else:
            weight.add_(step, alpha=-lr * scale)


def evaluate(closure: Callable[[], Any] | None) -> Any:
    """The loss of an optimizer step's closure, computed with gradients; None without a closure."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def orthogonalized(matrix: Tensor) -> Tensor:
    """A matrix (m, n) with its singular values replaced by values near 1, by five Newton-Schulz steps.

    It is computed in bfloat16 where the hardware multiplies in it, else in float32.
    """
    x = matrix.to(torch.bfloat16 if has_fast_bf16() else torch.float32)
    tall = x.shape[0] > x.shape[1]
    x = x.mT if tall else x
    x = (x / x.norm().clamp(min=1e-7)).contiguous()
    for a, b, c in NEWTON_SCHULZ:
        gram = x @ x.mT
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT.contiguous() if tall else x
