"""Variational autoencoders: networks, likelihood, prior and posterior joined by the arithmetic of the ELBO.

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
    """The evidence lower bound and its two parts, in nats, each of shape (B,): elbo = -(rate + distortion)."""

    elbo: Tensor
    rate: Tensor
    """KL(q(z|x) || p(z)), in closed form where there is one, else estimated with the same draw of z."""
    distortion: Tensor
    """-E_q[log p(x|z)], estimated with one draw of z."""

    def mean(self) -> ELBOTerms:
        """Averaged over the images: three scalars."""
        return ELBOTerms(*(part.mean() for part in self))


class VAE(nn.Module, hub.HubMixin, library_name="hfvae", license="mit", tags=["vae", "mnist"]):
    """A VAE of given networks, with a likelihood, a prior and a posterior chosen by name.

    Subclasses bring the networks; `DenseVAE` and `ConvVAE` are two. A subclass's constructor arguments must be plain
    JSON values, since config.json is the constructor call, and whatever it computes must be in its state_dict.

    Args:
        encoder: network (B, *image_shape) -> (B, n), n as `hfvae.probability.posteriors.encoder_outputs` tells.
        decoder: network (B, latent_dim) -> (B, k * C, H, W), k being the likelihood's `channels_per_pixel`.
        latent_dim: number of latents.
        image_shape: (C, H, W).
        likelihood_type: a name in `hfvae.probability.likelihoods.LIKELIHOODS`.
        beta: weight of the rate in the training objective (Higgins et al. 2017); reported ELBOs ignore it.
        sigma: fixed noise scale of Gaussian and Laplace; None learns it.
        prior_type, prior_options: a name in `hfvae.probability.priors.PRIORS` and that prior's own arguments.
        posterior_type, posterior_options: a name in `hfvae.probability.posteriors.POSTERIORS` and that posterior's own
            arguments.

    Attributes:
        encoder, decoder: the networks.
        likelihood, prior_module, posterior: modules that return p(x|z), p(z) and q(z|x).
        training_record: the data set and treatment of pixels that the model was trained on; None if unknown.
        latent_dim, image_shape, likelihood_type, prior_type, posterior_type, beta: the constructor's.
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
        """What the networks compute in."""
        return next(self.parameters()).dtype

    @property
    def density_dtype(self) -> torch.dtype:
        """What latents and densities are computed in: float32 for a model in half precision, else `dtype`."""
        return full_dtype(self.dtype)

    @property
    def sigma(self) -> float | None:
        """The noise scale of a Gaussian or Laplace likelihood, learned or fixed; None for the others."""
        return self.likelihood.sigma

    @property
    def training_data(self) -> TrainingData:
        """`training_record`, or what is assumed without one: MNIST, with the likelihood's treatment of pixels."""
        if self.training_record is not None:
            return self.training_record
        return TrainingData(assumed_dataset(self.image_shape), self.likelihood.evaluation_pixels(Pixels()))

    @property
    def prior(self) -> Distribution:
        """p(z): batch (), event (latent_dim,)."""
        return self.prior_module(torch.empty(0, dtype=self.density_dtype, device=self.device))

    @property
    def prior_name(self) -> str:
        """The prior, as texts name it."""
        if is_standard_normal(self.prior):
            return "N(0, I)"
        return self.prior_type if type(self).prior is VAE.prior else f"{type(self).__name__}'s own"

    def encode(self, x: Tensor) -> Distribution:
        """q(z|x): batch (B,), event (latent_dim,).

        Args:
            x: images (B, *image_shape), of `dtype` or `density_dtype`, in [0, 1]; any real number for Gaussian and
                Laplace, and standardised for a model that was trained so.

        Raises:
            TypeError: x is no tensor of the model's dtype.
            ValueError: a wrong shape, or pixels out of range.
        """
        return self.posterior(self.encoder_outputs(x))

    def encoder_outputs(self, x: Tensor) -> Tensor:
        """What `posterior` makes q(z|x) of, (B, n), for images x as for `encode`."""
        self._validate("x", x, self.image_shape)
        self.likelihood.validate_range(x)
        return full_precision(self.encoder(x.to(self.dtype)))

    def decode(self, z: Tensor) -> Independent:
        """p(x|z) for latents z (B, latent_dim) of `dtype` or `density_dtype`: batch (B,), event image_shape.

        Raises:
            TypeError: z is no tensor of the model's dtype.
            ValueError: a wrong shape.
        """
        return self.likelihood(self.decoder_outputs(z))

    def decoder_outputs(self, z: Tensor) -> Tensor:
        """What `likelihood` makes p(x|z) of, (B, k * C, H, W), for z as for `decode`."""
        self._validate("z", z, (self.latent_dim,))
        return full_precision(self.decoder(z.to(self.dtype)))

    def decode_image(self, z: Tensor) -> Tensor:
        """The image to show for latents z (B, latent_dim): (B, *image_shape) in [0, 1].

        It is lambda for the (continuous) Bernoulli, and the location for Gaussian and Laplace, standardisation undone.
        """
        image = self.likelihood.image(self.decoder_outputs(z))
        return self.training_data.pixels.denormalize(image).clamp(0, 1)

    def elbo(self, x: Tensor, *, q: Distribution | None = None, generator: Generator | None = None) -> ELBOTerms:
        """The evidence lower bound of each image, with one draw of z; never scaled by beta.

        Args:
            x: images as for `encode`; {0, 1}-valued for the Bernoulli likelihood.
            q: the distribution of z to take instead of q(z|x): the bound holds for any.
            generator: source of the draw of z; None takes torch's global one.
        """
        q = self.encode(x) if q is None else q
        self.likelihood.validate_support(x)
        z = rsample(q, (), generator)
        distortion = -self.decode(z).log_prob(x)
        rate = kl_or_estimate(q, self.prior, z)
        return ELBOTerms(-(rate + distortion), rate, distortion)

    def log_weights(self, x: Tensor, z: Tensor, q: Distribution) -> Tensor:
        """log p(x, z) - log q(z|x), whose exponential averages to p(x) over draws of q (Burda et al. 2016, eq. 8).

        Args:
            x: images as for `elbo`, (B, *image_shape).
            z: S draws for each, (S, B, latent_dim).
            q: the distribution that they were drawn from, batch (B,), event (latent_dim,).

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
        """What a model card says of the model itself."""
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
    """Linear layers both ways; the defaults are the four layers 784-512-128-32-2 and back.

    Args:
        hidden_features: widths of the encoder's hidden layers; the decoder mirrors them.
        latent_dim: number of latents.
        likelihood_type: Bernoulli, ContinuousBernoulli, Gaussian or Laplace.
        beta: weight of the rate in the training objective (Higgins et al. 2017); reported ELBOs ignore it.
        image_shape: (channels, height, width).
        activation: relu, leaky_relu, elu, gelu, silu or tanh.
        sigma: fixed noise scale of Gaussian and Laplace; None learns it.
        prior_type, prior_options, posterior_type, posterior_options: as for `VAE`.

    Raises:
        TypeError, ValueError: an argument of a wrong type or value; says what is expected.

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
    """Convolutions that halve the resolution, then linear layers; the decoder mirrors them with interpolations.

    Args:
        channels: channels after each stage, which halves the resolution.
        hidden_features: widths of the dense layers between the convolutions and the latents.
        blocks: residual blocks in each stage, two convolutions a block; 0 is the plain network.
        latent_dim, likelihood_type, beta, image_shape, activation, sigma: as for `DenseVAE`, and so are the errors.
        prior_type, prior_options, posterior_type, posterior_options: as for `VAE`.

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
