"""The models on show and what is known of each. No gradio here, and nothing of a visitor's, which stays in the page."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from huggingface_hub import constants
from torch import Tensor

from .. import hub
from ..evaluation import ACTIVE_VARIANCE, PrincipalAxes, principal_axes
from ..models import VAE
from ..zoo import load, pick_device
from . import decoder
from .gate import Gate

logger = logging.getLogger(__name__)

PAD = 140
"""Side of the drawings that the pad sends, in pixels."""
SHOWN = 10
"""Sliders shown at once; the others are folded away."""
DIRECTIONS = 8
"""Principal directions that get a slider."""
LONGEST_CARD = 100_000
"""Letters of a model card that are shown."""
NEIGHBOURS = 15
"""Test digits that vote on a drawing's class."""


@dataclass
class Exhibit:
    """A model on show, the test set as it sees it (if its folder holds that), and its card."""

    name: str
    vae: VAE
    latents: hub.Latents | None
    card: str
    page: str | None
    """The address of the model's page on the hub."""

    @cached_property
    def activity(self) -> list[float]:
        """Var_x(E[z|x]) of each latent; without codes, all count alike."""
        if self.latents is None:
            return [1.0] * self.vae.latent_dim
        return self.latents.mean.var(0).tolist()

    @property
    def active(self) -> list[bool]:
        """Which latents change the image."""
        return [value > ACTIVE_VARIANCE for value in self.activity]

    @cached_property
    def span(self) -> float:
        """How far the sliders go: all the codes lie within, and so does three times the prior's deviation."""
        return 3.0 if self.latents is None else float(max(3, math.ceil(self.latents.mean.abs().max())))

    @cached_property
    def axes(self) -> PrincipalAxes | None:
        """The directions in which the test set's codes vary most; the first two span the map."""
        if self.latents is None:
            return None
        return principal_axes(self.latents.mean, min(DIRECTIONS, self.vae.latent_dim))

    @cached_property
    def sorted_elbo(self) -> Tensor | None:
        """The test set's ELBOs in ascending order."""
        if self.latents is None or self.latents.elbo is None:
            return None
        return self.latents.elbo.sort().values

    def percentile(self, elbo: float) -> float | None:
        """The share of test digits, in percent, that the model explains less well than this."""
        if self.sorted_elbo is None:
            return None
        return 100 * int(torch.searchsorted(self.sorted_elbo, elbo)) / len(self.sorted_elbo)

    def votes(self, z: Tensor) -> list[int] | None:
        """How many of the nearest test digits of a code (L,) are of each class."""
        if self.latents is None:
            return None
        distances = (self.latents.mean - z).square().sum(1)
        nearest = distances.topk(min(NEIGHBOURS, len(distances)), largest=False).indices
        return self.latents.labels[nearest].bincount(minlength=10).tolist()

    def describe(self) -> dict[str, Any]:
        ranked = list(range(self.vae.latent_dim))
        if len(ranked) > SHOWN:
            ranked.sort(key=lambda latent: -self.activity[latent])
        return {
            "name": self.name,
            "title": f"{self.name} · {self.vae.latent_dim} latents · {self.vae.likelihood_type}",
            "latentDim": self.vae.latent_dim,
            "ranking": ranked,
            "active": self.active,
            "shown": SHOWN,
            "span": self.span,
            "pad": PAD,
            "hasMap": self.latents is not None and self.vae.latent_dim > 1,
            "projected": self.vae.latent_dim != 2,
            "decodesInBrowser": decoder.fits_a_browser(self.vae),
            "page": self.page,
        }


class Session:
    """The models on show, one gate in front of them.

    Args:
        places: folders, bundled names or repo ids; each is loaded, or its problem noted.
        device: auto, cpu or cuda.

    Attributes:
        exhibits: name -> Exhibit, in the order given.
        problems: a sentence for each place that gave no model; where none did, the bundled models are shown.
        gate: to be held while a model works.

    Raises:
        ValueError: a device that is not there.
        hub.HubError: no model at all.
    """

    def __init__(self, places: Sequence[str], device: str = "auto") -> None:
        self.device = pick_device(device)
        self.exhibits: dict[str, Exhibit] = {}
        self.problems: list[str] = []
        self.gate = Gate()
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
            name = hub.title(place)  # where models lie on this machine is no visitor's business
            told = str(error) if name == place else f"{name} could not be loaded; the server's log says why."
            self.problems.append(told)

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
        page = None if source.folder else f"{constants.ENDPOINT}/{place}"
        name = title = hub.title(place)
        while name in self.exhibits:
            name = f"{title} ({len(self.exhibits) + 1})"
        self.exhibits[name] = Exhibit(name, vae, latents, _card(source, name), page)

    def describe(self) -> list[dict[str, Any]]:
        """What the page needs to know of each model."""
        return [exhibit.describe() for exhibit in self.exhibits.values()]

    def exhibit(self, name: Any) -> Exhibit:
        if not isinstance(name, str) or name not in self.exhibits:
            raise ValueError(f"model must be one of {', '.join(self.exhibits)}")
        return self.exhibits[name]


def _card(source: hub.Source, name: str) -> str:
    """The model card as it can be shown here: without its front matter, its marks, and its pictures' relative links."""
    try:
        with source.path(hub.CARD).open(encoding="utf-8", errors="replace") as file:
            text = file.read(LONGEST_CARD)
    except hub.HubError:
        return f"{name} comes without a model card."
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    # bounded, or a stranger's card of nothing but beginnings would take minutes
    return re.sub(
        r"<!--.{,200}?-->|!\[[^]]{,300}\]\([^)]{,300}\)\s{,3}(\*[^*\n]{,300}\*)?", "", text, flags=re.DOTALL
    ).strip()
