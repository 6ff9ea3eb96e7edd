"""generate, reconstruct, encode_loader, interpolate: what they return, and what they leave alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from hfvae import VAE, encode_loader, generate, interpolate, reconstruct

CALLS: dict[str, Callable[[VAE, torch.Tensor], Any]] = {
    "generate": lambda vae, x: generate(vae, 4),
    "generate z": lambda vae, x: generate(vae, z=torch.zeros(4, vae.latent_dim)),
    "reconstruct": reconstruct,
    "reconstruct sample": lambda vae, x: reconstruct(vae, x, sample_mode=True),
    "encode_loader": lambda vae, x: encode_loader(vae, [(x, torch.arange(len(x)))]),
    "interpolate": lambda vae, x: interpolate(vae, x[0], x[1]),
}


@pytest.mark.parametrize("call", CALLS)
def test_no_state_is_touched(vae: VAE, images: torch.Tensor, call: str) -> None:
    vae.train()
    vae.decoder.eval()  # a mixture, to be found again as it was
    modes = [module.training for module in vae.modules()]
    state, device = torch.get_rng_state(), vae.device
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    result = CALLS[call](vae, images)
    for tensor in result if isinstance(result, tuple) else [result]:
        assert tensor.device.type == "cpu"
        assert not tensor.requires_grad
    assert [module.training for module in vae.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert vae.device == device
    assert all(torch.equal(value, before[name]) for name, value in vae.state_dict().items())
    with pytest.raises(ValueError, match="must have shape"):
        reconstruct(vae, images[:, :, :20])
    assert [module.training for module in vae.modules()] == modes, "also after an error"


def test_generate(vae: VAE) -> None:
    x = generate(vae, 9, generator=torch.Generator().manual_seed(1))
    assert x.shape == (9, 1, 28, 28)
    assert 0 <= x.min() <= x.max() <= 1
    assert torch.equal(x, generate(vae, 9, generator=torch.Generator().manual_seed(1)))
    assert not torch.equal(generate(vae, 9), generate(vae, 9)), "without a generator each call draws afresh"
    still = generate(vae, 3, temperature=0.0)
    torch.testing.assert_close(still, generate(vae, z=torch.zeros(3, vae.latent_dim)))


@pytest.mark.parametrize("options", [{"num_samples": 0}, {"num_samples": 2.5}, {"temperature": -1}])
def test_generate_refuses(vae: VAE, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        generate(vae, **options)


def test_reconstruct(vae: VAE, images: torch.Tensor) -> None:
    mean = reconstruct(vae, images)
    assert mean.shape == images.shape
    assert torch.equal(mean, reconstruct(vae, images)), "the mean is the same each time"
    seeded = reconstruct(vae, images, sample_mode=True, generator=torch.Generator().manual_seed(0))
    again = reconstruct(vae, images, sample_mode=True, generator=torch.Generator().manual_seed(0))
    assert torch.equal(seeded, again)
    assert not torch.equal(seeded, mean)


def test_encode_loader(vae: VAE, images: torch.Tensor) -> None:
    loader = [(images[:4], torch.arange(4)), (images[4:], torch.arange(4, 6))]
    z_mu, z_sigma, y = encode_loader(vae, loader, return_targets=True)
    q = vae.encode(images)
    torch.testing.assert_close(z_mu, q.mean)
    torch.testing.assert_close(z_sigma, q.stddev)
    assert y.tolist() == list(range(6))
    assert len(encode_loader(vae, loader)) == 2
    with pytest.raises(ValueError, match="no batch"):
        encode_loader(vae, [])


@pytest.mark.parametrize("spherical", [False, True])
def test_interpolate_goes_from_one_to_the_other(vae: VAE, images: torch.Tensor, spherical: bool) -> None:
    path = interpolate(vae, images[0], images[1:2], steps=7, spherical=spherical)
    assert path.shape == (7, 1, 28, 28)
    torch.testing.assert_close(path[[0, -1]], reconstruct(vae, images[:2]))
    same = interpolate(vae, images[0], images[0], steps=3, spherical=spherical)
    torch.testing.assert_close(same[1], same[0])
    with pytest.raises(ValueError, match="steps"):
        interpolate(vae, images[0], images[1], steps=1)
