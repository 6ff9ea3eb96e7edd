"""Variational autoencoders with diagonal Gaussian posteriors that live on a Hugging Face-style hub.

Kingma & Welling, "Auto-encoding variational Bayes", ICLR 2014, https://arxiv.org/abs/1312.6114.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence
from typing_extensions import Self

from . import hub, publish
from .likelihoods import make_likelihood
from .networks import ACTIVATIONS, ConvDecoder, ConvEncoder, DenseDecoder, DenseEncoder, Shape, feature_shapes

# What a constructor may be asked for: far above any model of this kind, far below what would exhaust a machine.
MAX_WIDTH = 1 << 16
MAX_DEPTH = 64
MAX_WEIGHTS = 1 << 27
LOG_STD_RANGE = (-10.0, 10.0)
"""Of the posterior: an outlying image's exp(log_std) must neither vanish nor overflow, which would end a training."""


class Bound(NamedTuple):
    """The evidence lower bound and its two parts, in nats, each of shape (B,): elbo = -(rate + distortion)."""

    elbo: Tensor
    rate: Tensor
    """KL(q(z|x) || p(z))."""
    distortion: Tensor
    """-E_q[log p(x|z)], estimated with one draw of z."""

    def mean(self) -> Bound:
        """Averaged over the images: three scalars."""
        return Bound(*(part.mean() for part in self))


