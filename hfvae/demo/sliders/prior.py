"""Draws from a model's prior, for the pages of models whose prior is not N(0, I)."""

from __future__ import annotations

from typing import Any

import torch

from ...inference import evaluating, sample_prior
from .. import serialization
from ..registry import ModelRegistry

MAX_DRAWS = 100
MAX_SEED = 2**53 - 1
"""The largest integer that JavaScript holds exactly."""


def draws(registry: ModelRegistry, request: dict[str, Any]) -> dict[str, Any]:
    """{model, count, temperature, seed} -> {z: latent points, images}: the same seed gives the same base noise."""
    model = registry.find(request.get("model"))
    count = serialization.parse_int(request.get("count"), "count", 1, MAX_DRAWS)
    temperature = serialization.parse_number(request.get("temperature"), "temperature", 0, 10)
    seed = serialization.parse_int(request.get("seed"), "seed", 0, MAX_SEED)
    with registry.limiter, evaluating(model.vae):
        z = sample_prior(model.vae, count, temperature, torch.Generator().manual_seed(seed))
        return {"z": z.float().tolist(), "images": serialization.pack_images(model.vae.decode_image(z))}
