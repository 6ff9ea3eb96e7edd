"""The encoded test set, for the map and for its small copies."""

from __future__ import annotations

from typing import Any

import torch

from .. import serialization
from ..registry import ModelRegistry


def atlas(registry: ModelRegistry, request: dict[str, Any]) -> dict[str, Any]:
    """{model} -> the test set's codes and their principal axes, each as base64.

    codes float16 (N, L), labels uint8 (N,), centre float32 (L,), directions float32 (L, K), spread float32 (K,). A code
    z has the coordinates (z - centre) @ directions; the first two are its place on the map of principal directions.
    places float16 (N, 2): each code's place on the map of neighbours, or null if the folder has none.
    """
    model = registry.find(request.get("model"))
    if model.latents is None or model.axes is None:
        raise ValueError(f"{model.name} comes without latent codes, so it has no map")
    return {
        "codes": serialization.pack(model.latents.mean.half()),
        "labels": serialization.pack(model.latents.labels.to(torch.uint8)),
        "centre": serialization.pack(model.axes.centre),
        "directions": serialization.pack(model.axes.directions),
        "spread": serialization.pack(model.axes.spread),
        "places": None if model.latents.places is None else serialization.pack(model.latents.places.half()),
    }
