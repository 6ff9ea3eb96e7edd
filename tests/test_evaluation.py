"""The figures of merit, against models and data for which they are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from hfvae import VAE, ConvVAE, DenseVAE, MNISTDataModule, classifier, evaluation
from hfvae.cli.classifier import MIN_ACCURACY
from hfvae.evaluation import (
    Encoded,
    active_units,
    encode_dataset,
    image_bounds,
    importance_weighted_nll,
    inception_score,
    knn_accuracy,
    linear_probe_accuracy,
    mean_nll,
    principal_axes,
    reconstruction_error,
)

SIDE, LATENTS, SIGMA = 3, 2, 0.5


class Fixed(nn.Module):
    """The posterior parameters of a linear encoder: mean a matrix times the image, the same spread for all."""

    def __init__(self, matrix: Tensor, log_std: Tensor) -> None:
        super().__init__()
        self.matrix, self.log_std = nn.Parameter(matrix), nn.Parameter(log_std)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.flatten(1) @ self.matrix.T
        return torch.cat([mean, self.log_std.expand_as(mean)], 1)


def linear_gaussian() -> tuple[VAE, MultivariateNormal]:
    """x = W z + noise: p(x) = N(0, W W^T + sigma^2 I) in closed form (probabilistic PCA, Tipping & Bishop 1999)."""
    vae = DenseVAE([], LATENTS, "Gaussian", image_shape=(1, SIDE, SIDE), sigma=SIGMA)
    weight = torch.randn(SIDE * SIDE, LATENTS)
    with torch.no_grad():
        decoder = vae.decoder[0][0]
        decoder.weight.copy_(weight)
        decoder.bias.zero_()
    precision = torch.eye(LATENTS) + weight.T @ weight / SIGMA**2
    posterior_mean = torch.linalg.solve(precision, weight.T) / SIGMA**2
    wide = 1.3 * torch.linalg.inv(precision).diagonal().sqrt()  # a proposal near the posterior, not the posterior
    vae.encoder = Fixed(posterior_mean, wide.log())
    marginal = MultivariateNormal(torch.zeros(SIDE * SIDE), weight @ weight.T + SIGMA**2 * torch.eye(SIDE * SIDE))
    return vae, marginal


def test_nll_of_a_model_known_in_closed_form() -> None:
    vae, marginal = linear_gaussian()
    x = marginal.sample((64,))
    exact = -marginal.log_prob(x)
    nll = importance_weighted_nll(vae, x.view(64, 1, SIDE, SIDE), 5000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(nll, exact.double(), atol=0.05, rtol=0)
    assert abs((nll - exact).mean()) < 0.005


def test_nll_tightens_from_the_elbo_on() -> None:
    vae, marginal = linear_gaussian()
    x = marginal.sample((500,)).view(500, 1, SIDE, SIDE)
    exact = -marginal.log_prob(x.flatten(1)).mean()
    single = importance_weighted_nll(vae, x, 1).mean()
    many = [importance_weighted_nll(vae, x, samples).mean() for samples in (5, 50)]
    assert single > many[0] > many[1] > exact - 0.02
    with torch.no_grad():
        elbo = torch.stack([vae.elbo(x).elbo.mean() for _ in range(20)]).mean()
    assert single.item() == pytest.approx(-elbo.item(), abs=0.2)


@pytest.mark.parametrize("at_once", [1, 21, 10**6])
def test_nll_does_not_depend_on_how_it_is_chunked(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(evaluation._DECODES_AT_ONCE, "cpu", at_once)
    vae, marginal = linear_gaussian()
    x = marginal.sample((3,))
    nll = importance_weighted_nll(vae, x.view(3, 1, SIDE, SIDE), 1000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(nll, -marginal.log_prob(x).double(), atol=0.1, rtol=0)
    with pytest.raises(ValueError, match="num_samples"):
        importance_weighted_nll(vae, x.view(3, 1, SIDE, SIDE), 0)


@pytest.mark.parametrize("kind", [DenseVAE, ConvVAE])
def test_means_over_a_loader(kind: type[VAE]) -> None:
    vae = kind(hidden_features=[8], latent_dim=2)
    x = torch.rand(10, 1, 28, 28)
    loader = [(x[:4], torch.zeros(4)), (x[4:], torch.zeros(6))]
    bound = image_bounds(vae, loader, seed=1).mean()
    assert bound.elbo.item() == pytest.approx(-(bound.rate + bound.distortion).item())
    assert bound.rate.item() == pytest.approx(vae.elbo(x).rate.mean().item(), rel=1e-5)
    assert image_bounds(vae, loader, seed=1).mean() == bound
    assert mean_nll(vae, loader, 3).item() < -bound.elbo.item() + 1
    error = (vae.decode_image(vae.encode(x).mean) - x).square().mean().item()
    assert reconstruction_error(vae, loader) == pytest.approx(error, rel=1e-5)
    with pytest.raises(ValueError, match="no batch"):
        image_bounds(vae, [])


def test_active_units() -> None:
    codes = torch.cat([torch.randn(5000, 2), 0.01 * torch.randn(5000, 1)], 1)
    assert active_units(codes).tolist() == [True, True, False]


def test_latent_kl_is_the_rate_by_latents() -> None:
    vae, marginal = linear_gaussian()
    x = marginal.sample((500,)).view(500, 1, SIDE, SIDE)
    loader = [(x[:300], torch.zeros(300)), (x[300:], torch.zeros(200))]
    encoded = encode_dataset(vae, loader)
    q = vae.encode(x)
    assert encoded.latent_kl is not None
    for latent, got in enumerate(encoded.latent_kl.tolist()):
        mean, std = q.mean[:, latent], q.stddev[:, latent]
        assert got == pytest.approx((0.5 * (mean**2 + std**2 - 1) - std.log()).mean().item(), rel=1e-4)
    assert encoded.latent_kl.sum().item() == pytest.approx(image_bounds(vae, loader).rate.mean().item(), rel=1e-4)


def test_principal_axes() -> None:
    codes = torch.randn(500, 5) * torch.tensor([1.0, 5.0, 0.1, 3.0, 0.2]) + 7
    plane = principal_axes(codes)
    torch.testing.assert_close(plane.directions.T @ plane.directions, torch.eye(2), atol=1e-5, rtol=0)
    assert plane.directions.abs().argmax(0).tolist() == [1, 3]
    torch.testing.assert_close(plane.project(codes).mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    three = principal_axes(codes, 3)
    torch.testing.assert_close(three.directions[:, :2].abs(), plane.directions.abs())
    torch.testing.assert_close(three.spread, three.project(codes).std(0), rtol=1e-3, atol=0)
    flat = torch.randn(9, 2)
    torch.testing.assert_close(principal_axes(flat).project(flat), flat)


def test_probes_on_separable_and_on_random_codes() -> None:
    labels = torch.arange(600) % 3
    centres = 10 * torch.eye(3)
    apart = Encoded(centres[labels] + torch.randn(600, 3), labels)
    mixed = Encoded(torch.randn(600, 3), labels)
    for accuracy in (knn_accuracy, linear_probe_accuracy):
        assert accuracy(apart, apart) > 0.99
        assert accuracy(mixed, Encoded(torch.randn(600, 3), labels)) < 0.5


def test_inception_score() -> None:
    sure = torch.eye(10, dtype=torch.float64).repeat(20, 1)
    assert inception_score(sure) == pytest.approx(10)
    assert inception_score(sure[:1].expand(50, 10)) == pytest.approx(1), "always the same class"
    assert inception_score(torch.full((50, 10), 0.1, dtype=torch.float64)) == pytest.approx(1), "never sure"
    half = (sure + 0.1) / 2
    by_hand = (half * (half / half.mean(0)).log()).sum(1).mean().exp()
    assert inception_score(half) == pytest.approx(by_hand.item())


@pytest.mark.mnist
def test_the_judge_knows_its_digits(mnist: MNISTDataModule) -> None:
    judge = classifier.load()
    verdicts, labels = [], []
    for x, y in mnist.test_dataloader():
        verdicts.append(classifier.probabilities(judge, x))
        labels.append(y)
    right = torch.cat(verdicts).argmax(1) == torch.cat(labels)
    assert right.double().mean() >= MIN_ACCURACY
    assert inception_score(torch.cat(verdicts)) > 9.8
