"""The Sliders tab, as far as it needs Python: the way from one latent point to another as a GIF."""

from __future__ import annotations

import base64
import io
from typing import Any

import torch
from PIL import Image

from ..inference import generate, slerp
from . import wire
from .session import Session

STEPS = 24
"""Pictures from A to B; the animation then goes back."""
ENLARGED = 8
MILLISECONDS = 60
"""Each picture's time; GIF counts in hundredths of a second."""


def animation(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """{model, a, b: latent points, spherical: bool} -> {gif: base64}: from A to B and back, for ever."""
    exhibit = session.exhibit(request.get("model"))
    a, b = (wire.latent(request.get(end), end, exhibit.vae.latent_dim) for end in ("a", "b"))
    t = torch.linspace(0, 1, STEPS).unsqueeze(1)
    z = slerp(a, b, t) if wire.truth(request.get("spherical"), "spherical") else torch.lerp(a, b, t)
    with session.gate:
        images = generate(exhibit.vae, z=z.to(exhibit.vae.dtype))
    grey = (images[:, 0] * 255).round().to(torch.uint8)
    large = grey.repeat_interleave(ENLARGED, 1).repeat_interleave(ENLARGED, 2).numpy()
    first, *others = [Image.fromarray(frame) for frame in (*large, *large[-2:0:-1])]
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, duration=MILLISECONDS, loop=0)
    return {"gif": base64.b64encode(file.getvalue()).decode()}
