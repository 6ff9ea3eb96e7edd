"""The figures of merit, against models and data for which they are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

import hfvae.evaluation.bounds
from hfvae import VAE, ConvVAE, DenseVAE, MNISTDataModule
from hfvae.cli.classifier import MIN_ACCURACY
from hfvae.evaluation import (
    Encoded,
    NotConverged,
    active_units,
    classifier,
    clear_draws,
    encode_dataset,
    frechet_distance,
    image_bounds,
    image_nll,
    importance_weighted_nll,
    inception_terms,
    knn_accuracy,
    linear_probe_accuracy,
    neighbour_embedding,
    precision_and_recall,
    principal_axes,
    quadrature_nll,
    reconstruction_errors,
)
from hfvae.evaluation.metrics import standard_error
from hfvae.probability.likelihoods import LIKELIHOODS, Likelihood

SIDE, LATENTS, SIGMA = 3, 2, 0.5


class Fixed(nn.Module):
    """The posterior parameters of a linear encoder: mean a matrix times the image, the same spread for all."""

    def __init__(self, matrix: Tensor, log_std: Tensor) -> None:
        super().__init__()
        self.matrix, self.log_std = nn.Parameter(matrix), nn.Parameter(log_std)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.flatten(1) @ self.matrix.T
        return torch.cat([mean, self.log_std.expand_as(mean)], 1)


def linear_gaussian(scale: float = 1.0) -> tuple[VAE, MultivariateNormal]:
    """x = W z + noise: p(x) = N(0, W W^T + sigma^2 I) in closed form (probabilistic PCA, Tipping & Bishop 1999)."""
    vae = DenseVAE([], LATENTS, "Gaussian", image_shape=(1, SIDE, SIDE), sigma=SIGMA)
    weight = scale * torch.randn(SIDE * SIDE, LATENTS)
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
    monkeypatch.setitem(hfvae.evaluation.bounds._DECODES_AT_ONCE, "cpu", at_once)
    vae, marginal = linear_gaussian()
    x = marginal.sample((3,))
    nll = importance_weighted_nll(vae, x.view(3, 1, SIDE, SIDE), 1000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(nll, -marginal.log_prob(x).double(), atol=0.1, rtol=0)
    with pytest.raises(ValueError, match="num_samples"):
        importance_weighted_nll(vae, x.view(3, 1, SIDE, SIDE), 0)


@pytest.mark.parametrize("kind", [DenseVAE, ConvVAE])
def test_figures_do_not_depend_on_the_batches(kind: type[VAE]) -> None:
    vae = kind(hidden_features=[8], latent_dim=2)
    x = torch.rand(150, 1, 28, 28)
    bounds, nlls, errors = [], [], []
    for size in (64, 50, 7, 150):
        loader = [(part, torch.zeros(len(part))) for part in x.split(size)]
        bounds.append(image_bounds(vae, loader, seed=1))
        nlls.append(image_nll(vae, loader, 3, seed=1))
        errors.append(reconstruction_errors(vae, loader))
    for figures in (nlls, errors, *zip(*bounds, strict=True)):
        assert figures[0].shape == (150,)
        for other in figures[1:]:
            torch.testing.assert_close(figures[0], other, rtol=1e-5, atol=1e-5)
    terms = bounds[0]
    torch.testing.assert_close(terms.elbo, -(terms.rate + terms.distortion), rtol=1e-5, atol=1e-5)
    assert not torch.equal(image_bounds(vae, loader, seed=2).elbo, terms.elbo)
    assert nlls[0].mean() < -terms.elbo.mean() + 1
    error = (vae.decode_image(vae.encode(x).mean) - x).square().mean().item()
    assert errors[0].mean().item() == pytest.approx(error, rel=1e-5)
    with pytest.raises(ValueError, match="no batch"):
        image_bounds(vae, [])


@pytest.mark.parametrize("latent_dim", [1, 2])
@pytest.mark.parametrize("likelihood_type", LIKELIHOODS)
def test_the_table_of_log_likelihoods(likelihood_type: str, latent_dim: int) -> None:
    vae = DenseVAE([6], latent_dim, likelihood_type, image_shape=(1, 4, 4)).double()
    x = torch.rand(5, 1, 4, 4, dtype=torch.float64)
    x = x.round() if likelihood_type == "Bernoulli" else x
    outputs = 3 * vae.decoder_outputs(torch.randn(7, latent_dim, dtype=torch.float64))
    table = vae.likelihood.log_prob_table(outputs, x)
    torch.testing.assert_close(table, torch.stack([vae.likelihood(outputs).log_prob(image) for image in x], 1))
    torch.testing.assert_close(Likelihood.log_prob_table(vae.likelihood, outputs, x), table)


def test_quadrature_of_a_model_known_in_closed_form() -> None:
    vae, marginal = linear_gaussian()
    x = marginal.sample((1200,))
    nll, points = quadrature_nll(vae, x.view(-1, 1, SIDE, SIDE))
    torch.testing.assert_close(nll, -marginal.log_prob(x).double(), atol=1e-4, rtol=0)
    assert points <= 256
    vae, marginal = linear_gaussian(scale=10)  # narrow posteriors, for which the grid is refined around each image
    x = marginal.sample((300,))
    nll, points = quadrature_nll(vae.double(), x.view(-1, 1, SIDE, SIDE).double())
    torch.testing.assert_close(nll, -marginal.log_prob(x).double(), atol=2e-3, rtol=0)
    assert points >= 512


def test_quadrature_of_images_beyond_the_first_grid() -> None:
    vae, marginal = linear_gaussian()
    far = 8 * marginal.sample((20,))
    nll, _ = quadrature_nll(vae, far.view(-1, 1, SIDE, SIDE), tolerance=1e-6)
    torch.testing.assert_close(nll, -marginal.log_prob(far).double(), atol=1e-3, rtol=1e-5)
    with pytest.raises(ValueError, match="at most 2 latents"):
        quadrature_nll(DenseVAE([4], 3), torch.rand(1, 1, 28, 28))


def test_quadrature_says_that_a_grid_is_too_coarse() -> None:
    vae, marginal = linear_gaussian()
    with torch.no_grad():
        vae.decoder[0][0].weight.mul_(3000)  # a posterior far narrower than the finest grid
    with pytest.raises(NotConverged, match="points along each axis"):
        quadrature_nll(vae, marginal.sample((3,)).view(-1, 1, SIDE, SIDE))


def test_scores_of_draws() -> None:
    real = torch.randn(3000, 4) * torch.tensor([1.0, 2.0, 0.5, 1.0])
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-6)
    moved = frechet_distance(3 + 2 * torch.randn(20_000, 4), torch.randn(20_000, 4))
    assert moved == pytest.approx(4 * 9 + 4 * 1, rel=0.03), "known for two Gaussians"
    assert precision_and_recall(real, real) == (1, 1)
    precision, recall = precision_and_recall(real[:1500] * 0.1, real[1500:])
    assert precision > 0.99
    assert recall < 0.2
    assert precision_and_recall(real[:1500] + 50, real[1500:]) == (0, 0)
    sure = torch.tensor([[0.96, 0.04], [0.05, 0.95], [0.6, 0.4]], dtype=torch.float64)
    assert clear_draws(sure).tolist() == [True, True, False]


def test_standard_errors() -> None:
    means = torch.randn(2000, 400).mean(1)
    assert standard_error(torch.randn(400)) == pytest.approx(means.std().item(), rel=0.2)
    assert standard_error(torch.ones(1)) is None


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


def inception_score(probabilities: Tensor) -> float:
    return inception_terms(probabilities).mean().exp().item()


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
        features = classifier.features(judge, x)
        assert features.shape == (len(x), 128)
        torch.testing.assert_close(classifier.probabilities(judge, features), judge(x).detach().double().softmax(1))
        verdicts.append(classifier.probabilities(judge, features))
        labels.append(y)
    right = torch.cat(verdicts).argmax(1) == torch.cat(labels)
    assert right.double().mean() >= MIN_ACCURACY
    assert inception_score(torch.cat(verdicts)) > 9.8


@pytest.mark.parametrize("most", [None, 100])
def test_a_neighbour_embedding_keeps_clusters_together(most: int | None) -> None:
    labels = torch.arange(300) % 5
    codes = 4 * torch.randn(5, 6)[labels] + 0.2 * torch.randn(300, 6)
    places = neighbour_embedding(codes, most=most)
    assert places is not None
    assert places.shape == (300, 2)
    assert places.abs().max() == 1
    apart = torch.cdist(places, places)
    apart.fill_diagonal_(math.inf)
    assert (labels[apart.argmin(1)] == labels).float().mean() > 0.95
    assert torch.equal(places, neighbour_embedding(codes, most=most)), "a seed gives the same places"
    assert neighbour_embedding(codes[:, :2]) is None
    assert neighbour_embedding(codes[:5]) is None
