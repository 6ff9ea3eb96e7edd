"""Draws from a model's prior: any, those of one class, and paths through the prior's base space."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from ...inference import evaluating, sample_prior
from ...probability.sampling import from_noise, standard_normal, to_noise
from .. import serialization
from ..registry import LoadedModel, ModelRegistry

MAX_DRAWS = 100
MAX_SEED = 2**53 - 1
"""The largest integer that JavaScript holds exactly."""
CANDIDATES = 400
"""Draws among which those of one class are looked for."""
SURE = 0.9
"""The share of votes that makes a draw one of a class, where enough draws have it."""
MAX_STEPS = 64


def draws(registry: ModelRegistry, request: dict[str, Any]) -> dict[str, Any]:
    """{model, count, temperature, seed, standard} -> {z: latent points, images}: a seed gives the same base noise.

    `standard` draws from N(0, I) instead of the model's prior.
    """
    model = registry.find(request.get("model"))
    count = serialization.parse_int(request.get("count"), "count", 1, MAX_DRAWS)
    standard = serialization.parse_bool(request.get("standard", False), "standard")
    with registry.limiter, evaluating(model.vae):
        return _answer(model, _points(model, request, count, standard))


def class_draws(registry: ModelRegistry, request: dict[str, Any]) -> dict[str, Any]:
    """{model, label, count, temperature, seed} -> {z, images}: draws from the prior that are of one class.

    They are those of CANDIDATES draws that the nearest test images (or the classifier of the data set) give to the
    class most surely. Fewer than `count`, or none, where too few are of it.
    """
    model = registry.find(request.get("model"))
    if model.latents is None:
        raise ValueError(f"{model.name} comes without the codes of test images, so draws have no class")
    label = serialization.parse_int(request.get("label"), "label", 0, len(model.class_names) - 1)
    count = serialization.parse_int(request.get("count"), "count", 1, MAX_DRAWS)
    with registry.limiter, evaluating(model.vae):
        z = _points(model, request, CANDIDATES, False)
        shares = model.votes(z.float().cpu())
        assert shares is not None
        mine = (shares.argmax(1) == label).nonzero().flatten()
        sure = mine[shares[mine, label] >= SURE]
        chosen = sure if len(sure) >= count else mine[shares[mine, label].argsort(descending=True)]
        return _answer(model, z[chosen[:count]])


def base_path(registry: ModelRegistry, request: dict[str, Any]) -> dict[str, Any]:
    """{model, a, b: latent points, steps} -> {z}: the straight line between them in the space of the prior's noise."""
    model = registry.find(request.get("model"))
    a, b = (serialization.parse_latent(request.get(end), end, model.vae.latent_dim) for end in ("a", "b"))
    steps = serialization.parse_int(request.get("steps"), "steps", 2, MAX_STEPS)
    with registry.limiter, evaluating(model.vae):
        prior = model.vae.prior
        ends = torch.stack([a, b]).to(model.vae.device, model.vae.density_dtype)
        noise = to_noise(prior, ends)
        t = torch.linspace(0, 1, steps).to(noise).unsqueeze(1)
        path = from_noise(prior, torch.lerp(noise[0], noise[1], t)).float()
    if not path.isfinite().all():
        raise ValueError("a and b must be points that the prior can bend: these lead out of float32's range")
    return {"z": path.tolist()}


def _points(model: LoadedModel, request: dict[str, Any], count: int, standard: bool) -> Tensor:
    """Draws (count, latent_dim) by the request's temperature and seed."""
    temperature = serialization.parse_number(request.get("temperature"), "temperature", 0, 10)
    seed = serialization.parse_int(request.get("seed"), "seed", 0, MAX_SEED)
    generator = Generator().manual_seed(seed)
    if not standard:
        return sample_prior(model.vae, count, temperature, generator)
    like = torch.zeros((), device=model.vae.device, dtype=model.vae.density_dtype)
    return temperature * standard_normal((count, model.vae.latent_dim), like, generator)


def _answer(model: LoadedModel, z: Tensor) -> dict[str, Any]:
    images = model.vae.decode_image(z) if len(z) else z.new_zeros(0, 1, 28, 28)
    return {"z": z.float().tolist(), "images": serialization.pack_images(images)}
