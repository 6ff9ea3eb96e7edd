"""The table from `prior_type` to p(z).

A prior is a module whose ``forward`` returns a distribution over latents: batch (), event (latent_dim,). Its parameters
are trained with the model and saved with it. Any distribution that `hfvae.sampling` can draw from will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from .arguments import build_from_table


class Prior(nn.Module):
    """p(z); a subclass may take keyword arguments, plain JSON values given as `prior_options`.

    Args:
        latent_dim: number of latents.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    def forward(self, like: Tensor) -> Distribution:
        """p(z): batch (), event (latent_dim,).

        Args:
            like: a tensor of the model's dtype and device, for priors without parameters of their own.
        """
        raise NotImplementedError


class NormalPrior(Prior):
    """N(0, I)."""

    def forward(self, like: Tensor) -> Distribution:
        zero = torch.zeros(self.latent_dim, device=like.device, dtype=like.dtype)
        return Independent(Normal(zero, torch.ones_like(zero)), 1)


DEFAULT_PRIOR = "Normal"
PRIORS: dict[str, type[Prior]] = {"Normal": NormalPrior}


def make_prior(prior_type: str, latent_dim: int, options: Mapping[str, Any] | None = None) -> Prior:
    """The prior of that name over `latent_dim` latents; `options` are its own keyword arguments.

    Raises:
        ValueError: an unknown name, or options that this prior does not take.
    """
    return build_from_table("prior", prior_type, PRIORS, latent_dim, options)
