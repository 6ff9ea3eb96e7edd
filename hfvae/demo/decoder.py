"""Where decoding runs: in Python for every model, and in the page itself where the decoder is a stack of dense layers.

Python is the source of truth; the page's copy (assets/decoder.js) agrees to 1e-3, so that moving a
slider or a hand over the map costs the server nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..inference import generate
from ..models import VAE, DenseVAE
from . import wire

if TYPE_CHECKING:
    from .session import Session

MOST = 400
"""Latent points decoded in one call: a map's backdrop of 20 by 20."""
BROWSER_ACTIVATIONS = {"relu", "leaky_relu", "elu", "silu", "tanh"}
BROWSER_WEIGHTS = 4_000_000


def fits_a_browser(vae: VAE) -> bool:
    """Whether assets/decoder.js can do what this decoder does."""
    if not isinstance(vae, DenseVAE) or vae.config["activation"] not in BROWSER_ACTIVATIONS:
        return False
    return sum(weight.numel() for weight in vae.decoder.parameters()) <= BROWSER_WEIGHTS


def decode(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """{model, z: a list of latent points} -> {images: base64 of 784 bytes a point}."""
    exhibit = session.exhibit(request.get("model"))
    z = wire.latents(request.get("z"), "z", exhibit.vae.latent_dim, MOST)
    with session.gate:
        return {"images": wire.pack_images(generate(exhibit.vae, z=z.to(exhibit.vae.dtype)))}


def weights(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """{model} -> {widths, weights, precision, activation, squash}: a dense decoder for the page.

    `weights` is base64 of each layer's matrix (outputs, inputs), row by row, and its bias (outputs,); in float16, half
    the bytes, where that loses nothing, as with weights that were stored so.
    """
    exhibit = session.exhibit(request.get("model"))
    if not fits_a_browser(exhibit.vae):
        raise ValueError(f"the decoder of {exhibit.name} must be run in Python")
    layers = [module for module in exhibit.vae.decoder.modules() if isinstance(module, nn.Linear)]
    numbers = torch.cat([part.detach().float().flatten() for layer in layers for part in (layer.weight, layer.bias)])
    exact = torch.equal(numbers.half().float(), numbers)
    return {
        "widths": [layers[0].in_features, *(layer.out_features for layer in layers)],
        "weights": wire.pack(numbers.half() if exact else numbers),
        "precision": "float16" if exact else "float32",
        "activation": exhibit.vae.config["activation"],
        "squash": "sigmoid" if exhibit.vae.likelihood.unit_interval else "clamp",
    }
