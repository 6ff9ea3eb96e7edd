"""An invertible flow over latents, the density it gives to a prior, and its draws.

Blocks of an elementwise affine map, an invertible linear map in its LU form and an affine coupling (Dinh,
Sohl-Dickstein & Bengio 2017, "Density estimation using Real NVP"; Kingma & Dhariwal 2018, "Glow", secs. 3.1 to 3.3).
As a VAE's prior,
trained with it: Xu et al. 2019, https://arxiv.org/abs/1905.13452.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Size, Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints

from ..networks import dense_stack
from .sampling import from_noise, rsample, to_noise

MAX_LOG_SCALE = 1.5
"""Bound on the log-scale of one coupling, without which training can diverge."""


class Affine(nn.Module):
    """u = (z - shift) * exp(log_scale), elementwise; the identity at first."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(dim))
        self.log_scale = nn.Parameter(torch.zeros(dim))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z (..., D) -> u (..., D) and log |det du/dz|, a scalar or (...)."""
        return (z - self.shift) * self.log_scale.exp(), self.log_scale.sum()

    def inverse(self, u: Tensor) -> Tensor:
        return u * (-self.log_scale).exp() + self.shift


class LULinear(nn.Module):
    """u = P L U z: a fixed permutation, a unit lower and an upper triangular matrix; a random rotation at first."""

    permutation: Tensor
    signs: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("permutation", torch.empty(dim, dim))
        self.register_buffer("signs", torch.empty(dim))
        self.lower = nn.Parameter(torch.empty(dim, dim))
        self.upper = nn.Parameter(torch.empty(dim, dim))
        self.log_diagonal = nn.Parameter(torch.empty(dim))
        if not self.signs.is_meta:  # torch would import its compiler for the operations below, which takes seconds
            self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw a random rotation from torch's global generator."""
        rotation = torch.linalg.qr(torch.randn_like(self.lower))[0]
        permutation, lower, upper = torch.linalg.lu(rotation)
        self.permutation.copy_(permutation)
        self.signs.copy_(upper.diagonal().sign())
        self.lower.copy_(lower.tril(-1))
        self.upper.copy_(upper.triu(1))
        self.log_diagonal.copy_(upper.diagonal().abs().log())

    def factors(self) -> tuple[Tensor, Tensor]:
        """L and U, (D, D) each."""
        lower = self.lower.tril(-1) + torch.eye(len(self.signs), dtype=self.signs.dtype, device=self.signs.device)
        return lower, self.upper.triu(1) + torch.diag(self.signs * self.log_diagonal.exp())

    def matrix(self) -> Tensor:
        """P L U, (D, D)."""
        lower, upper = self.factors()
        return self.permutation @ lower @ upper

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z @ self.matrix().T, self.log_diagonal.sum()

    def inverse(self, u: Tensor) -> Tensor:
        lower, upper = self.factors()
        columns = (u @ self.permutation).reshape(-1, u.shape[-1]).T
        solved = torch.linalg.solve_triangular(lower, columns, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, solved, upper=True).T.reshape(u.shape)