class VAE(nn.Module, PyTorchModelHubMixin, library_name="hfvae", license="mit", tags=["vae", "mnist"]):
    """p(z) = N(0, I), p(x|z) of some likelihood, q(z|x) = N(mu(x), diag sigma(x)^2).

    Subclasses bring the networks; `DenseVAE` and `ConvVAE` are two. A subclass's constructor arguments must be plain
    JSON values, since config.json is the constructor call, and whatever it computes must be in its state_dict.

    Attributes:
        encoder: network (B, *image_shape) -> (B, 2 * latent_dim), the posterior's means and log standard deviations.
        decoder: network (B, latent_dim) -> (B, *image_shape), the likelihood's parameters.
        likelihood: turns decoder outputs into p(x|z).
        latent_dim, image_shape, likelihood_type, beta: the constructor's.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        latent_dim: int,
        image_shape: Sequence[int],
        likelihood_type: str,
        beta: float,
        sigma: float | None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = make_likelihood(likelihood_type, _positive("sigma", sigma) if sigma is not None else None)
        self.latent_dim = latent_dim
        self.image_shape: Shape = tuple(image_shape)  # type: ignore[assignment]
        self.likelihood_type = likelihood_type
        self.beta = _positive("beta", beta)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    @property
    def sigma(self) -> float | None:
        """The noise scale of a Gaussian or Laplace likelihood, learned or fixed; None for the Bernoullis."""
        return self.likelihood.sigma

    @property
    def config(self) -> dict[str, Any]:
        """The constructor call as plain JSON values: ``type(vae)(**vae.config)`` builds the same architecture."""
        given: dict[str, Any] = self._hub_mixin_config  # type: ignore[assignment]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}

    @property
    def prior(self) -> Independent:
        """p(z) = N(0, I): batch (), event (latent_dim,)."""
        zero = torch.zeros(self.latent_dim, device=self.device, dtype=self.dtype)
        return Independent(Normal(zero, torch.ones_like(zero)), 1)

    def encode(self, x: Tensor) -> Independent:
        """q(z|x).

        Args:
            x: images (B, *image_shape), the model's dtype, in [0, 1] (any real number for Gaussian and Laplace).

        Returns:
            A diagonal normal: batch (B,), event (latent_dim,).

        Raises:
            TypeError: x is no tensor of the model's dtype.
            ValueError: a wrong shape, or pixels out of range.
        """
        self._check("x", x, self.image_shape)
        self.likelihood.check_range(x)
        mean, log_std = _full_precision(self.encoder(x)).chunk(2, dim=1)
        return Independent(Normal(mean, log_std.clamp(*LOG_STD_RANGE).exp()), 1)

    def decode(self, z: Tensor) -> Independent:
        """p(x|z) for latents z (B, latent_dim) of the model's dtype: batch (B,), event image_shape.

        Raises:
            TypeError: z is no tensor of the model's dtype.
            ValueError: a wrong shape.
        """
        return self.likelihood(self._decoder_outputs(z))

    def picture(self, z: Tensor) -> Tensor:
        """The image to show for latents z (B, latent_dim): (B, *image_shape) in [0, 1].

        It is lambda for the (continuous) Bernoulli, and the location, clamped to [0, 1], for Gaussian and Laplace.
        """
        return self.likelihood.picture(self._decoder_outputs(z))

    def elbo(self, x: Tensor, *, generator: torch.Generator | None = None) -> Bound:
        """The evidence lower bound of each image, with one draw of z; never scaled by beta.

        Args:
            x: images as for `encode`; {0, 1}-valued for the Bernoulli likelihood.
            generator: where the draw of z comes from; None takes torch's global one.
        """
        q = self.encode(x)
        self.likelihood.check_support(x)
        distortion = -self.decode(draw(q, generator)).log_prob(x)
        rate = kl_divergence(q, self.prior)
        return Bound(-(rate + distortion), rate, distortion)

    def log_weights(self, x: Tensor, z: Tensor, q: Independent) -> Tensor:
        """log p(x, z) - log q(z|x), whose exponential averages to p(x) over draws of q (Burda et al. 2016, eq. 8).

        Args:
            x: images as for `elbo`, (B, *image_shape).
            z: S draws for each, (S, B, latent_dim).
            q: the distribution that they were drawn from, batch (B,), event (latent_dim,).

        Returns:
            (S, B) in nats.
        """
        self.likelihood.check_support(x)
        targets = x.expand(len(z), *x.shape).flatten(0, 1)
        log_likelihood = self.decode(z.flatten(0, 1)).log_prob(targets).view(z.shape[:2])
        return log_likelihood + self.prior.log_prob(z) - q.log_prob(z)

    def forward(self, x: Tensor) -> Independent:
        """p(x|z) at the posterior mean of each image of x (B, *image_shape)."""
        return self.decode(self.encode(x).mean)

    def _decoder_outputs(self, z: Tensor) -> Tensor:
        self._check("z", z, (self.latent_dim,))
        return _full_precision(self.decoder(z))

    def _check(self, name: str, value: Tensor, shape: tuple[int, ...]) -> None:
        if not isinstance(value, Tensor) or value.dtype != self.dtype:
            got = f"a tensor of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"{name} must be a tensor of {self.dtype}, as the model is; got {got}")
        if value.shape[1:] != shape or value.ndim != len(shape) + 1:
            wanted = ", ".join(map(str, ("B", *shape)))
            raise ValueError(f"{name} must have shape ({wanted}), got {tuple(value.shape)}")
        if not len(value):
            raise ValueError(f"{name} is an empty batch")

    # The hub. The mixin's own loader swallows HTTP errors, loads loosely and reads pickles; `hub` does none of these.

    def save_pretrained(
        self, save_directory: str | Path, *, push_to_hub: bool = False, repo_id: str | None = None, **push_options: Any
    ) -> str | None:
        """Write weights, config and, where there is none yet, a card into a folder, made if missing.

        Args:
            save_directory: the folder; files in it are replaced only by whole ones.
            push_to_hub: push it as well, with `push_options` as for `push_to_hub`.
            repo_id: where to; None takes the folder's name.

        Returns:
            The repository's address after a push, else None.
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        hub.write_model(folder, type(self).__name__, self.config, self.state_dict())
        if not (folder / hub.CARD).exists():
            hub.write_card(folder)
        return self.push_to_hub(repo_id or folder.name, **push_options) if push_to_hub else None

    def push_to_hub(  # type: ignore[override]
        self,
        repo_id: str,
        *,
        folder: str | Path | None = None,
        private: bool | None = None,
        revision: str | None = None,
        tag: str | None = None,
        token: str | bool | None = None,
        commit_message: str = "Publish with hfvae",
    ) -> str:
        """Publish the model in one commit.

        Args:
            repo_id: ``user/name``; the repository is made if missing.
            folder: the folder of this model that `train/evaluate.py` filled, to be sent with its metrics, figures and
                codes. None sends weights, config and a card that says the model was not evaluated.
            private: True or False must match an existing repository.
            revision: branch to commit to, made if missing; None is main.
            tag: tag to put on the commit.
            token: None takes the one of ``hf auth login`` or ``$HF_TOKEN``.

        Returns:
            The repository's address.

        Raises:
            hub.HubError: the folder is not fit to be published (nothing was sent), or the hub refused.
        """
        options: dict[str, Any] = {"private": private, "revision": revision, "tag": tag, "token": token}
        if folder is not None:
            _require_same(self, Path(folder))
            files = publish.prepare(Path(folder), repo_id)
            return publish.push(files, repo_id, message=commit_message, **options)
        with tempfile.TemporaryDirectory() as scratch:
            target = Path(scratch) / repo_id.split("/")[-1]
            self.save_pretrained(target)
            files = publish.prepare(target, repo_id, evaluated=False)
            return publish.push(files, repo_id, message=commit_message, **options)

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        device: str | torch.device = "cpu",
    ) -> Self:
        """Load config and weights, strictly, in eval mode, from a folder or a hub repository.

        Args:
            pretrained_model_name_or_path: a folder written by `save_pretrained`, or a repo id ``user/name``.
            revision: branch, tag or commit of the repository.
            token, cache_dir, force_download, local_files_only: as for ``huggingface_hub.hf_hub_download``.
            device: where the model shall live.

        Returns:
            The model. Called on ``VAE`` itself, the class is the one that config.json names.

        Raises:
            hub.HubError: nothing there, no access, no network, a config or weights that do not fit; says what to do.
        """
        source = hub.Source(
            pretrained_model_name_or_path,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
        )
        class_name, arguments = source.config()
        vae = _build(cls, class_name, arguments, str(source))
        _load_strictly(vae, source.weights(), str(source))
        return vae.to(device).eval()

    @classmethod
    def load_from_checkpoint(cls, path: str | Path, *, device: str | torch.device = "cpu") -> Self:
        """Load the model out of a checkpoint that `train/fit.py` wrote, strictly, in eval mode; nothing is unpickled.

        Raises:
            hub.HubError: no such file, not a checkpoint of this project, or one of another class.
        """
        checkpoint = hub.read_checkpoint(path)
        vae = _build(cls, checkpoint.model_class, checkpoint.arguments, str(path))
        _load_strictly(vae, checkpoint.weights, str(path))
        return vae.to(device).eval()


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

    Raises:
        TypeError, ValueError: an argument that is not what it should be, in a sentence.

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
        likelihood_type: str = "ContinuousBernoulli",
        beta: float = 1.0,
        *,
        image_shape: Sequence[int] = (1, 28, 28),
        activation: str = "leaky_relu",
        sigma: float | None = None,
    ) -> None:
        hidden = _widths("hidden_features", hidden_features)
        shape = _image_shape(image_shape)
        _latent_dim(latent_dim)
        _activation(activation)
        _affordable((math.prod(shape), *hidden, 2 * latent_dim))
        super().__init__(
            DenseEncoder(shape, hidden, 2 * latent_dim, activation),
            DenseDecoder(latent_dim, hidden, shape, activation),
            latent_dim=latent_dim,
            image_shape=shape,
            likelihood_type=likelihood_type,
            beta=beta,
            sigma=sigma,
        )


