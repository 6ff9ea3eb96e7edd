"""A drawing as the model sees it, its reconstruction, and how certain the model is of it."""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution

from ... import idx, sketch
from ...evaluation import NotConverged
from ...inference import encode_images, evaluating, fresh_generator, generate
from ...models import VAE
from ...probability.sampling import rsample
from .. import serialization
from ..registry import PAD_SIDE, LoadedModel, ModelRegistry

logger = logging.getLogger(__name__)

DRAWS = 10
"""Posterior draws shown at once."""
MAX_DEVIATION = 0.5
"""The largest standard deviation of numbers in [0, 1]."""
ELBO_DRAWS = 200
DENSITY_SIDE = 56
"""Points along each axis of a picture of the exact posterior."""


def reconstruct(registry: ModelRegistry, request: dict[str, Any]) -> dict[str, Any]:
    """{model, ink: base64 of PAD_SIDE squared bytes} -> what the model makes of it, or {empty: true}.

    seen, reconstruction: images; z: its code; std: the posterior's standard deviation of each latent, or null; spread:
    its Cholesky factor (2, 2) for two latents, else null; elbo, rate, distortion: nats, by the fixed noise; percentile:
    of the test set's ELBOs, and reading: the probability of each class, null where the model has no codes.
    """
    model, x = _drawing(registry, request)
    if x is None:
        return {"empty": True}
    vae = model.vae
    with registry.limiter, evaluating(vae):
        q = encode_images(vae, x.to(vae.dtype))
        z = vae.posterior.code(q)
        image = vae.decode_image(z)
        terms = vae.elbo(_pixels(vae, x), q=q, generator=_fixed_noise())
        std = vae.posterior.marginal_std(q)
        reading = model.reading(image, z[0].float().cpu())
        spread = _cholesky(vae, q) if vae.latent_dim == 2 and std is not None else None
    return {
        "seen": serialization.pack_images(x),
        "reconstruction": serialization.pack_images(image),
        "z": z[0].tolist(),
        "std": None if std is None else std[0].tolist(),
        "spread": spread,
        "elbo": float(terms.elbo),
        "rate": float(terms.rate),
        "distortion": float(terms.distortion),
        "percentile": model.percentile(float(terms.elbo)),
        "reading": reading,
    }


def posterior(registry: ModelRegistry, request: dict[str, Any]) -> dict[str, Any]:
    """{model, ink} -> {images, deviation}: decoded draws from q(z|x), and each pixel's standard deviation over them.

    `deviation` is an image in which 255 stands for MAX_DEVIATION or more. {empty: true} for an empty pad.
    """
    model, x = _drawing(registry, request)
    if x is None:
        return {"empty": True}
    vae = model.vae
    with registry.limiter, evaluating(vae):
        q = encode_images(vae, x.to(vae.dtype))
        images = vae.decode_image(rsample(q, (DRAWS,), fresh_generator())[:, 0]).float()
    deviation = (images.std(0, keepdim=True) / MAX_DEVIATION).clamp_max(1)
    return {"images": serialization.pack_images(images), "deviation": serialization.pack_images(deviation)}


def exact_posterior(registry: ModelRegistry, request: dict[str, Any]) -> dict[str, Any]:
    """{model, ink} -> the exact p(z|x) of a model with two latents, or {empty: true}.

    {density: base64 of side * side bytes, 255 at its peak, side, low: [x, y] and extent of the square that it covers in
    latent space, logLikelihood in nats, elbo: the mean of ELBO_DRAWS draws}; density[i * side + j] is at x number i and
    y number j.
    """
    model, x = _drawing(registry, request)
    if model.vae.latent_dim != 2:
        raise ValueError(f"a model must have two latents for its exact posterior; {model.name} has others")
    if x is None:
        return {"empty": True}
    vae = model.vae
    with registry.limiter, evaluating(vae):
        assert model.grid is not None
        pixels = _pixels(vae, x)
        try:
            found = model.grid.posterior(pixels, DENSITY_SIDE)
            repeated = pixels.expand(ELBO_DRAWS, -1, -1, -1)
            elbo = vae.elbo(repeated, generator=_fixed_noise()).elbo.mean()
        except NotConverged as error:
            raise ValueError(f"the exact posterior of this drawing was not found: {error}") from error
    density = (255 * found.density / found.density.max()).round().to(torch.uint8)
    return {
        "density": serialization.pack(density),
        "side": DENSITY_SIDE,
        "low": found.low.tolist(),
        "extent": found.side,
        "logLikelihood": found.log_likelihood,
        "elbo": float(elbo),
    }


