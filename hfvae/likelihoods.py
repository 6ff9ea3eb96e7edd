"""The one table from `likelihood_type` to p(x|z).

A likelihood is a small module: its ``forward`` turns decoder outputs (B, C, H, W) into a distribution over images, and
``picture`` says which of that distribution's parameters is worth looking at. Nothing outside this table asks for a
likelihood by name.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent, Laplace, Normal

from .distributions import ContinuousBernoulli

LAMBDA_MIN = 1e-4
"""The continuous Bernoulli's lambda stays in [LAMBDA_MIN, 1 - LAMBDA_MIN] (Loaiza-Ganem & Cunningham 2019, sec. 5)."""
INITIAL_SIGMA = 0.2


class Likelihood(nn.Module):
    """p(x|z) as a function of decoder outputs.

    Attributes:
        unit_interval: whether images lie in [0, 1]; otherwise any real pixel is a possible one.
    """

    unit_interval = True

    @property
    def sigma(self) -> float | None:
        """The scale of the pixel noise, where this likelihood has one."""
        return None

    def pixels(self, outputs: Tensor) -> Distribution:
        raise NotImplementedError

    def picture(self, outputs: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W) in [0, 1]: the image to show for these decoder outputs."""
        raise NotImplementedError

    def observe(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """Grey images x in [0, 1] as figures of this likelihood are measured: dequantised, (255 x + u) / 256."""
        return (255 * x + torch.rand(x.shape, generator=generator).to(x)) / 256

    def check_range(self, x: Tensor) -> None:
        """Refuse pixels outside the range of this likelihood's images."""
        if self.unit_interval:
            low, high = x.aminmax()
            if not (low >= 0 and high <= 1):  # NaN too
                raise ValueError(
                    f"{self} needs pixels in [0, 1], got [{low:.4g}, {high:.4g}]: divide grey levels by 255, "
                    "and standardise images (mean, std) for Gaussian or Laplace models only"
                )
        elif not torch.isfinite(x).all():
            raise ValueError(f"{self} needs finite pixels, got NaN or infinity")

    def check_support(self, x: Tensor) -> None:
        """Refuse pixels that are in range, but that this likelihood gives no density to."""

    def forward(self, outputs: Tensor) -> Independent:
        """(B, C, H, W) -> p(x|z): batch (B,), event (C, H, W)."""
        return Independent(self.pixels(outputs), 3)

    def __str__(self) -> str:
        return f"the {next(name for name, kind in LIKELIHOODS.items() if kind is type(self))} likelihood"


class BernoulliLikelihood(Likelihood):
    """Pixels in {0, 1}; decoder outputs are logits. Grey pixels are probabilities to binarise by, not targets."""

    def pixels(self, outputs: Tensor) -> Distribution:
        return Bernoulli(logits=outputs)

    def picture(self, outputs: Tensor) -> Tensor:
        return torch.sigmoid(outputs)

    def observe(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """Grey images x in [0, 1], each pixel drawn as 0 or 1 with its grey level as the probability of 1."""
        return (torch.rand(x.shape, generator=generator).to(x) < x).to(x)

    def check_support(self, x: Tensor) -> None:
        if not ((x == 0) | (x == 1)).all():
            raise ValueError(
                f"{self} needs pixels that are 0 or 1, got grey ones: binarise them "
                '(MNISTDataModule(binarize="dynamic")), or use likelihood_type="ContinuousBernoulli"'
            )


class ContinuousBernoulliLikelihood(Likelihood):
    """Pixels in [0, 1]; decoder outputs are logits, kept where lambda is in [1e-4, 1 - 1e-4].

    The picture is lambda, not the mean: even at the bound the mean of a black pixel is 0.11.
    """

    limit = math.log((1 - LAMBDA_MIN) / LAMBDA_MIN)

    def pixels(self, outputs: Tensor) -> ContinuousBernoulli:
        return ContinuousBernoulli(outputs, limit=self.limit)

    def picture(self, outputs: Tensor) -> Tensor:
        return self.pixels(outputs).probs


class LocationScaleLikelihood(Likelihood):
    """Real pixels around the decoder outputs, with one noise scale for all of them, learned or fixed."""

    unit_interval = False
    family: type[Normal] | type[Laplace]

    def __init__(self, sigma: float | None = None) -> None:
        super().__init__()
        self.fixed_sigma = sigma
        if sigma is None:
            self.log_sigma = nn.Parameter(torch.tensor(math.log(INITIAL_SIGMA)))

    @property
    def sigma(self) -> float:
        return self.log_sigma.exp().item() if self.fixed_sigma is None else self.fixed_sigma

    def pixels(self, outputs: Tensor) -> Distribution:
        return self.family(outputs, self.log_sigma.exp() if self.fixed_sigma is None else self.fixed_sigma)

    def picture(self, outputs: Tensor) -> Tensor:
        return outputs.clamp(0, 1)


class GaussianLikelihood(LocationScaleLikelihood):
    family = Normal


class LaplaceLikelihood(LocationScaleLikelihood):
    family = Laplace


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "Bernoulli": BernoulliLikelihood,
    "ContinuousBernoulli": ContinuousBernoulliLikelihood,
    "Gaussian": GaussianLikelihood,
    "Laplace": LaplaceLikelihood,
}


def make_likelihood(likelihood_type: str, sigma: float | None = None) -> Likelihood:
    """The likelihood of that name; `sigma` (> 0) fixes the noise scale of Gaussian and Laplace, None learns it.

    Raises:
        ValueError: an unknown name, or a sigma for a likelihood that has none.
    """
    if not isinstance(likelihood_type, str) or likelihood_type not in LIKELIHOODS:
        raise ValueError(f"likelihood_type must be one of {', '.join(LIKELIHOODS)}, got {likelihood_type!r}")
    kind = LIKELIHOODS[likelihood_type]
    options: dict[str, Any] = {} if sigma is None else {"sigma": sigma}
    if options and not issubclass(kind, LocationScaleLikelihood):
        raise ValueError(f"sigma is for Gaussian and Laplace; {likelihood_type} has no noise scale: leave it None")
    return kind(**options)
