"""Variational autoencoders: networks, likelihood, prior, posterior, and the ELBO.

Kingma & Welling, "Auto-encoding variational Bayes", ICLR 2014, https://arxiv.org/abs/1312.6114.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.distributions import Distribution, Independent

from . import arguments, hub
from .datasets import VAE_PAPER, Pixels, TrainingData, assumed_dataset
from .networks import ConvDecoder, ConvEncoder, DenseDecoder, DenseEncoder, Shape, feature_shapes
from .probability.likelihoods import DEFAULT_LIKELIHOOD, decoder_shape, make_likelihood
from .probability.posteriors import DEFAULT_POSTERIOR, encoder_outputs, make_posterior
from .probability.priors import DEFAULT_PRIOR, make_prior
from .probability.sampling import is_standard_normal, kl_or_estimate, rsample
from .tensors import full_dtype, full_precision, validate_tensor


class ELBOTerms(NamedTuple):
    """The evidence lower bound and its two parts, in nats, each (B,): elbo = -(rate + distortion)."""

    elbo: Tensor
    rate: Tensor
    """KL(q(z|x) || p(z)): closed form if there is one, else a one-sample estimate."""
    distortion: Tensor
    """-E_q[log p(x|z)], a one-sample estimate."""

    def mean(self) -> ELBOTerms:
        """Means over the batch: three scalars."""
        return ELBOTerms(*(part.mean() for part in self))


class VAE(nn.Module, hub.HubMixin, library_name="hfvae", license="mit", tags=["vae", "mnist"]):
    """A VAE with the given networks and with a likelihood, prior and posterior chosen by name.

    Subclasses provide the networks, as `DenseVAE` and `ConvVAE` do. A subclass's constructor arguments must be JSON
    values, because config.json stores the constructor call, and all its state must be in its state_dict.

    Args:
        encoder: network (B, *image_shape) -> (B, n), n from `hfvae.probability.posteriors.encoder_outputs`.
        decoder: network (B, latent_dim) -> (B, k * C, H, W), where k is the likelihood's `channels_per_pixel`.
        latent_dim: number of latents.
        image_shape: (C, H, W).
        likelihood_type: a name in `hfvae.probability.likelihoods.LIKELIHOODS`.
        beta: weight of the rate in the training objective (Higgins et al. 2017); reported ELBOs ignore it.
        sigma: fixed noise scale of Gaussian and Laplace; None learns it.
        prior_type, prior_options: a name in `hfvae.probability.priors.PRIORS` and that prior's arguments.
        posterior_type, posterior_options: a name in `hfvae.probability.posteriors.POSTERIORS` and that posterior's
            arguments.

    Attributes:
        encoder, decoder: the networks.
        likelihood, prior_module, posterior: modules that return p(x|z), p(z) and q(z|x).
        training_record: the data set and pixel preprocessing of the training; None if unknown.
        latent_dim, image_shape, likelihood_type, prior_type, posterior_type, beta: as given.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        latent_dim: int,
        image_shape: Sequence[int],
        likelihood_type: str = DEFAULT_LIKELIHOOD,
        beta: float = 1.0,
        sigma: float | None = None,
        prior_type: str = DEFAULT_PRIOR,
        prior_options: Mapping[str, Any] | None = None,
        posterior_type: str = DEFAULT_POSTERIOR,
        posterior_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = make_likelihood(
            likelihood_type, None if sigma is None else arguments.validate_positive("sigma", sigma)
        )
        self.prior_module = make_prior(prior_type, latent_dim, prior_options)
        self.posterior = make_posterior(posterior_type, latent_dim, posterior_options)
        self.latent_dim = latent_dim
        self.image_shape: Shape = tuple(image_shape)  # type: ignore[assignment]
        self.likelihood_type = likelihood_type
        self.prior_type = prior_type
        self.posterior_type = posterior_type
        self.beta = arguments.validate_positive("beta", beta)
        self.training_record: TrainingData | None = None

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the networks."""
        return next(self.parameters()).dtype

    @property
    def density_dtype(self) -> torch.dtype:
        """Dtype of latents and densities: float32 for a model in half precision, else `dtype`."""
        return full_dtype(self.dtype)

    @property
    def sigma(self) -> float | None:
        """The noise scale of a Gaussian or Laplace likelihood, learned or fixed; None for the others."""
        return self.likelihood.sigma

    @property
    def training_data(self) -> TrainingData:
        """`training_record`, or the default: MNIST with the likelihood's pixel preprocessing."""
        if self.training_record is not None:
            return self.training_record
        return TrainingData(assumed_dataset(self.image_shape), self.likelihood.evaluation_pixels(Pixels()))

    @property
    def prior(self) -> Distribution:
        """p(z): batch (), event (latent_dim,)."""
        return self.prior_module(torch.empty(0, dtype=self.density_dtype, device=self.device))

    @property
    def prior_name(self) -> str:
        """Display name of the prior."""
        if is_standard_normal(self.prior):
            return "N(0, I)"
        return self.prior_type if type(self).prior is VAE.prior else f"{type(self).__name__}'s own"

    def encode(self, x: Tensor) -> Distribution:
        """q(z|x): batch (B,), event (latent_dim,).

        Args:
            x: images (B, *image_shape) of `dtype` or `density_dtype`: in [0, 1], or for Gaussian and Laplace any real
                numbers, standardised if the training data were.

        Raises:
            TypeError: x is not a tensor of the model's dtype.
            ValueError: a wrong shape, or pixels out of range.
        """
        return self.posterior(self.encoder_outputs(x))

    def encoder_outputs(self, x: Tensor) -> Tensor:
        """Parameters of q(z|x): raw encoder outputs (B, n), for images x as in `encode`."""
        self._validate("x", x, self.image_shape)
        self.likelihood.validate_range(x)
        return full_precision(self.encoder(x.to(self.dtype)))

    def decode(self, z: Tensor) -> Independent:
        """p(x|z) for latents z (B, latent_dim) of `dtype` or `density_dtype`: batch (B,), event image_shape.

        Raises:
            TypeError: z is not a tensor of the model's dtype.
            ValueError: a wrong shape.
        """
        return self.likelihood(self.decoder_outputs(z))

    def decoder_outputs(self, z: Tensor) -> Tensor:
        """Parameters of p(x|z): raw decoder outputs (B, k * C, H, W), for z as in `decode`."""
        self._validate("z", z, (self.latent_dim,))
        return full_precision(self.decoder(z.to(self.dtype)))

    def decode_image(self, z: Tensor) -> Tensor:
        """The image to show for latents z (B, latent_dim): (B, *image_shape) in [0, 1].

        Lambda for the (continuous) Bernoulli; the location for Gaussian and Laplace, without standardisation.
        """
        image = self.likelihood.image(self.decoder_outputs(z))
        return self.training_data.pixels.denormalize(image).clamp(0, 1)

    def elbo(self, x: Tensor, *, q: Distribution | None = None, generator: Generator | None = None) -> ELBOTerms:
        """The evidence lower bound of each image, estimated with one sample of z; beta does not enter.

        Args:
            x: images as in `encode`; in {0, 1} for the Bernoulli likelihood.
            q: a distribution of z to use instead of q(z|x); the bound holds for any.
            generator: source of the sample; None uses torch's global generator.
        """
        q = self.encode(x) if q is None else q
        self.likelihood.validate_support(x)
        z = rsample(q, (), generator)
        distortion = -self.decode(z).log_prob(x)
        rate = kl_or_estimate(q, self.prior, z)
        return ELBOTerms(-(rate + distortion), rate, distortion)

    def log_weights(self, x: Tensor, z: Tensor, q: Distribution) -> Tensor:
        """log p(x, z) - log q(z|x); the mean of its exponential over samples of q is p(x) (Burda et al. 2016, eq. 8).

        Args:
            x: images as in `elbo`, (B, *image_shape).
            z: S samples for each image, (S, B, latent_dim).
            q: the distribution of these samples, batch (B,), event (latent_dim,).

        Returns:
            (S, B) in nats.
        """
        self.likelihood.validate_support(x)
        targets = x.expand(len(z), *x.shape).flatten(0, 1)
        log_likelihood = self.decode(z.flatten(0, 1)).log_prob(targets).view(z.shape[:2])
        return log_likelihood + self.prior.log_prob(z) - q.log_prob(z)

    def forward(self, x: Tensor) -> Independent:
        """p(x|z) at the code of each image of x (B, *image_shape)."""
        return self.decode(self.posterior.code(self.encode(x)))

    def _validate(self, name: str, value: Tensor, shape: tuple[int, ...]) -> None:
        validate_tensor(name, value, shape, (self.dtype, self.density_dtype))

    def facts(self) -> hub.ModelFacts:
        """The facts about the model on its card."""
        pixels = self.likelihood.evaluation_pixels(self.training_data.pixels)
        return hub.ModelFacts(
            model_class=type(self).__name__,
            arguments=self.config,
            latent_dim=self.latent_dim,
            image_shape=self.image_shape,
            likelihood_type=self.likelihood_type,
            prior=self.prior_name,
            posterior_type=self.posterior_type,
            dataset=self.training_data.dataset,
            limits=self.likelihood.limits(pixels),
            parameters=sum(value.numel() for value in hub.distinct_weights(self).values()),
            papers=tuple(paper for paper in (VAE_PAPER, self.likelihood.paper, self.prior_module.paper) if paper),
            details=self.card_details,
            template=self.card_template,
        )


