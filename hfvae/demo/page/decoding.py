"""Decoding in Python, for decoders that the page cannot run; the page's own decoders must agree with it to 1e-3."""

from __future__ import annotations

from typing import Any

from ...inference import generate
from .. import serialization
from ..registry import ModelRegistry

MAX_POINTS = 400
"""Latent points decoded in one call: a map's backdrop of 20 by 20."""


def decode(registry: ModelRegistry, request: dict[str, Any]) -> dict[str, Any]:
    """{model, z: a list of latent points} -> {images: base64 of 784 bytes a point}."""
    model = registry.find(request.get("model"))
    z = serialization.parse_latents(request.get("z"), "z", model.vae.latent_dim, MAX_POINTS)
    with registry.limiter:
        return {"images": serialization.pack_images(generate(model.vae, z=z.to(model.vae.dtype)))}
