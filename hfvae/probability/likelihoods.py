"""The table from `likelihood_type` to p(x|z), and everything that depends on the choice of one.

A likelihood is a module whose ``forward`` turns decoder outputs into a distribution over images. It also says how many
decoder channels it needs, how grey images become its data, which image to show, what cards say about it, and what the
page must apply to a decoder's outputs to show the same image.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent, Laplace, Normal

from ..arguments import choose
from ..datasets import CONTINUOUS_BERNOULLI, Paper, Pixels
from ..networks import Shape
from ..tensors import FullPrecision, validate_args, values_known
from .continuous_bernoulli import ContinuousBernoulli

LAMBDA_MIN = 1e-4
"""The continuous Bernoulli's lambda stays in [LAMBDA_MIN, 1 - LAMBDA_MIN] (Loaiza-Ganem & Cunningham 2019, sec. 5)."""
INITIAL_SIGMA = 0.2


class Likelihood(FullPrecision):
    """p(x|z) as a function of decoder outputs (B, channels_per_pixel * C, H, W), for images (B, C, H, W).

    Attributes:
        channels_per_pixel: decoder channels for each channel of the image.
        unit_interval: whether pixels lie in [0, 1]; otherwise they may be any real number.
        browser_function: what the page applies to the outputs of a decoder with one channel a pixel to show the same
            image as `image`; None if the page cannot, and Python must decode.
        protocol: what a metric's protocol adds to the treatment of the pixels, or "".
        paper: where the likelihood was published, for model cards; None for the textbook's.
    """

    channels_per_pixel = 1
    unit_interval = True
    browser_function: Literal["sigmoid", "identity"] | None = None
    protocol = ""
    paper: Paper | None = None

    @property
    def sigma(self) -> float | None:
        """The scale of the pixel noise, where this likelihood has a single one."""
        return None

    def distribution(self, outputs: Tensor) -> Distribution:
        """(B, channels_per_pixel * C, H, W) -> a distribution with batch (B, C, H, W), one for each pixel."""
        raise NotImplementedError

    def image(self, outputs: Tensor) -> Tensor:
        """The image to show for these decoder outputs, (B, C, H, W), in the units of the model's pixels."""
        raise NotImplementedError

    def forward(self, outputs: Tensor) -> Independent:
        """(B, channels_per_pixel * C, H, W) -> p(x|z): batch (B,), event (C, H, W)."""
        return Independent(self.distribution(outputs), 3, validate_args=validate_args(outputs))

    def log_prob_table(self, outputs: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) of every image x (B, C, H, W) under each of the decoder outputs (G, k * C, H, W): (G, B).

        Without gradients. Likelihoods override this with what is a thousand times faster.
        """
        with torch.no_grad():
            p = self(outputs)
            return torch.stack([p.log_prob(image) for image in x], 1)

    def evaluation_pixels(self, trained: Pixels) -> Pixels:
        """The treatment that figures are measured with, for a model trained with the treatment `trained`.

        Grey levels are dequantised, without which their density has no upper bound; standardised pixels stay as they
        were trained.
        """
        return trained if trained.standardized else Pixels(dequantize=True)

    def preprocess(self, images: Tensor, generator: Generator | None = None, trained: Pixels | None = None) -> Tensor:
        """Images in [0, 1] on the CPU as figures are measured on them, with noise from `generator`."""
        noise = torch.rand(images.shape, generator=generator)
        return self.evaluation_pixels(trained or Pixels()).apply(255 * images, noise)

    def limits(self, pixels: Pixels) -> str:
        """Sentences for the card on what the figures and images are, measured with the treatment `pixels`."""
        return (
            f"The density is that of {pixels.description}. Its figures depend on this treatment, and cannot be "
            "compared with those of other likelihoods."
        )

    def validate_range(self, x: Tensor) -> None:
        """Refuse pixels outside the range of this likelihood's images.

        Raises:
            ValueError: says which pixels are expected.
        """
        if not values_known(x):
            return
        if self.unit_interval:
            low, high = x.aminmax()
            if not (low >= 0 and high <= 1):  # NaN too
                raise ValueError(
                    f"{self} needs pixels in [0, 1], got [{low:.4g}, {high:.4g}]: divide grey levels by 255, "
                    "and standardise images (mean, std) for Gaussian or Laplace models only"
                )
        elif not torch.isfinite(x).all():
            raise ValueError(f"{self} needs finite pixels, got NaN or infinity")

    def validate_support(self, x: Tensor) -> None:
        """Refuse pixels that are in range but to which this likelihood gives no density.

        Raises:
            ValueError: says which pixels are expected.
        """

    def __str__(self) -> str:
        name = next((name for name, kind in LIKELIHOODS.items() if kind is type(self)), type(self).__name__)
        return f"the {name} likelihood"


def exponential_family_table(eta: Tensor, at_zero: Tensor, x: Tensor) -> Tensor:
    """sum over pixels of x * eta + log p(0), for images (B, C, H, W) and parameters (G, C, H, W): (G, B)."""
    return torch.addmm(at_zero.flatten(1).sum(1, keepdim=True), eta.flatten(1), x.flatten(1).T)


class BernoulliLikelihood(Likelihood):
    """Pixels in {0, 1}; decoder outputs are logits. Grey pixels are probabilities to binarise by, not targets."""

    browser_function = "sigmoid"

    def distribution(self, outputs: Tensor) -> Distribution:
        return Bernoulli(logits=outputs, validate_args=validate_args(outputs))

    @torch.no_grad()
    def log_prob_table(self, outputs: Tensor, x: Tensor) -> Tensor:
        return exponential_family_table(outputs, -F.softplus(outputs), x)

    def image(self, outputs: Tensor) -> Tensor:
        return torch.sigmoid(outputs)

    def evaluation_pixels(self, trained: Pixels) -> Pixels:
        """As trained, else dynamically binarised (Salakhutdinov & Murray 2008)."""
        return trained if trained.binary else Pixels(binarize="dynamic")

    def limits(self, pixels: Pixels) -> str:
        return (
            f"The likelihood is that of {pixels.description}. Its figures cannot be compared with those of data "
            "binarised in another way or of continuous data. Images show the probability of ink."
        )

    def validate_support(self, x: Tensor) -> None:
        if values_known(x) and not ((x == 0) | (x == 1)).all():
            raise ValueError(
                f"{self} needs pixels that are 0 or 1, got grey ones: binarise them "
                '(MNISTDataModule(binarize="dynamic")), or use likelihood_type="ContinuousBernoulli"'
            )


class ContinuousBernoulliLikelihood(Likelihood):
    """Pixels in [0, 1]; decoder outputs are logits, kept where lambda is in [1e-4, 1 - 1e-4].

    The image is lambda, not the mean: even at the bound the mean of a black pixel is 0.11.
    """

    browser_function = "sigmoid"
    limit = math.log((1 - LAMBDA_MIN) / LAMBDA_MIN)
    protocol = "lambda in [1e-4, 1 - 1e-4]"
    paper = CONTINUOUS_BERNOULLI

    def distribution(self, outputs: Tensor) -> ContinuousBernoulli:
        return ContinuousBernoulli(logits=outputs, limit=self.limit)

    @torch.no_grad()
    def log_prob_table(self, outputs: Tensor, x: Tensor) -> Tensor:
        p = self.distribution(outputs)
        return exponential_family_table(p.logits, p.log_prob(torch.zeros_like(outputs)), x)

    def image(self, outputs: Tensor) -> Tensor:
        return self.distribution(outputs).probs

    def limits(self, pixels: Pixels) -> str:
        return (
            f"The density is that of {pixels.description}, with lambda kept in [1e-4, 1 - 1e-4]. Its figures depend on "
            "both, and cannot be compared with those of Bernoulli models. Images show lambda, not the mean."
        )


class LocationScaleLikelihood(Likelihood):
    """Real pixels around the decoder outputs, with one noise scale for all of them, learned or fixed."""

    unit_interval = False
    browser_function = "identity"
    family: type[Normal] | type[Laplace]

    def __init__(self, sigma: float | None = None) -> None:
        super().__init__()
        self.fixed_sigma = sigma
        if sigma is None:
            self.log_sigma = nn.Parameter(torch.tensor(math.log(INITIAL_SIGMA)))

    @property
    def sigma(self) -> float:
        return self.log_sigma.exp().item() if self.fixed_sigma is None else self.fixed_sigma

    def distribution(self, outputs: Tensor) -> Distribution:
        sigma = self.log_sigma.exp() if self.fixed_sigma is None else self.fixed_sigma
        return self.family(outputs, sigma, validate_args=validate_args(outputs))

    def image(self, outputs: Tensor) -> Tensor:
        return outputs

    def limits(self, pixels: Pixels) -> str:
        return f"{super().limits(pixels)} Images show the location parameter, clamped to [0, 1]."


class GaussianLikelihood(LocationScaleLikelihood):
    family = Normal

    @torch.no_grad()
    def log_prob_table(self, outputs: Tensor, x: Tensor) -> Tensor:
        at_zero = self.distribution(outputs).log_prob(torch.zeros_like(outputs))
        squares = x.flatten(1).square().sum(1) / (2 * self.sigma**2)
        return exponential_family_table(outputs / self.sigma**2, at_zero, x) - squares


class LaplaceLikelihood(LocationScaleLikelihood):
    family = Laplace

    @torch.no_grad()
    def log_prob_table(self, outputs: Tensor, x: Tensor) -> Tensor:
        distances = torch.cdist(outputs.flatten(1), x.flatten(1), p=1)
        return -distances / self.sigma - x[0].numel() * math.log(2 * self.sigma)


DEFAULT_LIKELIHOOD = "ContinuousBernoulli"
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
    kind = choose("likelihood_type", likelihood_type, LIKELIHOODS)
    if sigma is None:
        return kind()
    if not issubclass(kind, LocationScaleLikelihood):
        raise ValueError(f"sigma is for Gaussian and Laplace; {likelihood_type} has no noise scale: leave it None")
    return kind(sigma)


def decoder_shape(likelihood_type: str, image_shape: Shape) -> Shape:
    """The shape of the decoder outputs for the likelihood of that name and images of `image_shape`.

    Raises:
        ValueError: an unknown name.
    """
    channels, height, width = image_shape
    return (choose("likelihood_type", likelihood_type, LIKELIHOODS).channels_per_pixel * channels, height, width)