class DenseVAE(VAE):
    """A VAE of linear layers; by default 784-512-128-32-2 and back.

    Args:
        hidden_features: widths of the encoder's hidden layers; the decoder mirrors them.
        latent_dim: number of latents.
        likelihood_type: Bernoulli, ContinuousBernoulli, Gaussian or Laplace.
        beta: weight of the rate in the training objective (Higgins et al. 2017); reported ELBOs ignore it.
        image_shape: (channels, height, width).
        activation: relu, leaky_relu, elu, gelu, silu or tanh.
        sigma: fixed noise scale of Gaussian and Laplace; None learns it.
        prior_type, prior_options, posterior_type, posterior_options: as in `VAE`.

    Raises:
        TypeError, ValueError: an argument has a wrong type or value; the message says what is expected.

    Example:
        >>> vae = DenseVAE(latent_dim=2)
        >>> x = torch.rand(5, 1, 28, 28)
        >>> vae.encode(x).mean.shape, vae.decode(torch.zeros(5, 2)).log_prob(x).shape
        (torch.Size([5, 2]), torch.Size([5]))
    """

    def __init__(
        self,
        hidden_features: Sequence[int] = (512, 128, 32),
        latent_dim: int = 2,
        likelihood_type: str = DEFAULT_LIKELIHOOD,
        beta: float = 1.0,
        *,
        image_shape: Sequence[int] = (1, 28, 28),
        activation: str = "leaky_relu",
        sigma: float | None = None,
        prior_type: str = DEFAULT_PRIOR,
        prior_options: dict[str, Any] | None = None,
        posterior_type: str = DEFAULT_POSTERIOR,
        posterior_options: dict[str, Any] | None = None,
    ) -> None:
        hidden = arguments.validate_widths("hidden_features", hidden_features)
        shape = arguments.validate_image_shape(image_shape)
        outputs = encoder_outputs(posterior_type, arguments.validate_latent_dim(latent_dim))
        decoded = decoder_shape(likelihood_type, shape)
        arguments.validate_activation(activation)
        arguments.validate_size((math.prod(shape), *hidden, outputs))
        arguments.validate_size((latent_dim, *reversed(hidden), math.prod(decoded)))
        super().__init__(
            DenseEncoder(shape, hidden, outputs, activation),
            DenseDecoder(latent_dim, hidden, decoded, activation),
            latent_dim=latent_dim,
            image_shape=shape,
            likelihood_type=likelihood_type,
            beta=beta,
            sigma=sigma,
            prior_type=prior_type,
            prior_options=prior_options,
            posterior_type=posterior_type,
            posterior_options=posterior_options,
        )