class ConvVAE(VAE):
    """Convolutions that halve the resolution, then linear layers; the decoder mirrors them with interpolations.

    Args:
        channels: channels after each stage, which halves the resolution.
        blocks: residual blocks in each stage, two convolutions a block; 0 is the plain network.
        hidden_features: widths of the dense layers between the convolutions and the latents.
        latent_dim, likelihood_type, beta, image_shape, activation, sigma: as for `DenseVAE`.

    Raises:
        TypeError, ValueError: an argument that is not what it should be, in a sentence.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64),
        hidden_features: Sequence[int] = (512,),
        latent_dim: int = 32,
        likelihood_type: str = "ContinuousBernoulli",
        beta: float = 1.0,
        *,
        blocks: int = 0,
        image_shape: Sequence[int] = (1, 28, 28),
        activation: str = "leaky_relu",
        sigma: float | None = None,
    ) -> None:
        counts = _widths("channels", channels)
        hidden = _widths("hidden_features", hidden_features)
        shape = _image_shape(image_shape)
        if not counts or 2 ** (len(counts) - 1) >= max(shape[1:]):
            raise ValueError(
                f"channels must name at least one stage and at most as many as halve {shape[1]}x{shape[2]} pixels "
                f"to one, got {len(counts)}"
            )
        _integer("blocks", blocks, MAX_DEPTH, least=0)
        _latent_dim(latent_dim)
        _activation(activation)
        _affordable((math.prod(feature_shapes(shape, counts)[-1]), *hidden, 2 * latent_dim))
        _affordable((9 * shape[0], *(width for count in counts for width in [count] * (1 + 18 * blocks))))
        super().__init__(
            ConvEncoder(shape, counts, blocks, hidden, 2 * latent_dim, activation),
            ConvDecoder(latent_dim, counts, blocks, hidden, shape, activation),
            latent_dim=latent_dim,
            image_shape=shape,
            likelihood_type=likelihood_type,
            beta=beta,
            sigma=sigma,
        )


def draw(q: Independent, generator: torch.Generator | None = None) -> Tensor:
    """A reparameterised draw from a diagonal normal: mean + std * eps, eps from `generator` (on its own device)."""
    mean, std = q.base_dist.loc, q.base_dist.scale
    device = mean.device if generator is None else generator.device
    eps = torch.randn(mean.shape, generator=generator, device=device, dtype=mean.dtype)
    return mean + std * eps.to(mean.device)


def _full_precision(outputs: Tensor) -> Tensor:
    """Half-precision network outputs (autocast) as float32: the densities need the digits."""
    return outputs.float() if outputs.dtype in (torch.float16, torch.bfloat16) else outputs


def _build(cls: type[VAE], class_name: str, arguments: dict[str, Any], where: str) -> Any:
    """The model that a config describes, if it is a `cls` and its arguments are good ones."""
    known = {kind.__name__: kind for kind in _subclasses(VAE)}
    if class_name not in known:
        raise hub.ConfigError(f"{where} holds a {class_name!r}; known classes are {', '.join(sorted(known))}")
    kind = known[class_name]
    if not issubclass(kind, cls):
        raise hub.ConfigError(f"{where} holds a {class_name}, not a {cls.__name__}: use hfvae.load, or {class_name}")
    try:
        with torch.device("meta"):  # no memory, no initialisation that the weights would replace, no random numbers
            return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise hub.ConfigError(f"{where}: {class_name} cannot be built from its config: {error}") from error


def _subclasses(cls: type[VAE]) -> list[type[VAE]]:
    children: list[type[VAE]] = cls.__subclasses__()
    return [kind for child in children for kind in (child, *_subclasses(child))]


def _load_strictly(vae: VAE, weights: dict[str, Tensor], where: str) -> None:
    """Give a model on the meta device its weights, in the model's own dtypes."""
    dtypes = {name: value.dtype for name, value in vae.state_dict().items()}
    cast = {name: value.to(dtypes.get(name, value.dtype)) for name, value in weights.items()}
    try:
        vae.load_state_dict(cast, strict=True, assign=True)
    except RuntimeError as error:
        raise hub.WeightsError(f"{where}: the weights do not fit the config: {error}") from error


