"""Generate, reconstruct, encode and interpolate with a trained VAE.

Images are in [0, 1], also for models trained on standardised pixels; inputs may be PIL images, NumPy arrays or tensors,
one or a batch (see `hfvae.images.as_images`). Results are CPU tensors. No function changes the model's train/eval mode,
its device or torch's global random state: randomness comes from `generator`, by default a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from .datasets import GREY_LEVELS
from .images import arranged, as_images, split_batch
from .models import VAE
from .probability.sampling import rsample


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in eval mode without gradients; restore each module's mode afterwards."""
    training = [module for module in model.modules() if module.training]
    try:
        if training:  # eval() takes a tenth of a reconstruction's time
            model.eval()
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def generate(
    vae: VAE,
    num_samples: int = 25,
    *,
    z: Tensor | None = None,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Decode samples from the model's prior, or given latents.

    Args:
        vae: the model.
        num_samples: number of samples; ignored if `z` is given.
        z: latents (N, latent_dim) to decode instead of samples.
        temperature: factor of the prior's base noise, >= 0 (N(0, I) becomes N(0, temperature^2 I)); below 1 the images
            are more typical and less varied.
        generator: source of the samples.

    Returns:
        (N, *image_shape), float, in [0, 1], on the CPU: lambda for the (continuous) Bernoulli, otherwise the location.

    Raises:
        TypeError, ValueError: latents of a wrong dtype or shape, or a number or temperature out of range.
    """
    with evaluating(vae):
        z = sample_prior(vae, num_samples, temperature, generator) if z is None else z.to(vae.device)
        return vae.decode_image(z).cpu()


def sample_prior(
    vae: VAE, num_samples: int, temperature: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """Samples from the model's prior, (num_samples, latent_dim), on its device; arguments as in `generate`."""
    if type(num_samples) is not int or num_samples < 1:
        raise ValueError(f"num_samples must be a positive int, got {num_samples!r}")
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature must be >= 0 and finite, got {temperature}")
    return rsample(vae.prior, (num_samples,), generator or fresh_generator(), temperature)


def encode_images(vae: VAE, images: Any, name: str = "x") -> Distribution:
    """q(z|x), on the model's device, of images as in `hfvae.images.as_images`, from any device."""
    x = as_images(images, vae.image_shape, name).to(vae.device, vae.density_dtype)
    return vae.encode(vae.training_data.pixels.normalize(x))


def reconstruct(vae: VAE, x: Any, sample_mode: bool = False, generator: torch.Generator | None = None) -> Tensor:
    """Encode and decode images.

    Args:
        vae: the model.
        x: one image or a batch of N, in [0, 1] or uint8.
        sample_mode: decode a sample of q(z|x) instead of its mean.
        generator: source of that sample.

    Returns:
        (N, *image_shape) in [0, 1], on the CPU; N is 1 for one image.

    Raises:
        TypeError, ValueError: images of another kind or size, or pixels out of range.
    """
    with evaluating(vae):
        q = encode_images(vae, x)
        z = rsample(q, (), generator or fresh_generator()) if sample_mode else vae.posterior.code(q)
        return vae.decode_image(z).cpu()


@overload
def encode_loader(vae: VAE, loader: Iterable[Any], return_targets: Literal[False] = False) -> tuple[Tensor, Tensor]: ...
@overload
def encode_loader(vae: VAE, loader: Iterable[Any], return_targets: Literal[True]) -> tuple[Tensor, Tensor, Tensor]: ...
def encode_loader(vae: VAE, loader: Iterable[Any], return_targets: bool = False) -> tuple[Tensor, ...]:
    """Posteriors q(z|x) of all images of a data loader.

    Args:
        vae: the model.
        loader: yields batches of images, or of images and targets, as in `read_batch`.
        return_targets: also return the targets.

    Returns:
        z_mu (N, latent_dim), z_sigma and, if requested, targets (N,), on the CPU. z_sigma has the standard deviations
        (N, latent_dim) of a diagonal posterior, or the Cholesky factors (N, latent_dim, latent_dim) of the covariances
        of a Gaussian that is not diagonal.

    Raises:
        ValueError: the loader yields nothing, or no targets when they are required, or the posterior has no scale.
    """
    parts: list[tuple[Tensor, ...]] = []
    with evaluating(vae):
        for x, y in read_loader(vae, loader):
            q = vae.encode(x)
            targets = (require_targets(y),) if return_targets else ()
            parts.append((vae.posterior.code(q).cpu(), vae.posterior.scale(q).cpu(), *targets))
    if not parts:
        raise ValueError("the loader yields no batches")
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def read_batch(vae: VAE, batch: Any, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor | None]:
    """Images of a loader's batch, preprocessed as the model expects, and the targets.

    Args:
        vae: the model.
        batch: images, (images, targets), or a dict with ``image`` or ``pixel_values``, and ``label``. Images are a
            tensor, channels first or last, or without channels: floats, which are not changed, or uint8 grey levels,
            which get the model's preprocessing (dequantisation or random binarisation).
        generator: source of its noise; None uses torch's global generator.

    Returns:
        Images (N, *image_shape) and targets (N,), or None if the batch has none, on the batch's device.

    Raises:
        TypeError, ValueError: another kind of batch, or images of another shape.
    """
    images, targets = split_batch(batch)
    if not isinstance(images, Tensor):
        raise TypeError(f"a batch's images must be a tensor, got {type(images).__name__}: collate them first")
    x = arranged(images, vae.image_shape, "images")
    if x.dtype == torch.uint8:
        grey = x.cpu() / (GREY_LEVELS - 1)
        x = vae.likelihood.preprocess(grey, generator, vae.training_data.pixels).to(images.device)
    return x, None if targets is None else torch.as_tensor(targets)


def read_loader(vae: VAE, loader: Iterable[Any]) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Batches of a loader as in `read_batch`, with the same noise in each pass.

    Yields:
        Images on the model's device and in its dtype, targets on the CPU.
    """
    generator = torch.Generator().manual_seed(0)
    for batch in loader:
        x, targets = read_batch(vae, batch, generator)
        yield x.to(vae.device, vae.density_dtype), None if targets is None else targets.cpu()


def require_targets(targets: Tensor | None) -> Tensor:
    """Return `targets`, or raise if there are none.

    Raises:
        ValueError: there are none.
    """
    if targets is None:
        raise ValueError("targets are required here, and the loader yields images only")
    return targets


def interpolate(vae: VAE, x_a: Any, x_b: Any, steps: int = 10, spherical: bool = False) -> Tensor:
    """Decode a path between the codes of two images.

    Args:
        vae: the model.
        x_a, x_b: one image each, in [0, 1] or uint8.
        steps: number of images, at least 2; the first and last are reconstructions of x_a and x_b.
        spherical: follow a great circle instead of a straight line (Shoemake 1985; White 2016,
            https://arxiv.org/abs/1609.04468); opposite codes have no such path and use the line.

    Returns:
        (steps, *image_shape) in [0, 1], on the CPU.

    Raises:
        TypeError, ValueError: not one image each, another size, or fewer than 2 steps.
    """
    if type(steps) is not int or steps < 2:
        raise ValueError(f"steps must be an int of at least 2, got {steps!r}")
    with evaluating(vae):
        ends = [as_images(x, vae.image_shape, name).cpu() for x, name in ((x_a, "x_a"), (x_b, "x_b"))]
        if [len(end) for end in ends] != [1, 1]:
            raise ValueError(f"x_a and x_b must be one image each, got {len(ends[0])} and {len(ends[1])}")
        z_a, z_b = vae.posterior.code(encode_images(vae, torch.cat(ends)))
        t = torch.linspace(0, 1, steps, device=z_a.device, dtype=z_a.dtype).unsqueeze(1)
        z = slerp(z_a, z_b, t) if spherical else torch.lerp(z_a, z_b, t)
        return vae.decode_image(z).cpu()


def slerp(z_a: Tensor, z_b: Tensor, t: Tensor) -> Tensor:
    """Spherical interpolation of two codes (L,) at t (T, 1): (T, L). The norm is interpolated linearly."""
    norm_a, norm_b = z_a.norm(), z_b.norm()
    cosine = (z_a @ z_b / (norm_a * norm_b)).clamp(-1, 1)
    angle = torch.acos(cosine)
    if not torch.sin(angle) > 1e-4:  # parallel, opposite or zero: no circle
        return torch.lerp(z_a, z_b, t)
    direction = (torch.sin((1 - t) * angle) * z_a / norm_a + torch.sin(t * angle) * z_b / norm_b) / torch.sin(angle)
    return direction * torch.lerp(norm_a, norm_b, t)


def fresh_generator() -> torch.Generator:
    """A new generator seeded by the operating system."""
    generator = torch.Generator()
    generator.seed()
    return generator
