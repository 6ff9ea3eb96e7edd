"""How good is a model? ELBO, rate, distortion, importance-weighted NLL, active units, what its codes tell of classes.

All likelihoods are in nats per image and never scaled by beta. Bernoulli figures (discrete pixels) and continuous
ones (densities) cannot be compared with each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from tqdm.auto import tqdm

from .inference import evaluating
from .models import VAE, ELBOTerms
from .sampling import has_closed_form_kl, latent_kl, rsample

ACTIVE_VARIANCE = 0.01
"""A latent is active if the variance of its posterior mean over the data exceeds this (Burda et al. 2016, sec. 5.2)."""
_DECODES_AT_ONCE = {"cpu": 512, "cuda": 8192, "mps": 8192}  # a CPU is faster with what fits its cache


class Encoded(NamedTuple):
    """A data set as the model encodes it, on the CPU."""

    codes: Tensor
    """(N, latent_dim): posterior means, or what the posterior takes for the code of an image."""
    labels: Tensor
    """(N,)."""
    latent_kl: Tensor | None = None
    """Each latent's mean KL(q(z_j|x) || p(z_j)) in nats, (latent_dim,), which sum to the rate; None where posterior or
    prior do not factorise over the latents."""


def encode_dataset(vae: VAE, loader: Iterable[tuple[Tensor, Tensor]]) -> Encoded:
    """The codes, labels and per-latent KL of all images of a loader."""
    codes, labels, kl = [], [], []
    with evaluating(vae):
        prior = vae.prior
        for x, y in loader:
            q = vae.encode(x.to(vae.device))
            codes.append(vae.posterior.code(q).cpu())
            labels.append(y.cpu())
            kl.append(latent_kl(q, prior))
    if not codes:
        raise ValueError("the loader yields no batch: there is nothing to encode")
    known = [part.cpu() for part in kl if part is not None]
    return Encoded(torch.cat(codes), torch.cat(labels), torch.cat(known).mean(0) if len(known) == len(kl) else None)


def rate_is_exact(vae: VAE, x: Tensor) -> bool:
    """Whether KL(q(z|x) || p(z)) has a closed form for this model; x: any of its images, (B, *image_shape)."""
    with evaluating(vae):
        return has_closed_form_kl(vae.encode(x.to(vae.device)), vae.prior)


def image_bounds(vae: VAE, loader: Iterable[tuple[Tensor, Tensor]], seed: int = 0) -> ELBOTerms:
    """ELBO, rate and distortion of each image of a loader, (N,) float64 on the CPU, with one draw of z an image."""
    generator = Generator().manual_seed(seed)
    bounds = []
    with evaluating(vae):
        for x, _ in tqdm(loader, desc="ELBO", leave=False):
            bounds.append(vae.elbo(x.to(vae.device), generator=generator))
    if not bounds:
        raise ValueError("the loader yields no batch: there is nothing to evaluate")
    return ELBOTerms(*(torch.cat(column).double().cpu() for column in zip(*bounds, strict=True)))


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
            z = rsample(q, (samples,), generator)
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


def active_units(codes: Tensor) -> Tensor:
    """Which latents are active, (latent_dim,) bool, from codes (N, latent_dim)."""
    return codes.var(0) > ACTIVE_VARIANCE


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


def principal_axes(codes: Tensor, count: int = 2) -> PrincipalAxes:
    """The `count` principal directions of codes (N, L); two latents are left as they are."""
    if codes.shape[1] == 2:
        return PrincipalAxes(torch.zeros(2), torch.eye(2), codes.std(0))
    centred = codes - codes.mean(0)
    variance, directions = torch.linalg.eigh(centred.T @ centred / max(1, len(codes) - 1))
    return PrincipalAxes(
        codes.mean(0), directions.flip(1)[:, :count].contiguous(), variance.flip(0)[:count].clamp_min(0).sqrt()
    )


def knn_accuracy(train: Encoded, test: Encoded, neighbours: int = 15) -> float:
    """Accuracy of the test codes' classes, predicted by the vote of their nearest training codes (Euclidean)."""
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(neighbours).fit(train.codes.numpy(), train.labels.numpy())
    return float(classifier.score(test.codes.numpy(), test.labels.numpy()))


def linear_probe_accuracy(train: Encoded, test: Encoded) -> float:
    """Accuracy of a logistic regression from standardised training codes to classes, on the test codes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    probe.fit(train.codes.numpy(), train.labels.numpy())
    return float(probe.score(test.codes.numpy(), test.labels.numpy()))


def inception_score(probabilities: Tensor) -> float:
    """exp E[KL(p(y|x) || p(y))] from a classifier's p(y|x) of many samples x, (N, classes) -> [1, classes].

    Salimans et al., "Improved techniques for training GANs", NeurIPS 2016, sec. 4. It is high if each sample is clearly
    of one class and all classes occur equally often.
    """
    entropy = torch.special.entr
    return float((entropy(probabilities.mean(0)).sum() - entropy(probabilities).sum(1).mean()).exp())


def reconstruction_error(vae: VAE, loader: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Mean squared difference a pixel, in grey levels of [0, 1], between an image and the decoded image of its code."""
    pixels_of = vae.training_data.pixels
    total, pixels = 0.0, 0
    with evaluating(vae):
        for x, _ in loader:
            x = x.to(vae.device)
            shown = vae.decode_image(vae.posterior.code(vae.encode(x)))
            total += (shown - pixels_of.denormalize(x)).square().sum(dtype=torch.float64).item()
            pixels += x.numel()
    return total / pixels
