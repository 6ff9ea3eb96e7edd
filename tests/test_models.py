"""Every model with every likelihood: shapes, the bound, gradients, refusals, and the round trips."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support import LIKELIHOOD_TYPES
from torch.distributions import Bernoulli, Laplace, Normal

from hfvae import VAE, ContinuousBernoulli, ConvVAE, DenseVAE
from hfvae.networks import ResidualBlock
from hfvae.probability.likelihoods import LAMBDA_MIN

MakeVAE = Callable[..., VAE]


@pytest.mark.parametrize("likelihood_type", LIKELIHOOD_TYPES)
def test_distributions_of_the_right_shape(make_vae: MakeVAE, likelihood_type: str, images: torch.Tensor) -> None:
    vae = make_vae(likelihood_type=likelihood_type)
    q = vae.encode(images)
    assert (q.batch_shape, q.event_shape) == ((6,), (vae.latent_dim,))
    p = vae.decode(q.rsample())
    assert (p.batch_shape, p.event_shape) == ((6,), vae.image_shape)
    assert p.log_prob(images).shape == (6,)
    picture = vae.decode_image(q.mean)
    assert picture.shape == images.shape
    assert 0 <= picture.min() <= picture.max() <= 1
    family = {
        "Bernoulli": Bernoulli,
        "ContinuousBernoulli": ContinuousBernoulli,
        "Gaussian": Normal,
        "Laplace": Laplace,
    }
    assert isinstance(p.base_dist, family[likelihood_type])


@pytest.mark.parametrize("likelihood_type", LIKELIHOOD_TYPES)
def test_bound_adds_up_and_every_parameter_has_a_gradient(
    make_vae: MakeVAE, likelihood_type: str, images: torch.Tensor
) -> None:
    vae = make_vae(likelihood_type=likelihood_type, beta=4.0)
    bound = vae.elbo(images)
    torch.testing.assert_close(bound.elbo, -(bound.rate + bound.distortion))
    assert (bound.rate >= 0).all()
    bound.elbo.sum().backward()
    for name, parameter in vae.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_rate_is_the_kl_of_the_textbook(vae: VAE, images: torch.Tensor) -> None:
    q = vae.encode(images)
    mean, var = q.mean, q.variance
    expected = 0.5 * (mean**2 + var - var.log() - 1).sum(1)  # Kingma & Welling 2014, appendix B
    torch.testing.assert_close(vae.elbo(images).rate, expected)


def test_elbo_ignores_beta_and_follows_its_generator(make_vae: MakeVAE, images: torch.Tensor) -> None:
    vae = make_vae(beta=1.0)
    twin = make_vae(beta=10.0)
    twin.load_state_dict(vae.state_dict())
    first, second = (model.elbo(images, generator=torch.Generator().manual_seed(3)).elbo for model in (vae, twin))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_continuous_bernoulli_stays_in_its_bound(vae: VAE) -> None:
    p = vae.decode(1e4 * torch.randn(50, vae.latent_dim)).base_dist
    rounding = 1e-7
    assert p.probs.min() >= LAMBDA_MIN - rounding
    assert p.probs.max() <= 1 - LAMBDA_MIN + rounding
    assert p.probs.max() > 0.9, "the test should reach the bound"


@pytest.mark.parametrize("likelihood_type", LIKELIHOOD_TYPES)
def test_images_as_they_are_measured(make_vae: MakeVAE, likelihood_type: str) -> None:
    levels = torch.arange(256.0).repeat(100, 1)
    observe = make_vae(likelihood_type=likelihood_type).likelihood.preprocess
    observed = observe(levels / 255, torch.Generator().manual_seed(0))
    assert torch.equal(observed, observe(levels / 255, torch.Generator().manual_seed(0)))
    if likelihood_type == "Bernoulli":
        assert set(observed.unique().tolist()) == {0, 1}
        assert (observed.mean(0) - levels[0] / 255).abs().max() < 0.2
    else:
        assert torch.equal((256 * observed).floor(), levels), "a grey level's own 256th of the unit interval"
        noise = 256 * observed - levels
        assert abs(noise.mean() - 1 / 2) < 0.01
        assert abs(noise.var() - 1 / 12) < 0.01


@pytest.mark.parametrize("likelihood_type", ["Gaussian", "Laplace"])
def test_sigma_is_learned_or_fixed_and_readable(make_vae: MakeVAE, likelihood_type: str) -> None:
    learned = make_vae(likelihood_type=likelihood_type)
    assert learned.sigma is not None
    assert learned.sigma > 0
    assert any("sigma" in name for name, _ in learned.named_parameters())
    fixed = make_vae(likelihood_type=likelihood_type, sigma=0.5)
    assert fixed.sigma == 0.5
    assert not any("sigma" in name for name, _ in fixed.named_parameters())
    assert make_vae().sigma is None


def test_defaults_are_the_seeds_shapes() -> None:
    dense = [tuple(w.shape) for name, w in DenseVAE().named_parameters() if name.endswith("weight")]
    assert dense == [(512, 784), (128, 512), (32, 128), (4, 32), (32, 2), (128, 32), (512, 128), (784, 512)]
    conv = [tuple(w.shape) for name, w in ConvVAE().named_parameters() if name.endswith("weight")]
    encoder = [(32, 1, 3, 3), (64, 32, 3, 3), (512, 3136), (64, 512)]
    decoder = [(512, 32), (3136, 512), (32, 64, 3, 3), (1, 32, 3, 3)]
    assert conv == encoder + decoder
    assert not any(isinstance(module, torch.nn.ConvTranspose2d) for module in ConvVAE().modules())


@pytest.mark.parametrize("image_shape", [(1, 28, 28), (3, 32, 32), (2, 9, 14), (1, 5, 5)])
def test_other_image_shapes(make_vae: MakeVAE, image_shape: tuple[int, int, int]) -> None:
    vae = make_vae(image_shape=image_shape)
    x = torch.rand(2, *image_shape)
    assert vae(x).log_prob(x).shape == (2,)


# Round trips


@pytest.mark.parametrize("likelihood_type", LIKELIHOOD_TYPES)
def test_save_and_load_bit_for_bit(make_vae: MakeVAE, likelihood_type: str, tmp_path: Path) -> None:
    vae = make_vae(likelihood_type=likelihood_type, activation="gelu", beta=2.5)
    vae.save_pretrained(tmp_path)
    for load in (type(vae).from_pretrained, VAE.from_pretrained):
        loaded = load(tmp_path)
        assert type(loaded) is type(vae)
        assert not loaded.training
        assert loaded.config == vae.config
        assert loaded.state_dict().keys() == vae.state_dict().keys()
        for name, value in vae.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], value), name
    again = tmp_path / "again" / tmp_path.name  # the card is titled by the folder
    loaded.save_pretrained(again)
    for name in ("config.json", "model.safetensors", "README.md"):
        assert (again / name).read_bytes() == (tmp_path / name).read_bytes()


def test_golden_output() -> None:
    """Any change of architecture or initialisation that would break published weights shows here."""
    torch.manual_seed(1)
    vae = DenseVAE(hidden_features=[4], latent_dim=2)
    for parameter in vae.parameters():
        torch.nn.init.constant_(parameter, 0.01)
    picture = vae.decode_image(torch.tensor([[1.0, -2.0]]))
    torch.testing.assert_close(picture, torch.full((1, 1, 28, 28), 0.5025), atol=1e-6, rtol=0)


@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_residual_blocks_start_as_the_identity(blocks: int) -> None:
    vae = ConvVAE([4, 8], [16], blocks=blocks)
    found = [module for module in vae.modules() if isinstance(module, ResidualBlock)]
    assert len(found) == 2 * 2 * blocks, "so many in each stage of encoder and decoder"
    for block in found:
        x = torch.randn(2, block[1].in_channels, 5, 5)
        assert torch.equal(block(x), x)
        torch.nn.init.normal_(block[3].weight)
        assert not torch.equal(block(x), x)


def test_an_outlying_image_leaves_the_bound_finite(make_vae: Callable[..., VAE]) -> None:
    vae = make_vae()
    last = [module for module in vae.encoder.modules() if isinstance(module, torch.nn.Linear)][-1]
    for log_std in (-1e3, 1e3):
        torch.nn.init.constant_(last.bias, log_std)
        bound = vae.elbo(torch.rand(2, 1, 28, 28))
        bound.elbo.sum().backward()
        assert bound.elbo.isfinite().all()
        assert all(parameter.grad.isfinite().all() for parameter in vae.parameters() if parameter.grad is not None)


# Refusals


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"latent_dim": 0}, ValueError, "latent_dim must be between 1 and"),
        ({"latent_dim": 10**9}, ValueError, "latent_dim must be between 1 and"),
        ({"latent_dim": 2.0}, TypeError, "latent_dim must be an int, got 2.0"),
        ({"latent_dim": True}, TypeError, "latent_dim must be an int"),
        ({"hidden_features": 512}, TypeError, "hidden_features must be a list of ints"),
        ({"hidden_features": [16, -1]}, ValueError, r"hidden_features\[1\] must be between"),
        ({"hidden_features": [60_000, 60_000]}, ValueError, "more than .* fewer or narrower"),
        ({"likelihood_type": "Poisson"}, ValueError, "likelihood_type must be one of Bernoulli"),
        ({"sigma": 0.1}, ValueError, "sigma is for Gaussian and Laplace"),
        ({"likelihood_type": "Gaussian", "sigma": -1.0}, ValueError, "sigma must be positive"),
        ({"beta": -1}, ValueError, "beta must be positive"),
        ({"beta": math.nan}, ValueError, "beta must be positive"),
        ({"beta": "1"}, TypeError, "beta must be a number"),
        ({"image_shape": (28, 28)}, ValueError, "image_shape must be"),
        ({"activation": "step"}, ValueError, "activation must be one of"),
    ],
)
@pytest.mark.parametrize("kind", [DenseVAE, ConvVAE])
def test_bad_constructor_arguments(
    kind: type[VAE], options: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        kind(**options)


def test_too_many_stages() -> None:
    with pytest.raises(ValueError, match="at most as many as halve 28x28"):
        ConvVAE(channels=[2] * 7)


@pytest.mark.parametrize(
    ("x", "error", "sentence"),
    [
        (torch.zeros(4, 28, 28), ValueError, r"x must have shape \(B, 1, 28, 28\), got \(4, 28, 28\)"),
        (torch.zeros(4, 3, 28, 28), ValueError, "x must have shape"),
        (torch.zeros(0, 1, 28, 28), ValueError, "empty batch"),
        (torch.zeros(4, 1, 28, 28, dtype=torch.uint8), TypeError, "tensor of torch.float32.*uint8"),
        ([[0.0]], TypeError, "got list"),
        (torch.full((4, 1, 28, 28), 255.0), ValueError, "divide grey levels by 255"),
        (torch.full((4, 1, 28, 28), -0.1), ValueError, r"pixels in \[0, 1\]"),
        (torch.full((4, 1, 28, 28), math.nan), ValueError, "nan"),
    ],
)
def test_bad_images(vae: VAE, x: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        vae.encode(x)


def test_bad_latents(vae: VAE) -> None:
    with pytest.raises(ValueError, match=r"z must have shape \(B, "):
        vae.decode(torch.zeros(2, vae.latent_dim + 1))


def test_bernoulli_takes_grey_to_encode_but_gives_it_no_likelihood(make_vae: MakeVAE) -> None:
    vae = make_vae(likelihood_type="Bernoulli")
    grey = torch.full((2, 1, 28, 28), 0.5)
    assert vae.encode(grey).mean.shape == (2, vae.latent_dim)
    with pytest.raises(ValueError, match="binarise them"):
        vae.elbo(grey)


def test_gaussian_takes_standardised_images_but_no_nan(make_vae: MakeVAE) -> None:
    vae = make_vae(likelihood_type="Gaussian")
    assert vae.elbo(torch.randn(2, 1, 28, 28)).elbo.isfinite().all()
    with pytest.raises(ValueError, match="finite pixels"):
        vae.encode(torch.full((2, 1, 28, 28), math.inf))
