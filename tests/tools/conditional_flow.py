"""A posterior with a flow that the image conditions, for `experiments.py`: does it pay beside a learned prior?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Size, Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints

from hfvae.networks import dense_stack
from hfvae.probability.posteriors import LOG_STD_RANGE, POSTERIORS, Posterior
from hfvae.probability.sampling import rsample

COUPLINGS, CONTEXT, FEATURES, MAX_LOG_SCALE = 6, 64, 192, 1.0


class Flowed(Distribution):
    """A diagonal Gaussian, carried by couplings that an image's context conditions."""

    arg_constraints = {}  # noqa: RUF012  the base class's declaration
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, base: Independent, context: Tensor, couplings: nn.ModuleList) -> None:
        self.base, self.context, self.couplings = base, context, couplings
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def _map(self, coupling: nn.Module, kept: Tensor) -> tuple[Tensor, Tensor]:
        context = self.context.expand(*kept.shape[:-1], self.context.shape[-1])
        log_scale, shift = coupling(torch.cat([kept, context], -1)).chunk(2, -1)
        return MAX_LOG_SCALE * torch.tanh(log_scale), shift

    def carry(self, z: Tensor) -> Tensor:
        """Points of the base (..., D) -> latents (..., D)."""
        for coupling in self.couplings:
            kept, moved = z.chunk(2, -1)
            log_scale, shift = self._map(coupling, kept)
            z = torch.cat([moved * log_scale.exp() + shift, kept], -1)
        return z

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.carry(self.base.rsample(Size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        log_det = value.new_zeros(value.shape[:-1])
        for coupling in reversed(self.couplings):
            moved, kept = value.chunk(2, -1)
            log_scale, shift = self._map(coupling, kept)
            value = torch.cat([kept, (moved - shift) * (-log_scale).exp()], -1)
            log_det = log_det - log_scale.sum(-1)
        return self.base.log_prob(value) + log_det


@rsample.register
def _flowed(
    distribution: Flowed,
    sample_shape: Sequence[int] = (),
    generator: Generator | None = None,
    temperature: float = 1.0,
) -> Tensor:
    return distribution.carry(rsample(distribution.base, sample_shape, generator, temperature))


class ConditionalFlow(Posterior):
    """For an even number of latents."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim)
        half = latent_dim // 2
        self.couplings = nn.ModuleList(
            dense_stack((half + CONTEXT, FEATURES, FEATURES, latent_dim), "silu") for _ in range(COUPLINGS)
        )
        for coupling in self.couplings:
            for parameter in coupling[-1].parameters():
                nn.init.zeros_(parameter)

    @staticmethod
    def num_outputs(latent_dim: int) -> int:
        return 2 * latent_dim + CONTEXT

    def forward(self, outputs: Tensor) -> Distribution:
        mean, log_std, context = outputs.split((self.latent_dim, self.latent_dim, CONTEXT), 1)
        base = Independent(Normal(mean, log_std.clamp(*LOG_STD_RANGE).exp()), 1)
        return Flowed(base, context, self.couplings)

    def code(self, q: Distribution) -> Tensor:
        """Where the base's mean is carried."""
        return q.carry(q.base.mean)


POSTERIORS["ConditionalFlow"] = ConditionalFlow
