"""What the app does, without the app: models, their codes, and plain data in and out. No gradio here.

Every method validates what it is given, since its callers are open network endpoints, and answers with JSON values;
images travel as base64 of one byte a pixel. Nothing of a visitor's is kept: state lives in their page.
"""

from __future__ import annotations

import base64
import binascii
import logging
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .. import hub, sketch
from ..evaluation import ACTIVE_VARIANCE, main_plane
from ..inference import evaluating, generate
from ..models import VAE
from ..zoo import load, pick_device

logger = logging.getLogger(__name__)

PAD = 140
"""Side of the drawings that the pad sends, in pixels."""
SHOWN = 10
"""Sliders shown at once; the others are folded away."""


@dataclass
class Exhibit:
    """A model on show, and the test set as it sees it (if its folder holds the codes)."""

    name: str
    vae: VAE
    latents: hub.Latents | None

    @cached_property
    def activity(self) -> list[float]:
        """Var_x(E[z|x]) of each latent; without codes, all count alike."""
        if self.latents is None:
            return [1.0] * self.vae.latent_dim
        return self.latents.mean.var(0).tolist()

    @cached_property
    def span(self) -> float:
        """How far the sliders go: all the codes lie within, and so does three times the prior's deviation."""
        return 3.0 if self.latents is None else float(max(3, math.ceil(self.latents.mean.abs().max())))

    @cached_property
    def map(self) -> dict[str, str]:
        """What `Session.codes` answers, the same for every page."""
        if self.latents is None:
            raise ValueError(f"{self.name} comes without latent codes, so it has no map")
        plane = main_plane(self.latents.mean)
        return {
            "codes": _pack(self.latents.mean),
            "labels": _pack(self.latents.labels.to(torch.uint8)),
            "centre": _pack(plane.centre),
            "directions": _pack(plane.directions),
        }

    def describe(self) -> dict[str, Any]:
        ranked = list(range(self.vae.latent_dim))
        if len(ranked) > SHOWN:
            ranked.sort(key=lambda latent: -self.activity[latent])
        return {
            "name": self.name,
            "title": f"{self.name} · {self.vae.latent_dim} latents · {self.vae.likelihood_type}",
            "latentDim": self.vae.latent_dim,
            "ranking": ranked,
            "active": [value > ACTIVE_VARIANCE for value in self.activity],
            "shown": SHOWN,
            "span": self.span,
            "pad": PAD,
            "hasMap": self.latents is not None,
            "projected": self.vae.latent_dim != 2,
        }


class Session:
    """The models on show, one lock in front of them.

    Args:
        places: folders, bundled names or repo ids; each is loaded, or its problem noted.
        device: auto, cpu or cuda.

    Attributes:
        exhibits: name -> Exhibit, in the order given.
        problems: a sentence for each place that gave no model; where none did, the bundled models are shown.

    Raises:
        ValueError: a device that is not there.
        hub.HubError: no model at all.
    """

    def __init__(self, places: Sequence[str], device: str = "auto") -> None:
        self.device = pick_device(device)
        self.exhibits: dict[str, Exhibit] = {}
        self.problems: list[str] = []
        self._lock = threading.Lock()
        for place in places:
            self._try(place)
        if not self.exhibits and hub.bundled_names():
            self.problems.append("The models in the box are shown instead.")
            for name in hub.bundled_names():
                self._try(name)
        if not self.exhibits:
            raise hub.HubError("no model to show. " + " ".join(self.problems))

    def _try(self, place: str) -> None:
        try:
            self._add(place)
        except hub.HubError as error:
            logger.warning("%s", error)
            self.problems.append(str(error))

    def _add(self, place: str) -> None:
        vae = load(place, device=self.device)
        if vae.image_shape != (1, 28, 28):
            raise hub.ConfigError(f"{place} makes images of shape {vae.image_shape}; the app shows (1, 28, 28)")
        source = hub.Source(place)
        latents = source.latents() if source.has_latents() else None
        if latents is not None and latents.mean.shape[1] != vae.latent_dim:
            raise hub.WeightsError(
                f"{place} has codes of {latents.mean.shape[1]} latents and a model of {vae.latent_dim}"
            )
        self.exhibits[place] = Exhibit(place, vae, latents)

    def describe(self) -> list[dict[str, Any]]:
        """What the page needs to know of each model."""
        return [exhibit.describe() for exhibit in self.exhibits.values()]

    def reconstruct(self, request: Any) -> dict[str, Any]:
        """{model, ink: base64 of PAD x PAD bytes} -> {seen, reconstruction, z}, or {empty: true} for no ink."""
        exhibit = self._exhibit(request)
        ink = torch.frombuffer(bytearray(_bytes(request, "ink", PAD * PAD)), dtype=torch.uint8)
        digit = sketch.to_digit(ink.view(PAD, PAD), light_ground=False)
        if digit is None:
            return {"empty": True}
        x = digit.view(1, 1, 28, 28)
        with self._lock, evaluating(exhibit.vae):
            z = exhibit.vae.encode(x.to(self.device)).mean
            picture = exhibit.vae.picture(z).cpu()
        return {"seen": _image(x), "reconstruction": _image(picture), "z": z[0].tolist()}

    def decode(self, request: Any) -> dict[str, Any]:
        """{model, z: latent_dim numbers} -> {image}."""
        exhibit = self._exhibit(request)
        z = torch.tensor([_numbers(request, "z", exhibit.vae.latent_dim)])
        with self._lock:
            return {"image": _image(generate(exhibit.vae, z=z))}

    def codes(self, request: Any) -> dict[str, Any]:
        """{model} -> {codes, labels, centre, directions}: base64 of float32 (N, L), uint8 (N,), float32 (L,), (L, 2).

        The last two are the plane the map shows: a code z lies at (z - centre) @ directions.
        """
        return self._exhibit(request).map

    def _exhibit(self, request: Any) -> Exhibit:
        name = request.get("model") if isinstance(request, dict) else None
        if not isinstance(name, str) or name not in self.exhibits:
            raise ValueError(f"model must be one of {', '.join(self.exhibits)}")
        return self.exhibits[name]


def _bytes(request: dict[str, Any], key: str, length: int) -> bytes:
    value = request.get(key)
    encoded_length = 4 * math.ceil(length / 3)
    if not isinstance(value, str) or len(value) != encoded_length:
        raise ValueError(f"{key} must be base64 of {length} bytes")
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{key} must be base64 of {length} bytes: {error}") from error


def _numbers(request: dict[str, Any], key: str, count: int) -> list[float]:
    value = request.get(key)
    if not isinstance(value, list) or len(value) != count:
        raise ValueError(f"{key} must be a list of {count} numbers")
    if not all(type(number) in (int, float) and abs(number) <= 1e3 for number in value):  # NaN too
        raise ValueError(f"{key} must hold numbers between -1000 and 1000")
    return [float(number) for number in value]


def _image(images: Tensor) -> str:
    return _pack((images[0, 0] * 255).round().to(torch.uint8))


def _pack(tensor: Tensor) -> str:
    return base64.b64encode(tensor.contiguous().numpy().tobytes()).decode()