def class_examples(registry: ModelRegistry, request: dict[str, Any]) -> dict[str, Any]:
    """{model} -> {images, labels, real}: a test image of each class.

    They are the data set's own where it is on this machine ($HFVAE_DATA_DIR, else data). Elsewhere (`real` is false)
    they are decoded from the test set's codes.
    """
    model = registry.find(request.get("model"))
    if model.latents is None:
        raise ValueError(f"{model.name} comes without the codes of test images, so none can be shown")
    labels = model.latents.labels
    present = labels.unique()
    chosen = torch.stack([_random_index(labels, label) for label in present])
    stored = _stored_images(model)
    if stored is not None:
        images = serialization.pack(stored[chosen])
    else:
        with registry.limiter:
            decoded = generate(model.vae, z=model.latents.mean[chosen].to(model.vae.dtype))
        images = serialization.pack_images(decoded)
    return {"images": images, "labels": present.tolist(), "real": stored is not None}


def _drawing(registry: ModelRegistry, request: dict[str, Any]) -> tuple[LoadedModel, Tensor | None]:
    """The model, and the drawing (1, 1, 28, 28) framed as that model's data set frames its images; None if empty."""
    model = registry.find(request.get("model"))
    ink = serialization.parse_drawing(request.get("ink"), "ink", PAD_SIDE)
    image = sketch.to_digit(ink, light_ground=False, box=model.vae.training_data.dataset.drawing_box)
    return model, None if image is None else image.view(1, 1, 28, 28)


def _cholesky(vae: VAE, q: Distribution) -> list[list[float]]:
    """The Cholesky factor (2, 2) of a posterior's covariance, for the first of its batch."""
    scale = vae.posterior.scale(q)[0]
    return (torch.diag(scale) if scale.ndim == 1 else scale).tolist()


def _pixels(vae: VAE, x: Tensor) -> Tensor:
    """A drawing (1, 1, 28, 28) in [0, 1] as the model's likelihood is measured on images, by the fixed noise."""
    return vae.likelihood.preprocess(x, _fixed_noise(), vae.training_data.pixels).to(vae.device, vae.dtype)


def _fixed_noise() -> Generator:
    """A generator with a fixed seed: the same drawing always gets the same percentile."""
    return Generator().manual_seed(0)


def _random_index(labels: Tensor, label: Tensor) -> Tensor:
    places = (labels == label).nonzero().flatten()
    return places[torch.randint(len(places), (), generator=fresh_generator())]


def _stored_images(model: LoadedModel) -> Tensor | None:
    """The test images (N, 28, 28) uint8 in order of the model's codes, from their IDX file; None if it is not here."""
    dataset = model.vae.training_data.dataset
    count = 0 if model.latents is None else len(model.latents.labels)
    if dataset.test_file is None or count != dataset.test_size:
        return None
    path = Path(os.environ.get("HFVAE_DATA_DIR") or "data") / dataset.test_file
    found = idx.find(path.parent, path.name)
    if found is None:
        return None
    try:
        images = _read_images(found, found.stat().st_mtime_ns)
    except ValueError as error:  # visitors see decoded images then, and no path
        logger.warning("%s", error)
        return None
    if images.shape != (count, 28, 28):
        return None
    return images.transpose(1, 2) if dataset.transposed else images


@lru_cache(maxsize=4)
def _read_images(path: Path, _changed: int) -> Tensor:
    """An IDX file's images (N, H, W) uint8, read again once the time of its last change is another one."""
    return idx.parse(idx.contents(path), 3, path)
