"""The loaded models and what is known of each. No gradio here, and no visitor's data, which stays in the page."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub import constants
from torch import Tensor, nn

from .. import hub
from ..evaluation import ACTIVE_VARIANCE, LatentGrid, PrincipalAxes, classifier, principal_axes
from ..inference import evaluating, sample_prior
from ..models import VAE
from ..probability.sampling import has_noise, is_standard_normal, moments
from ..zoo import load, pick_device
from .browser_decoder import BrowserDecoder, export_decoder
from .cards import read_card
from .limiter import ConcurrencyLimiter

logger = logging.getLogger(__name__)

IMAGE_SHAPE = (1, 28, 28)
PAD_SIDE = 140
"""Side of the drawings that the pad sends, in pixels."""
VISIBLE_SLIDERS = 10
"""Sliders shown at once; the others are folded away."""
DIRECTIONS = 8
"""Principal directions that get a slider."""
NEIGHBOURS = 15
"""Test images that vote on a latent point's class."""
GRID = 96
"""Points along each axis of the plane of two latents, from which an exact posterior is found."""


@dataclass
class LoadedModel:
    """A model, the test set's codes (if its folder holds them), and its card."""

    name: str
    vae: VAE
    latents: hub.Latents | None
    source: hub.ModelSource
    """Where it comes from, with the card's figures."""
    card: str
    """The card's Markdown."""
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
    def prior_moments(self) -> tuple[Tensor, Tensor]:
        """The prior's mean and standard deviation of each latent, (latent_dim,) each."""
        with evaluating(self.vae):
            mean, std = moments(self.vae.prior)
        return mean.float().cpu(), std.float().cpu()

    @cached_property
    def span(self) -> float:
        """The sliders' largest value: beyond all codes and three standard deviations of the prior."""
        mean, std = self.prior_moments
        reach = float((mean.abs() + 3 * std).max())
        codes = 0.0 if self.latents is None else float(self.latents.mean.abs().max())
        return float(math.ceil(max(reach, codes)))

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

    @cached_property
    def class_names(self) -> list[str]:
        """The names of the classes, or their numbers if the names are unknown."""
        names = self.vae.training_data.dataset.class_names
        if names or self.latents is None:
            return list(names)
        return [str(index) for index in range(int(self.latents.labels.max()) + 1)]

    @cached_property
    def decoder(self) -> BrowserDecoder | None:
        """The decoder for the page; None if only Python can run it."""
        return export_decoder(self.vae)

    @property
    def protocol(self) -> str:
        """What a likelihood of this model is measured on; those of one protocol can be compared."""
        pixels = self.vae.likelihood.evaluation_pixels(self.vae.training_data.pixels)
        parts = (self.vae.training_data.dataset.name, pixels.protocol, self.vae.likelihood.protocol)
        return ", ".join(part for part in parts if part)

    @cached_property
    def tempered(self) -> bool:
        """Whether the prior's draws have a temperature."""
        try:
            with evaluating(self.vae):
                sample_prior(self.vae, 1, 0.5)
        except ValueError:
            return False
        return True

    @cached_property
    def judge(self) -> nn.Sequential | None:
        """The classifier of the data set's images; None if there is none."""
        name = self.vae.training_data.dataset.classifier
        return None if name is None else _load_classifier(name)

    @cached_property
    def grid(self) -> LatentGrid | None:
        """The latent plane of a model with two latents, decoded, for its exact posterior; None for any other model."""
        with evaluating(self.vae):
            return LatentGrid(self.vae, self.span, GRID) if self.vae.latent_dim == 2 else None

    @cached_property
    def has_noise(self) -> bool:
        """Whether the prior bends N(0, I), so that a path may go through its base space."""
        with evaluating(self.vae):
            return not is_standard_normal(self.vae.prior) and has_noise(self.vae.prior)

    def percentile(self, elbo: float) -> float | None:
        """The share of test images, in percent, that the model explains less well than this."""
        if self.sorted_elbo is None:
            return None
        return 100 * int(torch.searchsorted(self.sorted_elbo, elbo)) / len(self.sorted_elbo)

    def votes(self, z: Tensor) -> Tensor | None:
        """The share of each class among the nearest test images of codes (N, L), (N, classes); None without codes."""
        if self.latents is None:
            return None
        distances = torch.cdist(z, self.latents.mean)
        nearest = distances.topk(min(NEIGHBOURS, distances.shape[1]), largest=False).indices
        return F.one_hot(self.latents.labels[nearest], len(self.class_names)).double().mean(1)

    def reading(self, image: Tensor, z: Tensor) -> list[float] | None:
        """p(class) of a reconstruction (1, 1, 28, 28): the classifier's, or the votes of the nearest codes of z (L,).

        The classifier reads what the model made of a drawing; codes of untidy drawings lie between those of classes.
        """
        if self.judge is not None:
            features = classifier.features(self.judge, image.float().cpu())
            return classifier.probabilities(self.judge, features)[0].tolist()
        votes = self.votes(z.unsqueeze(0))
        return None if votes is None else votes[0].tolist()

    def describe(self, number: int) -> dict[str, Any]:
        """What the page knows of the model, the app's `number`-th."""
        ranked = list(range(self.vae.latent_dim))
        if len(ranked) > VISIBLE_SLIDERS:
            ranked.sort(key=lambda latent: -self.activity[latent])
        dataset = self.vae.training_data.dataset
        return {
            "name": self.name,
            "title": f"{self.name} · {self.vae.latent_dim} latents · {self.vae.likelihood_type}",
            "latentDim": self.vae.latent_dim,
            "ranking": ranked,
            "active": self.active,
            "visible": VISIBLE_SLIDERS,
            "span": self.span,
            "pad": PAD_SIDE,
            "box": dataset.drawing_box,
            "hasMap": self.latents is not None and self.vae.latent_dim > 1,
            "projected": self.vae.latent_dim != 2,
            "decoder": self.decoder and self.decoder.describe(f"decoders/{number}"),
            "page": self.page,
            "dataset": dataset.name,
            "item": dataset.item,
            "items": dataset.items,
            "likelihood": self.vae.likelihood_type,
            "binary": self.vae.likelihood.evaluation_pixels(self.vae.training_data.pixels).binary,
            "classes": self.class_names,
            "prior": self.vae.prior_name,
            "drawsInBrowser": is_standard_normal(self.vae.prior),
            "origin": self.prior_moments[0].tolist(),
            "tempered": self.tempered,
            "basePath": self.has_noise,
            "protocol": self.protocol,
            "readBy": "neighbours" if dataset.classifier is None else "classifier",
        }