def _require_same(vae: VAE, folder: Path) -> None:
    """Refuse a folder that holds another model than this one."""
    theirs = type(vae).from_pretrained(folder)
    ours = vae.state_dict()
    if theirs.config != vae.config or not all(torch.equal(ours[k].cpu(), v) for k, v in theirs.state_dict().items()):
        raise hub.WeightsError(f"{folder} holds another model than this one: save it there and evaluate it first")


# What constructors accept. Only plain Python values pass, so that config.json never loses one.


def _integer(name: str, value: Any, most: int, least: int = 1) -> int:
    if type(value) is not int:
        raise TypeError(f"{name} must be an int, got {value!r} ({type(value).__name__})")
    if not least <= value <= most:
        raise ValueError(f"{name} must be between {least} and {most}, got {value}")
    return value


def _widths(name: str, values: Any) -> tuple[int, ...]:
    if not isinstance(values, list | tuple):
        raise TypeError(f"{name} must be a list of ints, got {values!r} ({type(values).__name__})")
    if len(values) > MAX_DEPTH:
        raise ValueError(f"{name} may have at most {MAX_DEPTH} entries, got {len(values)}")
    return tuple(_integer(f"{name}[{i}]", value, MAX_WIDTH) for i, value in enumerate(values))


def _image_shape(value: Any) -> Shape:
    shape = _widths("image_shape", value)
    if len(shape) != 3:
        raise ValueError(f"image_shape must be (channels, height, width), got {value!r}")
    return shape


def _latent_dim(value: Any) -> None:
    _integer("latent_dim", value, MAX_WIDTH)


def _positive(name: str, value: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"{name} must be a number, got {value!r} ({type(value).__name__})")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return float(value)


def _activation(value: Any) -> None:
    if not isinstance(value, str) or value not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {value!r}")


def _affordable(widths: Sequence[int]) -> None:
    """Refuse layers that together would hold more than MAX_WEIGHTS weights, before any is allocated."""
    weights = sum(a * b for a, b in pairwise(widths))
    if weights > MAX_WEIGHTS:
        raise ValueError(
            f"these sizes make {weights:,} weights in one direction, more than {MAX_WEIGHTS:,}: "
            "use fewer or narrower layers, or smaller images"
        )
