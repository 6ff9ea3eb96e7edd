"""The path from one latent point to another as an animated GIF."""

from __future__ import annotations

import base64
import io
from typing import Any

import torch
from PIL import Image

from ...inference import generate, slerp
from .. import serialization
from ..registry import ModelRegistry

STEPS = 24
"""Images from A to B; the animation then goes back."""
SCALE = 8
"""Screen pixels for each pixel of an image."""
MILLISECONDS = 60
"""Duration of each image; GIF counts in hundredths of a second."""


def animation(registry: ModelRegistry, request: dict[str, Any]) -> dict[str, Any]:
    """{model, a, b: latent points, spherical: bool} -> {gif: base64}: from A to B and back, in an endless loop."""
    model = registry.find(request.get("model"))
    a, b = (serialization.parse_latent(request.get(end), end, model.vae.latent_dim) for end in ("a", "b"))
    t = torch.linspace(0, 1, STEPS).unsqueeze(1)
    spherical = serialization.parse_bool(request.get("spherical"), "spherical")
    z = slerp(a, b, t) if spherical else torch.lerp(a, b, t)
    with registry.limiter:
        images = generate(model.vae, z=z.to(model.vae.dtype))
    grey = serialization.grey_levels(images[:, 0])
    large = grey.repeat_interleave(SCALE, 1).repeat_interleave(SCALE, 2).numpy()
    first, *others = [Image.fromarray(frame) for frame in (*large, *large[-2:0:-1])]
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, duration=MILLISECONDS, loop=0)
    return {"gif": base64.b64encode(file.getvalue()).decode()}
