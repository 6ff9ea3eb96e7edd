"""What a trained VAE is for: generate, reconstruct, encode, interpolate.

Images are grey, in [0, 1], also for models trained on standardised pixels. Every function leaves the model's train/eval
state, its device and torch's global random state as it found them, and returns CPU tensors. Randomness comes from
`generator`; without one, from a fresh one seeded by the system.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, overload

import torch
from torch import Tensor
from torch.distributions import Distribution

from .models import VAE
from .sampling import rsample


@contextmanager
def evaluating(vae: VAE) -> Iterator[None]:
    """The model in eval mode and without gradients; afterwards each module's mode is what it was."""
    modes = [(module, module.training) for module in vae.modules()]
    vae.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def generate(
    vae: VAE,
    num_samples: int = 25,
    *,
    z: Tensor | None = None,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Decode draws from the model's prior, or given latents.

    Args:
        vae: the model.
        num_samples: how many to draw; ignored where `z` is given.
        z: latents (N, latent_dim) to decode instead of drawing.
        temperature: factor of the prior's base noise, >= 0 (N(0, I) becomes N(0, temperature^2 I)); below 1 the images
            are more typical and less varied.
        generator: source of the draw.

    Returns:
        (N, *image_shape), float, in [0, 1], on the CPU: lambda for the (continuous) Bernoulli, else the location.

    Raises:
        TypeError, ValueError: latents of the wrong dtype or shape, or a number or temperature out of range.
    """
    with evaluating(vae):
        z = sample_prior(vae, num_samples, temperature, generator) if z is None else z.to(vae.device)
        return vae.decode_image(z).cpu()


def sample_prior(
    vae: VAE, num_samples: int, temperature: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """Draws from the model's prior, (num_samples, latent_dim), on its device; arguments as for `generate`."""
    if type(num_samples) is not int or num_samples < 1:
        raise ValueError(f"num_samples must be a positive int, got {num_samples!r}")
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature must be >= 0 and finite, got {temperature}")
    return rsample(vae.prior, (num_samples,), generator or fresh_generator(), temperature)


def encode_images(vae: VAE, images: Tensor) -> Distribution:
    """q(z|x) of images (N, *image_shape) in [0, 1], on any device, of any float dtype; on the model's device."""
    return vae.encode(vae.training_data.pixels.normalize(images.to(vae.device)))


def reconstruct(vae: VAE, x: Tensor, sample_mode: bool = False, generator: torch.Generator | None = None) -> Tensor:
    """Encode images and decode them again.

    Args:
        vae: the model.
        x: images (N, *image_shape), in [0, 1].
        sample_mode: decode a draw from q(z|x) instead of the image's code, which is the mean of q(z|x).
        generator: source of that draw.

    Returns:
        Of x's shape, in [0, 1], on the CPU.
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
    """The posteriors q(z|x) of a whole data loader.

    Args:
        vae: the model.
        loader: yields (images, targets), as `MNISTDataModule`'s loaders do, treated as the model was trained.
        return_targets: return the targets too.

    Returns:
        z_mu (N, latent_dim), z_sigma and, if asked for, targets (N,), on the CPU. z_sigma holds the standard deviations
        (N, latent_dim) of a diagonal posterior, or the Cholesky factors (N, latent_dim, latent_dim) of the covariances
        of a Gaussian that is not diagonal.

    Raises:
        ValueError: a loader that yields nothing, or a posterior that has neither.
    """
    parts: list[tuple[Tensor, ...]] = []
    with evaluating(vae):
        for x, y in loader:
            q = vae.encode(x.to(vae.device))
            parts.append((vae.posterior.code(q).cpu(), vae.posterior.scale(q).cpu(), y.cpu()))
    if not parts:
        raise ValueError("the loader yields no batch: there is nothing to encode")
    z_mu, z_sigma, y = (torch.cat(column) for column in zip(*parts, strict=True))
    return (z_mu, z_sigma, y) if return_targets else (z_mu, z_sigma)


def interpolate(vae: VAE, x_a: Tensor, x_b: Tensor, steps: int = 10, spherical: bool = False) -> Tensor:
    """Images on the path between two images' codes.

    Args:
        vae: the model.
        x_a, x_b: an image each, image_shape or (1, *image_shape), in [0, 1].
        steps: number of images, at least 2; the first and last are the reconstructions of x_a and x_b.
        spherical: move along the great circle instead of the straight line (Shoemake 1985; White 2016,
            https://arxiv.org/abs/1609.04468); codes of opposite direction have no such path and fall on the line.

    Returns:
        (steps, *image_shape) in [0, 1], on the CPU.
    """
    if type(steps) is not int or steps < 2:
        raise ValueError(f"steps must be an int of at least 2, got {steps!r}")
    with evaluating(vae):
        ends = torch.stack([x.reshape(vae.image_shape) if x.shape == (1, *vae.image_shape) else x for x in (x_a, x_b)])
        z_a, z_b = vae.posterior.code(encode_images(vae, ends))
        t = torch.linspace(0, 1, steps, device=z_a.device, dtype=z_a.dtype).unsqueeze(1)
        z = slerp(z_a, z_b, t) if spherical else torch.lerp(z_a, z_b, t)
        return vae.decode_image(z).cpu()


def slerp(z_a: Tensor, z_b: Tensor, t: Tensor) -> Tensor:
    """Spherical interpolation of two codes (L,) at t (T, 1): (T, L). The norm goes linearly from one to the other."""
    norm_a, norm_b = z_a.norm(), z_b.norm()
    cosine = (z_a @ z_b / (norm_a * norm_b)).clamp(-1, 1)
    angle = torch.acos(cosine)
    if not torch.sin(angle) > 1e-4:  # parallel, opposite, or a code at the origin: the circle is not defined
        return torch.lerp(z_a, z_b, t)
    direction = (torch.sin((1 - t) * angle) * z_a / norm_a + torch.sin(t * angle) * z_b / norm_b) / torch.sin(angle)
    return direction * torch.lerp(norm_a, norm_b, t)


def fresh_generator() -> torch.Generator:
    """A generator seeded by the system, so that the global one stays untouched."""
    generator = torch.Generator()
    generator.seed()
    return generator
