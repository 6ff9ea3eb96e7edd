"""How good is a model? ELBO, rate, distortion, importance-weighted NLL, active units, what its codes know of classes.

All likelihoods are in nats per image and never scaled by beta. Bernoulli figures (discrete pixels) and continuous
ones (densities) cannot be compared with each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.distributions import Normal, kl_divergence
from tqdm.auto import tqdm

from .inference import evaluating
from .models import VAE, Bound, draw

ACTIVE_VARIANCE = 0.01
"""A latent is active if the variance of its posterior mean over the data exceeds this (Burda et al. 2016, sec. 5.2)."""
_DECODES_AT_ONCE = {"cpu": 512, "cuda": 8192, "mps": 8192}  # a CPU is faster with what fits its cache


class Encoded(NamedTuple):
    """A data set as the model encodes it, on the CPU."""

    mean: Tensor
    """Posterior means (N, latent_dim)."""
    std: Tensor
    """Posterior standard deviations (N, latent_dim)."""
    labels: Tensor
    """(N,)."""


def image_bounds(vae: VAE, loader: Iterable[tuple[Tensor, Tensor]], seed: int = 0) -> Bound:
    """ELBO, rate and distortion of each image of a loader, (N,) float64 on the CPU, with one draw of z an image."""
    generator = Generator().manual_seed(seed)
    bounds = []
    with evaluating(vae):
        for x, _ in tqdm(loader, desc="ELBO", leave=False):
            bounds.append(vae.elbo(x.to(vae.device), generator=generator))
    if not bounds:
        raise ValueError("the loader yields no batch: there is nothing to evaluate")
    return Bound(*(torch.cat(column).double().cpu() for column in zip(*bounds, strict=True)))


def importance_weighted_nll(vae: VAE, x: Tensor, num_samples: int = 1000, generator: Generator | None = None) -> Tensor:
    """-log (1/S) sum_s p(x, z_s) / q(z_s|x), z_s ~ q(z|x): an upper bound of -log p(x) that S tightens.

    Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, eq. 8. Samples are drawn in chunks
    and their weights summed as they come: memory does not grow with `num_samples`.

    Args:
        vae: the model.
        x: images (B, *image_shape).
        num_samples: S, at least 1.
        generator: source of the draws; None takes torch's global one.

    Returns:
        (B,) in nats, float64, on x's device.
    """
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, got {num_samples}")
    batch = len(x)
    chunk = max(1, min(num_samples, _DECODES_AT_ONCE[x.device.type] // batch))
    with evaluating(vae):
        q = vae.encode(x)
        total = torch.full((batch,), -math.inf, dtype=torch.float64, device=x.device)
        for start in range(0, num_samples, chunk):
            samples = min(chunk, num_samples - start)
            z = draw(q.expand((samples, batch)), generator)
            total = torch.logaddexp(total, vae.log_weights(x, z, q).double().logsumexp(0))
    return math.log(num_samples) - total


def mean_nll(vae: VAE, loader: Iterable[tuple[Tensor, Tensor]], num_samples: int = 1000, seed: int = 0) -> Tensor:
    """The importance-weighted NLL averaged over a loader: a scalar."""
    generator = Generator().manual_seed(seed)
    parts = [
        importance_weighted_nll(vae, x.to(vae.device), num_samples, generator)
        for x, _ in tqdm(loader, desc=f"NLL with {num_samples} samples")
    ]
    return torch.cat(parts).mean().cpu()


def latent_kl(encoded: Encoded) -> Tensor:
    """Each latent's mean KL(q(z_j|x) || p(z_j)) in nats, (latent_dim,); they sum to the rate."""
    posterior = Normal(encoded.mean, encoded.std)
    return kl_divergence(posterior, Normal(torch.zeros(()), torch.ones(()))).mean(0)


def active_units(mean: Tensor) -> Tensor:
    """Which latents are active, (latent_dim,) bool, from posterior means (N, latent_dim)."""
    return mean.var(0) > ACTIVE_VARIANCE


class PrincipalAxes(NamedTuple):
    """The directions in latent space in which codes vary most; the first two span the plane to draw codes on."""

    centre: Tensor
    """(L,)."""
    directions: Tensor
    """(L, K), orthonormal."""
    spread: Tensor
    """(K,): the codes' standard deviation along each."""

    def project(self, codes: Tensor) -> Tensor:
        """Codes (N, L) in these coordinates, (N, K)."""
        return (codes - self.centre) @ self.directions


def principal_axes(mean: Tensor, count: int = 2) -> PrincipalAxes:
    """The `count` principal directions of codes (N, L); two latents are left as they are."""
    if mean.shape[1] == 2:
        return PrincipalAxes(torch.zeros(2), torch.eye(2), mean.std(0))
    centred = mean - mean.mean(0)
    variance, directions = torch.linalg.eigh(centred.T @ centred / max(1, len(mean) - 1))
    return PrincipalAxes(
        mean.mean(0), directions.flip(1)[:, :count].contiguous(), variance.flip(0)[:count].clamp_min(0).sqrt()
    )


def knn_accuracy(train: Encoded, test: Encoded, neighbours: int = 15) -> float:
    """Accuracy of the test codes' classes, told by the vote of their nearest training codes (Euclidean)."""
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(neighbours).fit(train.mean.numpy(), train.labels.numpy())
    return float(classifier.score(test.mean.numpy(), test.labels.numpy()))


def linear_probe_accuracy(train: Encoded, test: Encoded) -> float:
    """Accuracy of a logistic regression from standardised training codes to classes, on the test codes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    probe.fit(train.mean.numpy(), train.labels.numpy())
    return float(probe.score(test.mean.numpy(), test.labels.numpy()))


def inception_score(probabilities: Tensor) -> float:
    """exp E[KL(p(y|x) || p(y))] from a classifier's p(y|x) of many samples x, (N, classes) -> [1, classes].

    Salimans et al., "Improved techniques for training GANs", NeurIPS 2016, sec. 4. It is high if each sample is clearly
    of one class and all classes occur equally often.
    """
    entropy = torch.special.entr
    return float((entropy(probabilities.mean(0)).sum() - entropy(probabilities).sum(1).mean()).exp())


def reconstruction_error(vae: VAE, loader: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Mean squared difference a pixel between an image and the picture of its posterior mean."""
    total, pixels = 0.0, 0
    with evaluating(vae):
        for x, _ in loader:
            x = x.to(vae.device)
            total += (vae.picture(vae.encode(x).mean) - x).square().sum(dtype=torch.float64).item()
            pixels += x.numel()
    return total / pixels
