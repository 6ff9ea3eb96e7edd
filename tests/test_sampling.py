"""Draws with a generator and KL divergences, for every family that priors and posteriors may be made of."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import (
    Categorical,
    Distribution,
    ExpTransform,
    Independent,
    Laplace,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
    kl_divergence,
)

from hfvae.probability.sampling import (
    has_closed_form_kl,
    is_standard_normal,
    kl_or_estimate,
    latent_kl,
    moments,
    rsample,
)

MEAN = torch.tensor([[1.0, -2.0], [0.5, 0.0], [3.0, 1.0]])
FACTOR = torch.tensor([[1.0, 0.0], [0.8, 0.5]])


def diagonal(mean: torch.Tensor = MEAN) -> Independent:
    return Independent(Normal(mean, torch.full_like(mean, 0.5)), 1)


def mixture() -> MixtureSameFamily:
    weights = Categorical(probs=torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]))
    centres = torch.stack([MEAN, MEAN + 10], 1)
    return MixtureSameFamily(weights, Independent(Normal(centres, torch.full_like(centres, 0.1)), 1))


FAMILIES = {
    "diagonal": diagonal,
    "full": lambda: MultivariateNormal(MEAN, scale_tril=FACTOR.expand(3, 2, 2)),
    "mixture": mixture,
    "transformed": lambda: TransformedDistribution(diagonal(), [ExpTransform()]),
    "laplace": lambda: Independent(Laplace(MEAN, torch.ones_like(MEAN)), 1),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_draws_are_the_distributions_and_follow_their_generator(family: str) -> None:
    distribution: Distribution = FAMILIES[family]()
    state = torch.get_rng_state()
    draws = rsample(distribution, (20_000,), torch.Generator().manual_seed(0))
    assert draws.shape == (20_000, 3, 2)
    assert torch.equal(draws, rsample(distribution, (20_000,), torch.Generator().manual_seed(0)))
    assert not torch.equal(draws[:5], rsample(distribution, (5,), torch.Generator().manual_seed(1)))
    assert torch.equal(torch.get_rng_state(), state), "torch's global generator is left alone"
    own = distribution.sample(torch.Size((20_000,)))
    scale = own.std(0)
    assert ((draws.mean(0) - own.mean(0)).abs() < 0.05 * (1 + scale)).all()
    torch.testing.assert_close(draws.std(0), scale, rtol=0.1, atol=0.02)
    assert rsample(distribution, ()).shape == (3, 2), "from the global generator"


@pytest.mark.parametrize("family", ["diagonal", "full", "transformed"])
def test_draws_are_reparameterised(family: str) -> None:
    mean = MEAN.clone().requires_grad_()
    made = {
        "diagonal": lambda: Independent(Normal(mean, torch.ones_like(mean)), 1),
        "full": lambda: MultivariateNormal(mean, scale_tril=FACTOR.expand(3, 2, 2)),
        "transformed": lambda: TransformedDistribution(Independent(Normal(mean, 1.0), 1), [ExpTransform()]),
    }[family]()
    draws = rsample(made, (4,), torch.Generator().manual_seed(0))
    draws.sum().backward()
    expected = draws.detach().sum(0) if family == "transformed" else torch.full_like(mean, 4.0)
    torch.testing.assert_close(mean.grad, expected)


@pytest.mark.parametrize("family", ["diagonal", "full", "mixture"])
def test_temperature_scales_the_base_noise(family: str) -> None:
    distribution = FAMILIES[family]()
    hot, still = (rsample(distribution, (4000,), torch.Generator().manual_seed(0), t) for t in (2.0, 0.0))
    usual = rsample(distribution, (4000,), torch.Generator().manual_seed(0))
    torch.testing.assert_close(hot - still, 2 * (usual - still), rtol=1e-4, atol=1e-4)
    if family != "mixture":
        torch.testing.assert_close(still, MEAN.expand(4000, 3, 2))
    with pytest.raises(ValueError, match="has no temperature"):
        rsample(FAMILIES["laplace"](), (1,), None, 0.5)


def test_mixtures_choose_components_by_their_weights() -> None:
    draws = rsample(mixture(), (8000,), torch.Generator().manual_seed(0))
    second = ((draws - MEAN).mean(-1) > 5).double().mean(0)
    torch.testing.assert_close(second, torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64), atol=0.03, rtol=0)


def test_kl_in_closed_form_or_estimated() -> None:
    prior = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    q, mixed, full = diagonal(), mixture(), FAMILIES["full"]()
    z = rsample(q, (), torch.Generator().manual_seed(0))
    assert has_closed_form_kl(q, prior)
    assert torch.equal(kl_or_estimate(q, prior, z), kl_divergence(q, prior))
    assert not has_closed_form_kl(mixed, prior)
    z = rsample(mixed, (), torch.Generator().manual_seed(0))
    torch.testing.assert_close(kl_or_estimate(mixed, prior, z), mixed.log_prob(z) - prior.log_prob(z))
    other = MultivariateNormal(torch.zeros(2), torch.eye(2))
    assert has_closed_form_kl(full, other)
    many = rsample(full, (50_000,), torch.Generator().manual_seed(0))
    mean = (full.log_prob(many) - other.log_prob(many)).mean(0)
    torch.testing.assert_close(mean, kl_or_estimate(full, other, many[0]), atol=0.05, rtol=0)


def test_latent_kl_needs_both_to_factorise() -> None:
    prior = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    parts = latent_kl(diagonal(), prior)
    assert parts is not None
    assert parts.shape == (3, 2)
    torch.testing.assert_close(parts.sum(1), kl_divergence(diagonal(), prior))
    assert latent_kl(FAMILIES["full"](), prior) is None
    assert latent_kl(diagonal(), FAMILIES["full"]()) is None


def test_what_is_known_of_a_prior() -> None:
    standard = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    assert is_standard_normal(standard)
    assert not is_standard_normal(Independent(Normal(torch.zeros(2), torch.tensor([1.0, 2.0])), 1))
    assert not is_standard_normal(MultivariateNormal(torch.zeros(2), torch.eye(2)))
    mean, std = moments(standard)
    assert (mean.tolist(), std.tolist()) == ([0, 0], [1, 1])
    unknown = TransformedDistribution(standard, [ExpTransform()])
    mean, std = moments(unknown)
    torch.testing.assert_close(mean, torch.full((2,), math.exp(0.5)), atol=0.15, rtol=0)