@cache
def _load_classifier(name: str) -> nn.Sequential:
    """The classifier with the weights of that file, loaded once for all models of a data set."""
    return classifier.load(classifier.WEIGHTS.with_name(name))


class ModelRegistry:
    """The loaded models, and one limiter for all of them.

    Args:
        names: folders, bundled names or repo ids; each is loaded, or its problem noted.
        device: auto, cpu or cuda.

    Attributes:
        models: name -> LoadedModel, in the order given.
        problems: a sentence for each name that gave no model; where none did, the bundled models are shown.
        limiter: to be held while a model works.
        stopping: whether the app has been told to stop.

    Raises:
        ValueError: a device that is not there.
        hub.HubError: no model at all.
    """

    def __init__(self, names: Sequence[str], device: str = "auto") -> None:
        self.device = pick_device(device)
        self.models: dict[str, LoadedModel] = {}
        self.problems: list[str] = []
        self.limiter = ConcurrencyLimiter()
        self.stopping = False
        for name in names:
            self._try(name)
        if not self.models and hub.bundled_names():
            self.problems.append("The bundled models are shown instead.")
            for name in hub.bundled_names():
                self._try(name)
        if not self.models:
            raise hub.HubError("no model to show. " + " ".join(self.problems))

    def _try(self, place: str) -> None:
        try:
            self._add(place)
        except hub.HubError as error:
            logger.warning("%s", error)
            name = hub.display_name(place)  # visitors must not learn where models are on this machine
            told = str(error) if name == place else f"{name} could not be loaded; the server's log says why."
            self.problems.append(told)

    def _add(self, place: str) -> None:
        vae = load(place, device=self.device)
        name = title = hub.display_name(place)
        if vae.image_shape != IMAGE_SHAPE:
            self.problems.append(
                f"{name} makes images of shape {vae.image_shape}, and this app shows {IMAGE_SHAPE} only."
            )
            return
        source = hub.ModelSource(place)
        latents = source.latents() if source.has_latents() else None
        if latents is not None and latents.mean.shape[1] != vae.latent_dim:
            raise hub.WeightsError(
                f"{place} has codes of {latents.mean.shape[1]} latents and a model of {vae.latent_dim}"
            )
        page = None if source.folder else f"{constants.ENDPOINT}/{place}"
        while name in self.models:
            name = f"{title} ({len(self.models) + 1})"
        self.models[name] = LoadedModel(name, vae, latents, source, read_card(source, name), page)

    def describe(self) -> list[dict[str, Any]]:
        """What the page knows of each model."""
        return [model.describe(number) for number, model in enumerate(self.models.values())]

    def find(self, name: Any) -> LoadedModel:
        """The model of that name.

        Raises:
            ValueError: no such model; names those there are.
        """
        if not isinstance(name, str) or name not in self.models:
            raise ValueError(f"model must be one of {', '.join(self.models)}")
        return self.models[name]
