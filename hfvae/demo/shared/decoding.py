"""Where decoding runs: in Python for every model, and in the page itself where the decoder is a stack of dense layers.

Python is the source of truth; the page's copy (decoder.js) agrees to 1e-3, so that moving a slider or the pointer over
the map costs the server nothing.
"""

from __future__ import annotations

from typing import Any

import torch

from ...inference import generate
from .. import serialization
from ..browser_decoder import export_decoder
from ..registry import ModelRegistry

MAX_POINTS = 400
"""Latent points decoded in one call: a map's backdrop of 20 by 20."""


def decode(registry: ModelRegistry, request: dict[str, Any]) -> dict[str, Any]:
    """{model, z: a list of latent points} -> {images: base64 of 784 bytes a point}."""
    model = registry.find(request.get("model"))
    z = serialization.parse_latents(request.get("z"), "z", model.vae.latent_dim, MAX_POINTS)
    with registry.limiter:
        return {"images": serialization.pack_images(generate(model.vae, z=z.to(model.vae.dtype)))}


def weights(registry: ModelRegistry, request: dict[str, Any]) -> dict[str, Any]:
    """{model} -> {widths, weights, precision, activations, finish, scale, offset}: a dense decoder for the page.

    `weights` is base64 of each layer's matrix (outputs, inputs), row by row, and its bias (outputs,); in float16, half
    the bytes, where that loses nothing, as with weights that were stored so.
    """
    model = registry.find(request.get("model"))
    exported = export_decoder(model.vae)
    if exported is None:
        raise ValueError(f"the decoder of {model.name} must be run in Python")
    numbers = torch.cat([part.flatten() for layer in exported.layers for part in layer])
    exact = torch.equal(numbers.half().float(), numbers)
    return {
        "widths": exported.widths,
        "weights": serialization.pack(numbers.half() if exact else numbers),
        "precision": "float16" if exact else "float32",
        "activations": exported.activations,
        "finish": exported.finish,
        "scale": exported.scale,
        "offset": exported.offset,
    }