class ConvVAE(VAE):
    """A VAE of convolutions that halve the resolution, then linear layers; the decoder mirrors them by upsampling.

    Args:
        channels: channels after each stage; each stage halves the resolution.
        hidden_features: widths of the dense layers between the convolutions and the latents.
        blocks: residual blocks per stage, with two convolutions each; 0 gives the plain network.
        latent_dim, likelihood_type, beta, image_shape, activation, sigma: as in `DenseVAE`, as are the errors.
        prior_type, prior_options, posterior_type, posterior_options: as in `VAE`.

    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64),
        hidden_features: Sequence[int] = (512,),
        latent_dim: int = 32,
        likelihood_type: str = DEFAULT_LIKELIHOOD,
        beta: float = 1.0,
        *,
        blocks: int = 0,
        image_shape: Sequence[int] = (1, 28, 28),
        activation: str = "leaky_relu",
        sigma: float | None = None,
        prior_type: str = DEFAULT_PRIOR,
        prior_options: dict[str, Any] | None = None,
        posterior_type: str = DEFAULT_POSTERIOR,
        posterior_options: dict[str, Any] | None = None,
    ) -> None:
        counts = arguments.validate_widths("channels", channels)
        hidden = arguments.validate_widths("hidden_features", hidden_features)
        shape = arguments.validate_image_shape(image_shape)
        if not counts or 2 ** (len(counts) - 1) >= max(shape[1:]):
            raise ValueError(
                f"channels must name at least one stage and at most as many as halve {shape[1]}x{shape[2]} pixels "
                f"to one, got {len(counts)}"
            )
        arguments.validate_integer("blocks", blocks, arguments.MAX_DEPTH, least=0)
        outputs = encoder_outputs(posterior_type, arguments.validate_latent_dim(latent_dim))
        decoded = decoder_shape(likelihood_type, shape)
        arguments.validate_activation(activation)
        arguments.validate_size((math.prod(feature_shapes(shape, counts)[-1]), *hidden, outputs))
        convolutions = (width for count in counts for width in [count] * (1 + 18 * blocks))
        arguments.validate_size((9 * decoded[0], *convolutions))
        super().__init__(
            ConvEncoder(shape, counts, blocks, hidden, outputs, activation),
            ConvDecoder(latent_dim, counts, blocks, hidden, decoded, activation),
            latent_dim=latent_dim,
            image_shape=shape,
            likelihood_type=likelihood_type,
            beta=beta,
            sigma=sigma,
            prior_type=prior_type,
            prior_options=prior_options,
            posterior_type=posterior_type,
            posterior_options=posterior_options,
        )
