"""What a model's codes tell: active latents, directions of variation, and of which class an image is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..inference import evaluating, read_loader, require_targets
from ..models import VAE
from ..probability.sampling import latent_kl

ACTIVE_VARIANCE = 0.01
"""A latent is active if the variance of its posterior mean over the data exceeds this (Burda et al. 2016, sec. 5.2)."""
PERPLEXITY = 30.0
MIN_EMBEDDED = 8
"""Codes without which there is no neighbour embedding."""
_BESIDE = 0.02  # how far from its nearest embedded code a code that is not embedded goes, in shares of the spread


class Encoded(NamedTuple):
    """A data set as the model encodes it, on the CPU."""

    codes: Tensor
    """(N, latent_dim): posterior means, or what the posterior takes for the code of an image."""
    labels: Tensor
    """(N,)."""
    latent_kl: Tensor | None = None
    """Each latent's mean KL(q(z_j|x) || p(z_j)) in nats, (latent_dim,), which sum to the rate; None where posterior or
    prior do not factorise over the latents."""


def encode_dataset(vae: VAE, loader: Iterable[Any]) -> Encoded:
    """The codes, labels and per-latent KL of all images of a loader.

    Raises:
        ValueError: the loader yields no batch, or images without labels.
    """
    codes, labels, kl = [], [], []
    with evaluating(vae):
        prior = vae.prior
        for x, y in read_loader(vae, loader):
            q = vae.encode(x)
            codes.append(vae.posterior.code(q).cpu())
            labels.append(require_targets(y))
            kl.append(latent_kl(q, prior))
    if not codes:
        raise ValueError("the loader yields no batch: there is nothing to encode")
    known = [part.cpu() for part in kl if part is not None]
    return Encoded(torch.cat(codes), torch.cat(labels), torch.cat(known).mean(0) if len(known) == len(kl) else None)


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


def neighbour_embedding(codes: Tensor, seed: int = 0, most: int | None = None) -> Tensor | None:
    """Places in the plane that keep close codes close: t-SNE (van der Maaten & Hinton 2008), for drawing a map.

    Args:
        codes: (N, L).
        seed: of the embedding's start.
        most: number of codes that are embedded (10,000 take a minute or two of a core, 1,500 ten seconds); each of the
            others goes beside its nearest embedded code. None embeds all.

    Returns:
        (N, 2) float32, the largest coordinate's size 1; None for two latents or less, which need no embedding, and for
        too few codes.
    """
    if codes.shape[1] <= 2 or len(codes) < MIN_EMBEDDED:
        return None
    from sklearn.manifold import TSNE

    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(codes), generator=generator)[:most]
    perplexity = min(PERPLEXITY, (len(chosen) - 1) / 3)
    embedded = torch.from_numpy(TSNE(perplexity=perplexity, random_state=seed).fit_transform(codes[chosen].numpy()))
    places = embedded.new_empty(len(codes), 2)
    places[chosen] = embedded
    others = torch.ones(len(codes), dtype=torch.bool).index_fill(0, chosen, False).nonzero().flatten()
    if len(others):
        beside = _BESIDE * embedded.std() * torch.empty(len(others), 2).normal_(generator=generator)
        places[others] = embedded[torch.cdist(codes[others], codes[chosen]).argmin(1)] + beside
    places = places - places.mean(0)
    return places / places.abs().max()


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
