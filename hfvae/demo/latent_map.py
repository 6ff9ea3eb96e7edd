"""The Latent map tab, as far as it needs Python: the encoded test set."""

from __future__ import annotations

from typing import Any

import torch

from . import wire
from .session import Session


def atlas(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """{model} -> the test set's codes and their principal axes, each as base64.

    codes float16 (N, L), labels uint8 (N,), centre float32 (L,), directions float32 (L, K), spread float32 (K,). A code
    z has the coordinates (z - centre) @ directions; the first two are its place on the map.
    """
    exhibit = session.exhibit(request.get("model"))
    if exhibit.latents is None or exhibit.axes is None:
        raise ValueError(f"{exhibit.name} comes without latent codes, so it has no map")
    return {
        "codes": wire.pack(exhibit.latents.mean.half()),
        "labels": wire.pack(exhibit.latents.labels.to(torch.uint8)),
        "centre": wire.pack(exhibit.axes.centre),
        "directions": wire.pack(exhibit.axes.directions),
        "spread": wire.pack(exhibit.axes.spread),
    }
