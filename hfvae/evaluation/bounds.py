"""How likely a model finds images: ELBO, rate and distortion, importance-weighted NLL, and the reconstruction error.

All are in nats per image and never scaled by beta. Bernoulli figures (discrete pixels) and continuous ones (densities)
cannot be compared with each other. Draws depend on the seed and on the images' order alone, never on the loader's
batches.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Generator, Tensor
from tqdm.auto import tqdm

from ..inference import evaluating, read_loader
from ..models import VAE, ELBOTerms
from ..probability.sampling import has_closed_form_kl, rsample, seeded_generator

Loader = Iterable[Any]
GROUP = 64
"""Images that share one generator of latent draws."""
_DECODES_AT_ONCE = {"cpu": 512, "cuda": 8192, "mps": 8192}  # a CPU is faster with what fits its cache


def rate_is_exact(vae: VAE, x: Tensor) -> bool:
    """Whether KL(q(z|x) || p(z)) has a closed form for this model; x: any of its images, (B, *image_shape)."""
    with evaluating(vae):
        return has_closed_form_kl(vae.encode(x.to(vae.device)), vae.prior)


def image_bounds(vae: VAE, loader: Loader, seed: int = 0) -> ELBOTerms:
    """ELBO, rate and distortion of each image of a loader, (N,) float64 on the CPU, with one draw of z an image.

    Raises:
        ValueError: the loader yields no batch.
    """
    bounds = []
    with evaluating(vae):
        for number, x in enumerate(image_groups(vae, loader)):
            bounds.append(vae.elbo(x, generator=seeded_generator(seed, number)))
    return ELBOTerms(*(torch.cat(column).double().cpu() for column in zip(*bounds, strict=True)))


def image_groups(vae: VAE, loader: Loader) -> Iterator[Tensor]:
    """The images of a loader in groups of `GROUP` on the model's device, whatever the loader's batches; the last group
    may be smaller.

    Raises:
        ValueError: the loader yields no batch.
    """
    rest = None
    for x, _ in read_loader(vae, loader):
        *whole, rest = (x if rest is None else torch.cat([rest, x])).split(GROUP)
        if len(rest) == GROUP:
            whole, rest = [*whole, rest], rest[:0]
        yield from whole
    if rest is None:
        raise ValueError("the loader yields no batch: there is nothing to evaluate")
    if len(rest):
        yield rest


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


def image_nll(vae: VAE, loader: Loader, num_samples: int = 1000, seed: int = 0) -> Tensor:
    """The importance-weighted NLL of each image of a loader, (N,) float64 on the CPU; see `importance_weighted_nll`."""
    parts = [
        importance_weighted_nll(vae, x, num_samples, seeded_generator(seed, number)).cpu()
        for number, x in enumerate(tqdm(image_groups(vae, loader), desc=f"groups of {GROUP}, {num_samples} samples"))
    ]
    return torch.cat(parts)


def reconstruction_errors(vae: VAE, loader: Loader) -> Tensor:
    """Mean squared difference a pixel, in grey levels of [0, 1], between each image and the decoded image of its code.

    Returns:
        (N,) float64 on the CPU.
    """
    pixels = vae.training_data.pixels
    errors = []
    with evaluating(vae):
        for x, _ in read_loader(vae, loader):
            shown = vae.decode_image(vae.posterior.code(vae.encode(x)))
            errors.append((shown - pixels.denormalize(x)).double().square().flatten(1).mean(1).cpu())
    return torch.cat(errors)
