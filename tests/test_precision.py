"""Models in half and in double precision: networks in it, densities in float32 at least."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support import LIKELIHOOD_TYPES, TINY

from hfvae import VAE, encode_loader, generate, interpolate, reconstruct
from hfvae.evaluation import importance_weighted_nll

KINDS: dict[str, Callable[..., VAE]] = {
    **TINY,
    "flow": lambda **options: TINY["dense"](prior_type="Flow", prior_options={"blocks": 2, "features": 8}, **options),
    "full covariance": lambda **options: TINY["dense"](posterior_type="FullCovariance", **options),
}
HALF = [torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", [*HALF, torch.float64])
@pytest.mark.parametrize("likelihood_type", LIKELIHOOD_TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_everything_works(kind: str, likelihood_type: str, dtype: torch.dtype) -> None:
    vae = KINDS[kind](likelihood_type=likelihood_type)
    x = torch.rand(4, 1, 28, 28).round()
    z = torch.randn(4, vae.latent_dim)
    expected, bound = reconstruct(vae, x), vae.elbo(x, generator=torch.Generator().manual_seed(0))
    density = vae.decode(z).log_prob(x)
    vae = vae.to(dtype)
    assert vae.encoder[-1 if kind in ("conv", "residual") else 1][0].weight.dtype == dtype
    tolerance = {torch.float16: 5e-3, torch.bfloat16: 4e-2, torch.float64: 1e-4}[dtype]
    torch.testing.assert_close(reconstruct(vae, x).double(), expected.double(), atol=tolerance, rtol=0)
    assert generate(vae, 3).isfinite().all()
    assert interpolate(vae, x[0], x[1]).isfinite().all()
    mean, sigma = encode_loader(vae, [(x.to(vae.density_dtype), torch.zeros(4))])
    assert mean.dtype == sigma.dtype == vae.density_dtype
    terms = vae.elbo(x.to(dtype), generator=torch.Generator().manual_seed(0))
    if dtype in HALF:
        assert terms.elbo.dtype == torch.float32
        torch.testing.assert_close(terms.elbo, bound.elbo, atol=100 * tolerance, rtol=tolerance)
        torch.testing.assert_close(vae.decode(z).log_prob(x), density, atol=100 * tolerance, rtol=tolerance)
        assert importance_weighted_nll(vae, x, 5).isfinite().all()
    else:
        assert terms.elbo.dtype == torch.float64


@pytest.mark.parametrize("dtype", HALF)
def test_densities_keep_their_digits(dtype: torch.dtype) -> None:
    """log p(z) of a flow would be off by whole nats in half precision."""
    vae = KINDS["flow"]()
    with torch.no_grad():
        for parameter in vae.prior_module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    z = 3 * torch.randn(100, 2)
    before = vae.prior.log_prob(z)
    vae.to(dtype)
    assert torch.equal(vae.prior.log_prob(z), before)
    learned = TINY["dense"](likelihood_type="Gaussian")
    sigma = learned.sigma
    assert learned.to(dtype).sigma == sigma


def test_weights_can_be_stored_in_half_precision(tmp_path: Path) -> None:
    vae = KINDS["flow"]()
    vae.save_pretrained(tmp_path / "float32")
    vae.save_pretrained(tmp_path / "float16", weights_dtype=torch.float16)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("float16", "float32")]
    assert sizes[0] < 0.6 * sizes[1]
    again = VAE.from_pretrained(tmp_path / "float16")
    assert again.dtype == torch.float32
    assert all(torch.equal(value, vae.state_dict()[name].half().float()) for name, value in again.state_dict().items())


def test_other_dtypes_are_refused() -> None:
    vae = TINY["dense"]()
    with pytest.raises(TypeError, match=r"x must be a tensor of torch.float32"):
        vae.encode(torch.rand(1, 1, 28, 28).double())
    with pytest.raises(TypeError, match=r"z must be a tensor of torch.float16"):
        vae.half().decode(torch.zeros(1, 2).double())
