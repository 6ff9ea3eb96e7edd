"""The table from `prior_type` to p(z).

A prior is a module whose ``forward`` returns a distribution over latents: batch (), event (latent_dim,). Its parameters
are trained with the model and saved with it. Any distribution that `hfvae.probability.sampling` can draw from will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from ..arguments import MAX_DEPTH, MAX_WIDTH, build_from_table, validate_integer
from ..datasets import LEARNED_PRIOR, Paper
from ..tensors import FullPrecision
from .flows import Flow, FlowDistribution, FlowSampler


class Prior(FullPrecision):
    """p(z); a subclass may take keyword arguments, plain JSON values given as `prior_options`.

    Args:
        latent_dim: number of latents.
    """

    paper: Paper | None = None
    """Where the prior was published, for model cards; None for the textbook's."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    def forward(self, like: Tensor) -> Distribution:
        """p(z): batch (), event (latent_dim,).

        Args:
            like: a tensor of the latents' dtype and device, for priors without parameters of their own.
        """
        raise NotImplementedError

    def sampler(self) -> nn.Module | None:
        """A module from N(0, I) noise (B, latent_dim) to draws of p(z), for export; None if noise is a draw itself, or
        if the prior has no such module.
        """
        return None


class NormalPrior(Prior):
    """N(0, I)."""

    def forward(self, like: Tensor) -> Distribution:
        zero = torch.zeros(self.latent_dim, device=like.device, dtype=like.dtype)
        return Independent(Normal(zero, torch.ones_like(zero), validate_args=False), 1, validate_args=False)


class FlowPrior(Prior):
    """N(f(z); 0, I) |det df/dz| with a learned bijection f, trained with the model (Xu et al. 2019, 1905.13452).

    Args:
        latent_dim: number of latents.
        blocks: number of blocks of the flow.
        features: width of each coupling's two hidden layers.
    """

    paper = LEARNED_PRIOR

    def __init__(self, latent_dim: int, blocks: int = 10, features: int = 256) -> None:
        super().__init__(latent_dim)
        validate_integer("blocks", blocks, MAX_DEPTH)
        validate_integer("features", features, MAX_WIDTH // 16)
        self.flow = Flow(latent_dim, blocks, (features, features))

    def forward(self, like: Tensor) -> Distribution:
        return FlowDistribution(self.flow, like, self.latent_dim)

    def sampler(self) -> nn.Module:
        return FlowSampler(self.flow)


DEFAULT_PRIOR = "Normal"
PRIORS: dict[str, type[Prior]] = {"Normal": NormalPrior, "Flow": FlowPrior}


def make_prior(prior_type: str, latent_dim: int, options: Mapping[str, Any] | None = None) -> Prior:
    """The prior of that name over `latent_dim` latents; `options` are its own keyword arguments.

    Raises:
        ValueError: an unknown name, or options that this prior does not take.
    """
    return build_from_table("prior", prior_type, PRIORS, latent_dim, options)
