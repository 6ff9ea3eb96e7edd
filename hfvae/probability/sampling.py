"""What a VAE needs of a pair of distributions: draws with an explicit generator, and the KL divergence between them.

torch.distributions draws from torch's global generator only, and raises where a KL divergence has no closed form.
Priors and posteriors may be any distribution of torch.distributions, or a subclass of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import singledispatch

import numpy as np
import torch
from torch import Generator, Size, Tensor
from torch.distributions import (
    Distribution,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
    kl_divergence,
)

MOMENT_SAMPLES = 4096


def seeded_generator(*key: int) -> Generator:
    """A generator on the CPU whose stream depends on all of these integers, as on a seed and a place."""
    sequence = np.random.SeedSequence([part % 2**64 for part in key])  # which takes no negative ones
    return Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0]) >> 1)


@singledispatch
def rsample(
    distribution: Distribution,
    sample_shape: Sequence[int] = (),
    generator: Generator | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Draws from a distribution, reparameterised where it has `rsample`.

    Args:
        distribution: batch B, event E. ``rsample.register`` adds a family.
        sample_shape: shape of the draws for each element of the batch.
        generator: source of the randomness, on any device; None takes torch's global one.
        temperature: factor of the standard deviation of the base noise, >= 0.

    Returns:
        (*sample_shape, *B, *E), on the distribution's device.

    Raises:
        ValueError: a temperature other than 1 for a family that has no base noise.
    """
    if temperature != 1:
        raise ValueError(f"{type(distribution).__name__} has no temperature: it must be 1, got {temperature}")
    draw = distribution.rsample if distribution.has_rsample else distribution.sample
    if generator is None:
        return draw(Size(sample_shape))
    seed = torch.randint(2**63 - 1, (), generator=generator, device=generator.device)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):  # so that the global state stays as it was
        torch.manual_seed(int(seed))
        return draw(Size(sample_shape))


@rsample.register
def _normal(
    distribution: Normal,
    sample_shape: Sequence[int] = (),
    generator: Generator | None = None,
    temperature: float = 1.0,
) -> Tensor:
    mean, std = distribution.loc, distribution.scale
    noise = standard_normal((*sample_shape, *mean.shape), mean, generator)
    return mean + (std if temperature == 1 else temperature * std) * noise


@rsample.register
def _multivariate_normal(
    distribution: MultivariateNormal,
    sample_shape: Sequence[int] = (),
    generator: Generator | None = None,
    temperature: float = 1.0,
) -> Tensor:
    mean = distribution.loc
    noise = standard_normal((*sample_shape, *mean.shape), mean, generator)
    return mean + temperature * (distribution.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)


@rsample.register
def _independent(
    distribution: Independent,
    sample_shape: Sequence[int] = (),
    generator: Generator | None = None,
    temperature: float = 1.0,
) -> Tensor:
    return rsample(distribution.base_dist, sample_shape, generator, temperature)


@rsample.register
def _transformed(
    distribution: TransformedDistribution,
    sample_shape: Sequence[int] = (),
    generator: Generator | None = None,
    temperature: float = 1.0,
) -> Tensor:
    z = rsample(distribution.base_dist, sample_shape, generator, temperature)
    for transform in distribution.transforms:
        z = transform(z)
    return z


@rsample.register
def _mixture(
    distribution: MixtureSameFamily,
    sample_shape: Sequence[int] = (),
    generator: Generator | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """The draw of the component has no gradient; the draw within it has."""
    weights = distribution.mixture_distribution.probs
    device = weights.device if generator is None else generator.device
    flat = weights.detach().reshape(-1, weights.shape[-1]).to(device)
    chosen = torch.multinomial(flat, math.prod(sample_shape), replacement=True, generator=generator)
    chosen = chosen.T.reshape((*sample_shape, *weights.shape[:-1])).to(weights.device)
    draws = rsample(distribution.component_distribution, sample_shape, generator, temperature)  # (S, B, K, E)
    event = len(distribution.event_shape)
    axis = draws.ndim - event - 1
    index = chosen.reshape(*chosen.shape, *(1 for _ in range(event + 1)))
    return torch.take_along_dim(draws, index, axis).squeeze(axis)


@singledispatch
def to_noise(distribution: Distribution, z: Tensor) -> Tensor:  # noqa: ARG001
    """The standard normal noise of which `rsample` would make the draws z (..., D), (..., D).

    Raises:
        ValueError: a family whose draws are not a bijection of such noise.
    """
    raise ValueError(f"{type(distribution).__name__} has no base noise")


@singledispatch
def from_noise(distribution: Distribution, noise: Tensor) -> Tensor:  # noqa: ARG001
    """The draws (..., D) that `rsample` would make of standard normal noise (..., D).

    Raises:
        ValueError: a family whose draws are not a bijection of such noise.
    """
    raise ValueError(f"{type(distribution).__name__} has no base noise")


@to_noise.register
def _normal_to_noise(distribution: Normal, z: Tensor) -> Tensor:
    return (z - distribution.loc) / distribution.scale


@from_noise.register
def _normal_from_noise(distribution: Normal, noise: Tensor) -> Tensor:
    return distribution.loc + distribution.scale * noise


@to_noise.register
def _independent_to_noise(distribution: Independent, z: Tensor) -> Tensor:
    return to_noise(distribution.base_dist, z)


@from_noise.register
def _independent_from_noise(distribution: Independent, noise: Tensor) -> Tensor:
    return from_noise(distribution.base_dist, noise)


def has_noise(distribution: Distribution) -> bool:
    """Whether a prior's draws are a bijection of standard normal noise."""
    try:
        to_noise(distribution, rsample(distribution, (), Generator().manual_seed(0)))
    except ValueError:
        return False
    return True


def kl_or_estimate(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    """KL(q || p), (B,), in closed form where torch.distributions has one, else log q(z) - log p(z) at draws z of q."""
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return q.log_prob(z) - p.log_prob(z)


def has_closed_form_kl(q: Distribution, p: Distribution) -> bool:
    """Whether torch.distributions knows KL(q || p)."""
    try:
        kl_divergence(q, p)
    except NotImplementedError:
        return False
    return True


def latent_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """Each latent's KL(q(z_j) || p(z_j)), (B, latent_dim), where both factorise over latents; else None.

    Only then do these sum to KL(q || p).
    """
    if not (isinstance(q, Independent) and isinstance(p, Independent)):
        return None
    try:
        return kl_divergence(q.base_dist, p.base_dist)
    except NotImplementedError:
        return None


def is_standard_normal(p: Distribution) -> bool:
    """Whether p is N(0, I)."""
    if not (isinstance(p, Independent) and isinstance(p.base_dist, Normal)):
        return False
    return bool((p.base_dist.loc == 0).all() and (p.base_dist.scale == 1).all())


def moments(p: Distribution) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each latent, (latent_dim,) each: exact where known, else from seeded draws."""
    try:
        return p.mean, p.stddev
    except NotImplementedError:
        draws = rsample(p, (MOMENT_SAMPLES,), Generator().manual_seed(0))
        return draws.mean(0), draws.std(0)


def standard_normal(shape: tuple[int, ...], like: Tensor, generator: Generator | None) -> Tensor:
    """Noise of the dtype and on the device of `like`."""
    if generator is None:  # with dynamic shapes torch.compile rejects randn's generator argument, even None
        return torch.randn(shape, device=like.device, dtype=like.dtype)
    return torch.randn(shape, generator=generator, device=generator.device, dtype=like.dtype).to(like.device)
