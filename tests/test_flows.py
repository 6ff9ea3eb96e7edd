"""The flow prior: exact both ways, a density, and as good a citizen as any other prior."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from hfvae import ConvVAE, DenseVAE, generate, load
from hfvae.inference import sample_prior
from hfvae.probability.flows import Flow, FlowDistribution
from hfvae.probability.posteriors import FullCovariancePosterior
from hfvae.probability.sampling import rsample

DIMS = [1, 2, 5, 32]


def trained(dim: int, dtype: torch.dtype = torch.float64, size: float = 0.3) -> Flow:
    """A flow that is far from where it starts."""
    flow = Flow(dim, 4, (16,)).to(dtype)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(size * torch.randn_like(parameter) / max(1, parameter.shape[-1]) ** 0.5)
    return flow


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_exact_both_ways(dim: int, dtype: torch.dtype, error: float) -> None:
    flow = trained(dim, dtype, size=0.1)
    z = torch.randn(50, 3, dim, dtype=dtype)
    u, log_det = flow(z)
    assert u.shape == z.shape
    assert log_det.shape == (50, 3)
    assert not torch.allclose(u, z, atol=0.1)
    assert (flow.inverse(u) - z).abs().max() < error * max(1, z.abs().max())
    assert (flow(flow.inverse(z))[0] - z).abs().max() < error * max(1, z.abs().max())


@pytest.mark.parametrize("dim", DIMS)
def test_the_log_determinant_is_autograds(dim: int) -> None:
    flow = trained(dim)
    for z in torch.randn(4, dim, dtype=torch.float64):
        jacobian = torch.autograd.functional.jacobian(lambda point: flow(point)[0], z)
        torch.testing.assert_close(flow(z)[1], jacobian.slogdet().logabsdet)


def test_the_density_integrates_to_one_and_draws_have_it() -> None:
    distribution = FlowDistribution(trained(2), torch.zeros((), dtype=torch.float64), 2)
    axis = torch.linspace(-12, 12, 801, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        density = distribution.log_prob(grid).exp()
        cell = float(axis[1] - axis[0]) ** 2
        assert float(density.sum()) * cell == pytest.approx(1, abs=1e-3)
        draws = rsample(distribution, (20_000,), torch.Generator().manual_seed(0))
    mean = (density[:, None] * grid).sum(0) * cell
    torch.testing.assert_close(draws.mean(0), mean, atol=0.05, rtol=0)
    variance = (density[:, None] * (grid - mean).square()).sum(0) * cell
    torch.testing.assert_close(draws.var(0), variance, atol=0.1, rtol=0.05)


def test_it_starts_as_the_standard_normal() -> None:
    vae = DenseVAE([8], 6, prior_type="Flow")
    z = torch.randn(100, 6)
    expected = Independent(Normal(torch.zeros(6), torch.ones(6)), 1).log_prob(z)
    torch.testing.assert_close(vae.prior.log_prob(z), expected, atol=1e-4, rtol=0)


def make(**options: Any) -> ConvVAE:
    settings = {"prior_type": "Flow", "prior_options": {"blocks": 2, "features": 8}, **options}
    return ConvVAE([2, 4], [8], 3, **settings)


def test_saved_loaded_and_built_without_memory(images: Tensor, tmp_path: Path) -> None:
    vae = make()
    with torch.no_grad():
        for parameter in vae.prior_module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    with torch.device("meta"):
        assert ConvVAE(**vae.config).prior_module.flow.layers[1].permutation.is_meta
    vae.save_pretrained(tmp_path)
    loaded = load(tmp_path, device="cpu")
    seeded = torch.Generator().manual_seed
    assert torch.equal(generate(loaded, 4, generator=seeded(0)), generate(vae, 4, generator=seeded(0)))
    state = io.BytesIO()
    torch.save(vae.state_dict(), state)
    state.seek(0)
    twin = make()
    twin.load_state_dict(torch.load(state, weights_only=True))
    z = torch.randn(5, 3)
    assert torch.equal(twin.prior.log_prob(z), vae.prior.log_prob(z))


@pytest.mark.parametrize("posterior_type", ["Diagonal", "FullCovariance"])
def test_trained_with_the_model(images: Tensor, posterior_type: str) -> None:
    vae = make(posterior_type=posterior_type)
    for parameter in vae.prior_module.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    terms = vae.elbo(images, generator=torch.Generator().manual_seed(0))
    (-terms.elbo.mean()).backward()
    assert all(parameter.grad is not None for parameter in vae.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        halved = vae.elbo(images, generator=torch.Generator().manual_seed(0))
    assert halved.rate.dtype == torch.float32
    torch.testing.assert_close(halved.rate, terms.rate, rtol=0.1, atol=0.5)


def test_temperature_and_draws() -> None:
    vae = make()
    still = sample_prior(vae, 5, 0.0)
    torch.testing.assert_close(still, still[:1].expand(5, -1))
    with torch.no_grad():
        assert sample_prior(vae, 10_000).shape == (10_000, 3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"blocks": 0}, "blocks must be between 1 and"),
        ({"blocks": 10**6}, "blocks must be between 1 and"),
        ({"features": 10**6}, "features must be between 1 and"),
        ({"strange": 1}, "prior_options do not fit"),
    ],
)
def test_bad_options(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make(prior_options=options)


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_full_covariance(dim: int) -> None:
    posterior = FullCovariancePosterior(dim)
    outputs = torch.randn(7, posterior.num_outputs(dim))
    q = posterior(outputs)
    torch.testing.assert_close(posterior.code(q), outputs[:, :dim])
    factor = posterior.scale(q)
    torch.testing.assert_close(factor, factor.tril())
    assert (factor.diagonal(dim1=1, dim2=2) > 0).all()
    mean, std = torch.randn(dim), torch.rand(dim) + 0.5
    ours = kl_divergence(q, Independent(Normal(mean, std), 1))
    theirs = kl_divergence(q, MultivariateNormal(mean, scale_tril=torch.diag(std)))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
