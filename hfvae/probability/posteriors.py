"""The table from `posterior_type` to q(z|x).

A posterior is a module whose ``forward`` turns encoder outputs into a distribution over latents: batch (B,), event
(latent_dim,). It says how many outputs the encoder must have, and which point of the distribution is an image's code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal, register_kl
from torch.func import functional_call

from ..arguments import build_from_table, choose
from ..tensors import FullPrecision, validate_args

LOG_STD_RANGE = (-10.0, 10.0)
"""For an outlying image, exp(log_std) must neither vanish nor overflow, which would end a training."""


class Posterior(FullPrecision):
    """q(z|x) as a function of encoder outputs; a subclass may take keyword arguments, given as `posterior_options`.

    Args:
        latent_dim: number of latents.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    @staticmethod
    def num_outputs(latent_dim: int) -> int:
        """How many outputs the encoder must have."""
        raise NotImplementedError

    def forward(self, outputs: Tensor) -> Distribution:
        """(B, num_outputs) -> q(z|x): batch (B,), event (latent_dim,)."""
        raise NotImplementedError

    def detached(self, outputs: Tensor) -> Distribution:
        """The same distribution, through whose parameters no gradient flows."""
        fixed = {name: parameter.detach() for name, parameter in self.named_parameters()}
        return functional_call(self, fixed, (outputs.detach(),))

    def code(self, q: Distribution) -> Tensor:
        """The latent point that stands for an image, (B, latent_dim): the mean, where q has one."""
        return q.mean

    def scale(self, q: Distribution) -> Tensor:
        """The spread of q: standard deviations (B, latent_dim) if q factorises over the latents, else a Cholesky factor
        of the covariance, (B, latent_dim, latent_dim).

        Raises:
            ValueError: a distribution that neither describes.
        """
        if isinstance(q, Independent):
            return q.stddev
        if isinstance(q, MultivariateNormal):
            return q.scale_tril
        raise ValueError(f"a {type(q).__name__} posterior has no standard deviations: use vae.encode, or draw from it")

    def marginal_std(self, q: Distribution) -> Tensor | None:
        """The standard deviation of each latent by itself, (B, latent_dim); None where q has none."""
        try:
            return q.stddev
        except NotImplementedError:
            return None


class DiagonalPosterior(Posterior):
    """N(mu(x), diag sigma(x)^2); the encoder's outputs are mu and log sigma (Kingma & Welling 2014, appendix C.2)."""

    @staticmethod
    def num_outputs(latent_dim: int) -> int:
        return 2 * latent_dim

    def forward(self, outputs: Tensor) -> Distribution:
        mean, log_std = outputs.chunk(2, dim=1)
        validated = validate_args(outputs)
        normal = Normal(mean, log_std.clamp(*LOG_STD_RANGE).exp(), validate_args=validated)
        return Independent(normal, 1, validate_args=validated)


class FullCovariancePosterior(Posterior):
    """N(mu(x), L(x) L(x)^T); the encoder's outputs are mu, log of L's diagonal, and L's other entries row by row."""

    @staticmethod
    def num_outputs(latent_dim: int) -> int:
        return 2 * latent_dim + latent_dim * (latent_dim - 1) // 2

    def forward(self, outputs: Tensor) -> Distribution:
        dim = self.latent_dim
        mean, log_diagonal, entries = outputs.split((dim, dim, outputs.shape[1] - 2 * dim), 1)
        rows, columns = torch.tril_indices(dim, dim, -1, device=outputs.device)
        diagonal = log_diagonal.clamp(*LOG_STD_RANGE).exp()
        factor = torch.diag_embed(diagonal).index_put(
            (torch.arange(outputs.shape[0], device=outputs.device)[:, None], rows, columns), entries
        )
        return MultivariateNormal(mean, scale_tril=factor, validate_args=validate_args(outputs))


@register_kl(MultivariateNormal, Independent)
def _kl_full_diagonal(q: MultivariateNormal, p: Independent) -> Tensor:
    """KL of a Gaussian with full covariance from a diagonal one, which torch lacks."""
    if not isinstance(p.base_dist, Normal):
        raise NotImplementedError
    mean, std = p.base_dist.loc, p.base_dist.scale
    trace = (q.scale_tril / std[..., :, None]).square().sum((-2, -1))
    distance = ((q.loc - mean) / std).square().sum(-1)
    log_det = 2 * (std.log().sum(-1) - q.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1))
    return 0.5 * (trace + distance - mean.shape[-1] + log_det)


DEFAULT_POSTERIOR = "Diagonal"
POSTERIORS: dict[str, type[Posterior]] = {
    "Diagonal": DiagonalPosterior,
    "FullCovariance": FullCovariancePosterior,
}


def make_posterior(posterior_type: str, latent_dim: int, options: Mapping[str, Any] | None = None) -> Posterior:
    """The posterior of that name over `latent_dim` latents; `options` are its own keyword arguments.

    Raises:
        ValueError: an unknown name, or options that this posterior does not take.
    """
    return build_from_table("posterior", posterior_type, POSTERIORS, latent_dim, options)


def encoder_outputs(posterior_type: str, latent_dim: int) -> int:
    """How many outputs an encoder must have for the posterior of that name.

    Raises:
        ValueError: an unknown name.
    """
    return choose("posterior_type", posterior_type, POSTERIORS).num_outputs(latent_dim)
