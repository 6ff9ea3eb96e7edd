"""A path through latent space as an animated GIF."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image

from ...inference import generate
from .. import serialization
from ..registry import ModelRegistry

MAX_STEPS = 64
SCALE = 8
"""Screen pixels for each pixel of an image."""
MILLISECONDS = 60
"""Duration of each image; GIF counts in hundredths of a second."""


def animation(registry: ModelRegistry, request: dict[str, Any]) -> dict[str, Any]:
    """{model, z: a list of latent points} -> {gif: base64}: through them and back, in an endless loop."""
    model = registry.find(request.get("model"))
    z = serialization.parse_latents(request.get("z"), "z", model.vae.latent_dim, MAX_STEPS)
    with registry.limiter:
        images = generate(model.vae, z=z.to(model.vae.dtype))
    grey = serialization.grey_levels(images[:, 0])
    large = grey.repeat_interleave(SCALE, 1).repeat_interleave(SCALE, 2).numpy()
    first, *others = [Image.fromarray(frame) for frame in (*large, *large[-2:0:-1])]
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, duration=MILLISECONDS, loop=0)
    return {"gif": base64.b64encode(file.getvalue()).decode()}