class Coupling(nn.Module):
    """One half of the latents scales and shifts the other; the identity at first, since the last layer starts at zero.

    Args:
        dim: number of latents.
        hidden_features: widths of the network's hidden layers.
        swap: whether the last latents drive the first ones, instead of the other way round.
    """

    def __init__(self, dim: int, hidden_features: Sequence[int], swap: bool) -> None:
        super().__init__()
        self.driving = dim // 2
        self.swap = swap
        driven = dim - self.driving
        self.net = dense_stack((max(self.driving, 1), *hidden_features, 2 * driven), "silu")
        for parameter in self.net[-1].parameters():
            nn.init.zeros_(parameter)

    def _parts(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The driving and the driven latents."""
        if self.swap:
            return z[..., z.shape[-1] - self.driving :], z[..., : z.shape[-1] - self.driving]
        return z[..., : self.driving], z[..., self.driving :]

    def _joined(self, driving: Tensor, driven: Tensor) -> Tensor:
        return torch.cat([driven, driving] if self.swap else [driving, driven], -1)

    def _map(self, driving: Tensor) -> tuple[Tensor, Tensor]:
        """log-scale and shift of the driven latents."""
        inputs = driving if self.driving else driving.new_zeros(*driving.shape[:-1], 1)
        log_scale, shift = self.net(inputs).chunk(2, -1)
        return MAX_LOG_SCALE * torch.tanh(log_scale / MAX_LOG_SCALE), shift

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        driving, driven = self._parts(z)
        log_scale, shift = self._map(driving)
        return self._joined(driving, driven * log_scale.exp() + shift), log_scale.sum(-1)

    def inverse(self, u: Tensor) -> Tensor:
        driving, driven = self._parts(u)
        log_scale, shift = self._map(driving)
        return self._joined(driving, (driven - shift) * (-log_scale).exp())


class Flow(nn.Module):
    """f: z -> u, a bijection of R^D with a known log-determinant, exact both ways.

    Args:
        dim: D, number of latents.
        blocks: number of blocks of affine map, linear map and coupling.
        hidden_features: widths of each coupling's hidden layers.
    """

    def __init__(self, dim: int, blocks: int, hidden_features: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for block in range(blocks):
            layers += [Affine(dim), LULinear(dim), Coupling(dim, hidden_features, swap=block % 2 == 1)]
        self.layers = nn.ModuleList(layers)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z (..., D) -> f(z) (..., D) and log |det df/dz| (...)."""
        log_det = z.new_zeros(z.shape[:-1])
        with torch.autocast(z.device.type, enabled=False):  # log-scales and densities need float32
            for layer in self.layers:
                z, part = layer(z)
                log_det = log_det + part
        return z, log_det

    def inverse(self, u: Tensor) -> Tensor:
        """f(z) (..., D) -> z (..., D)."""
        with torch.autocast(u.device.type, enabled=False):
            for layer in reversed(self.layers):
                u = layer.inverse(u)  # type: ignore[operator]
        return u


class FlowSampler(nn.Module):
    """Draws of a flow's distribution from standard normal noise (..., D), its linear maps inverted beforehand.

    For export: ONNX cannot solve linear systems. The inverses are taken in float64, of the present weights.
    """

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow
        maps = [layer for layer in flow.layers if isinstance(layer, LULinear)]
        with torch.no_grad():
            matrices = [torch.linalg.inv(layer.matrix().double()).to(layer.lower) for layer in maps]
        self.register_buffer("inverses", torch.stack(matrices))

    def forward(self, noise: Tensor) -> Tensor:
        u, inverses = noise, iter(reversed(self.inverses))  # type: ignore[arg-type]
        for layer in reversed(self.flow.layers):
            u = u @ next(inverses).T if isinstance(layer, LULinear) else layer.inverse(u)  # type: ignore[operator]
        return u


class FlowDistribution(Distribution):
    """p(z) = N(f(z); 0, I) |det df/dz|: batch (), event (D,)."""

    arg_constraints = {}  # noqa: RUF012  the base class's declaration
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, flow: Flow, like: Tensor, dim: int) -> None:
        self.flow = flow
        zero = torch.zeros(dim, device=like.device, dtype=like.dtype)
        self.base = Independent(Normal(zero, torch.ones_like(zero), validate_args=False), 1, validate_args=False)
        super().__init__(event_shape=Size((dim,)), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density (...) in nats of latents (..., D)."""
        u, log_det = self.flow(value)
        return self.base.log_prob(u) + log_det

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.flow.inverse(self.base.rsample(Size(sample_shape)))


@rsample.register
def _flow(
    distribution: FlowDistribution,
    sample_shape: Sequence[int] = (),
    generator: Generator | None = None,
    temperature: float = 1.0,
) -> Tensor:
    return distribution.flow.inverse(rsample(distribution.base, sample_shape, generator, temperature))


@to_noise.register
def _flow_to_noise(distribution: FlowDistribution, z: Tensor) -> Tensor:
    return to_noise(distribution.base, distribution.flow(z)[0])


@from_noise.register
def _flow_from_noise(distribution: FlowDistribution, noise: Tensor) -> Tensor:
    return distribution.flow.inverse(from_noise(distribution.base, noise))
