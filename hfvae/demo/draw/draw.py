"""A drawing as the model sees it, its reconstruction, and how certain the model is of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ... import sketch
from ...inference import encode_images, evaluating, fresh_generator, generate
from ...sampling import rsample
from .. import serialization
from ..registry import PAD_SIDE, LoadedModel, ModelRegistry

DRAWS = 10
"""Posterior draws shown at once."""


def reconstruct(registry: ModelRegistry, request: dict[str, Any]) -> dict[str, Any]:
    """{model, ink: base64 of PAD_SIDE squared bytes} -> {seen, reconstruction, z, percentile, votes} or {empty: true}.

    `percentile` (of the test set's ELBOs) and `votes` (of the nearest test images) are null if the model has no codes.
    """
    model, x = _drawing(registry, request)
    if x is None:
        return {"empty": True}
    vae = model.vae
    with registry.limiter, evaluating(vae):
        q = encode_images(vae, x.to(vae.dtype))
        z = vae.posterior.code(q)
        image = vae.decode_image(z)
        pixels = vae.likelihood.preprocess(x, _fixed_noise(), vae.training_data.pixels)
        elbo = float(vae.elbo(pixels.to(vae.device, vae.dtype), q=q, generator=_fixed_noise()).elbo)
    z = z[0].float().cpu()
    return {
        "seen": serialization.pack_images(x),
        "reconstruction": serialization.pack_images(image),
        "z": z.tolist(),
        "percentile": model.percentile(elbo),
        "votes": model.votes(z),
    }


def posterior(registry: ModelRegistry, request: dict[str, Any]) -> dict[str, Any]:
    """{model, ink} -> {images}: decoded draws from q(z|x), or {empty: true}."""
    model, x = _drawing(registry, request)
    if x is None:
        return {"empty": True}
    vae = model.vae
    with registry.limiter, evaluating(vae):
        q = encode_images(vae, x.to(vae.dtype))
        z = rsample(q, (DRAWS,), fresh_generator())[:, 0]
        return {"images": serialization.pack_images(vae.decode_image(z))}


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
        images = serialization.pack(torch.from_numpy(stored[chosen.numpy()]))
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


def _fixed_noise() -> Generator:
    """The same noise for every drawing, so that equal drawings have equal percentiles."""
    return Generator().manual_seed(0)


def _random_index(labels: Tensor, label: Tensor) -> Tensor:
    places = (labels == label).nonzero().flatten()
    return places[torch.randint(len(places), (), generator=fresh_generator())]


def _stored_images(model: LoadedModel) -> np.ndarray | None:
    """The test images (N, 28, 28) uint8 in order of the model's codes, from their IDX file; None if it is not here."""
    dataset = model.vae.training_data.dataset
    count = 0 if model.latents is None else len(model.latents.labels)
    if dataset.test_file is None or count != dataset.test_size:
        return None
    path = Path(os.environ.get("HFVAE_DATA_DIR") or "data") / dataset.test_file
    if not path.is_file() or path.stat().st_size != 16 + count * 784:
        return None
    images = np.memmap(path, np.uint8, "r", offset=16, shape=(count, 28, 28))
    return images.swapaxes(1, 2) if dataset.transposed else images
