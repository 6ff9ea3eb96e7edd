"""How good a model's draws are, as a classifier of the data set sees them.

The classifier's own features take the place of those of an Inception network: figures by different features cannot be
compared.
"""

from __future__ import annotations

import torch
from torch import Tensor

CLEAR = 0.95
"""A draw is clear if the classifier gives one class at least this probability."""
_ROWS_AT_ONCE = 1000


def clear_draws(probabilities: Tensor) -> Tensor:
    """Which images are clearly of one class, (N,) bool, from a classifier's p(y|x), (N, classes)."""
    return probabilities.amax(1) >= CLEAR


def inception_terms(probabilities: Tensor) -> Tensor:
    """KL(p(y|x) || p(y)) of each image in nats, (N,), from a classifier's p(y|x), (N, classes).

    The exponential of their mean is the inception score, in [1, classes] (Salimans et al., "Improved techniques for
    training GANs", NeurIPS 2016, sec. 4): high if each image is clearly of one class and all classes occur equally
    often.
    """
    cross = torch.special.xlogy(probabilities, probabilities.mean(0)).sum(1)
    return -torch.special.entr(probabilities).sum(1) - cross


def frechet_distance(one: Tensor, other: Tensor) -> float:
    """The Fréchet distance between two sets of features, (N, F) and (M, F), taken as Gaussian.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Heusel et al., "GANs trained by a two time-scale update rule",
    NeurIPS 2017, eq. 6).
    """
    means, covariances = zip(*((part.mean(0), part.T.cov()) for part in (one.double(), other.double())), strict=True)
    values, vectors = torch.linalg.eigh(covariances[0])
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T  # symmetric, so that eigenvalues stay real
    cross = torch.linalg.eigvalsh(root @ covariances[1] @ root).clamp_min(0).sqrt().sum()
    traces = covariances[0].trace() + covariances[1].trace()
    return float((means[0] - means[1]).square().sum() + traces - 2 * cross)


def precision_and_recall(drawn: Tensor, real: Tensor, neighbours: int = 3) -> tuple[float, float]:
    """The share of draws among the real images, and of real images among the draws, by features (N, F) and (M, F).

    A point lies among a set if it is no farther from one of its points than that point's `neighbours`-th nearest one
    of the set (Kynkäänniemi et al., "Improved precision and recall metric for assessing generative models",
    NeurIPS 2019, eq. 1).
    """
    return _share_among(drawn, real, neighbours), _share_among(real, drawn, neighbours)


def _share_among(points: Tensor, among: Tensor, neighbours: int) -> float:
    chunks = among.split(_ROWS_AT_ONCE)
    # the nearest of all is the point itself
    radii = torch.cat([torch.cdist(chunk, among).kthvalue(neighbours + 1, dim=1).values for chunk in chunks])
    inside = [(torch.cdist(chunk, among) <= radii).any(1) for chunk in points.split(_ROWS_AT_ONCE)]
    return float(torch.cat(inside).double().mean())
