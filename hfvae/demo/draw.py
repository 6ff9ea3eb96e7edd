"""The Draw tab: a drawing as the model sees it, what comes back, and how sure the model is of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from .. import sketch
from ..inference import evaluating, fresh_generator, generate
from ..models import draw
from . import wire
from .session import PAD, Session

DRAWS = 10
"""Posterior draws shown at once."""
TEST_IMAGES = 10_000


def reconstruct(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """{model, ink: base64 of PAD x PAD bytes} -> {seen, reconstruction, z, percentile, votes}, or {empty: true}.

    `percentile` (of the test set's ELBOs) and `votes` (of the nearest test digits) are null for want of codes.
    """
    exhibit = session.exhibit(request.get("model"))
    x = _digit(request)
    if x is None:
        return {"empty": True}
    vae = exhibit.vae
    with session.gate, evaluating(vae):
        z = vae.encode(x.to(vae.device, vae.dtype)).mean
        picture = vae.picture(z)
        observed = vae.likelihood.observe(x, _noise()).to(vae.device, vae.dtype)
        elbo = float(vae.elbo(observed, generator=_noise()).elbo)
    z = z[0].float().cpu()
    return {
        "seen": wire.pack_images(x),
        "reconstruction": wire.pack_images(picture),
        "z": z.tolist(),
        "percentile": exhibit.percentile(elbo),
        "votes": exhibit.votes(z),
    }


def posterior(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """{model, ink} -> {images}: decoded draws from q(z|x), or {empty: true}."""
    exhibit = session.exhibit(request.get("model"))
    x = _digit(request)
    if x is None:
        return {"empty": True}
    vae = exhibit.vae
    with session.gate, evaluating(vae):
        q = vae.encode(x.to(vae.device, vae.dtype))
        z = draw(q.expand((DRAWS,)), fresh_generator())
        return {"images": wire.pack_images(vae.picture(z))}


def digits(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """{model} -> {images, real}: a test digit of each class.

    They are MNIST's own where the data set is on this machine ($HFVAE_DATA_DIR, else data). Elsewhere (`real` is false)
    they are decoded from the test set's codes.
    """
    exhibit = session.exhibit(request.get("model"))
    if exhibit.latents is None:
        raise ValueError(f"{exhibit.name} comes without the codes of test digits, so none can be shown")
    labels = exhibit.latents.labels
    chosen = torch.stack([_any_of(labels, digit) for digit in labels.unique()])
    images = _test_images() if len(labels) == TEST_IMAGES else None
    if images is not None:
        return {"images": wire.pack(torch.from_numpy(images[chosen.numpy()])), "real": True}
    with session.gate:
        decoded = generate(exhibit.vae, z=exhibit.latents.mean[chosen].to(exhibit.vae.dtype))
    return {"images": wire.pack_images(decoded), "real": False}


def _digit(request: dict[str, Any]) -> Tensor | None:
    """The drawing as a batch of one digit (1, 1, 28, 28)."""
    digit = sketch.to_digit(wire.drawing(request.get("ink"), "ink", PAD), light_ground=False)
    return None if digit is None else digit.view(1, 1, 28, 28)


def _noise() -> Generator:
    """The same noise for every drawing, so that a verdict does not flicker."""
    return Generator().manual_seed(0)


def _any_of(labels: Tensor, digit: Tensor) -> Tensor:
    places = (labels == digit).nonzero().flatten()
    return places[torch.randint(len(places), (), generator=fresh_generator())]


def _test_images() -> np.ndarray | None:
    """MNIST's test images (10000, 28, 28) uint8 from its IDX file, or None where there is none."""
    path = Path(os.environ.get("HFVAE_DATA_DIR") or "data") / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    if not path.is_file() or path.stat().st_size != 16 + TEST_IMAGES * 784:
        return None
    return np.memmap(path, np.uint8, "r", offset=16, shape=(TEST_IMAGES, 28, 28))
