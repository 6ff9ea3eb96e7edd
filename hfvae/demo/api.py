"""Named endpoints for programs: for gradio_client and, with --mcp, as tools for language models.

An image is rows of numbers from 0 (ground) to 1 (ink), 28 rows of 28, both ways.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

import gradio as gr
from torch import Tensor

from .. import inference, sketch
from . import serialization
from .limiter import Busy
from .registry import LoadedModel, ModelRegistry

logger = logging.getLogger(__name__)

Image = list[list[float]]
MAX_IMAGES = 100
"""Images answered in one call."""
MAX_DRAWING = 280
DECIMALS = 10_000
_NUMBERS = [level / DECIMALS for level in range(DECIMALS + 1)]  # shared by all answers, which wait in memory to be read


def publish(registry: ModelRegistry) -> None:
    """Add the named endpoints to the Blocks that is being built."""
    for function in endpoints(registry):
        gr.events.api(function, api_name=function.__name__, concurrency_limit=2)


def endpoints(registry: ModelRegistry) -> list[Callable[..., Any]]:
    """The functions for programs to call; a refusal is a gr.Error with a sentence."""
    tools = Tools(registry)
    functions = (tools.models, tools.generate, tools.encode, tools.reconstruct, tools.interpolate)
    return [_with_errors(function) for function in functions]


class Tools:
    """What programs can do with the loaded models; the docstrings are what API pages and language models read."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry

    def models(self) -> list[dict[str, Any]]:
        """List the variational autoencoders that this server has.

        Returns:
            For each: its name (what the other tools call model), the data set it was trained on, its number of latents,
            its likelihood, and which of the latents are active, that is, change the image.
        """
        return [
            {
                "name": model.name,
                "dataset": model.vae.training_data.dataset.name,
                "latent_dim": model.vae.latent_dim,
                "likelihood_type": model.vae.likelihood_type,
                "active": model.active,
            }
            for model in self.registry.models.values()
        ]

    def generate(
        self,
        model: str,
        num_samples: int = 1,
        temperature: float = 1.0,
        seed: int | None = None,
        z: list[list[float]] | None = None,
    ) -> list[Image]:
        """Make images: random ones, or those that given latent points decode to.

        Args:
            model: Name of the model, from the models tool.
            num_samples: How many random images to make, 1 to 100. Ignored where z is given.
            temperature: Spread of the random latent points, 0 to 10; 1 is the prior, less is more typical.
            seed: Makes the random images the same each time.
            z: Latent points to decode instead, each a list of latent_dim numbers; typical ones lie within -3 and 3.

        Returns:
            The images, each 28 rows of 28 numbers from 0 (black ground) to 1 (white ink).
        """
        vae = self.registry.find(model).vae
        if z is not None:
            points = serialization.parse_latents(z, "z", vae.latent_dim, MAX_IMAGES).to(vae.dtype)
            with self.registry.limiter:
                return _rows(inference.generate(vae, z=points))
        count = serialization.parse_int(num_samples, "num_samples", 1, MAX_IMAGES)
        spread = serialization.parse_number(temperature, "temperature", 0, 10)
        generator = inference.fresh_generator()
        if seed is not None:
            generator.manual_seed(serialization.parse_int(seed, "seed", 0, 2**63 - 1))
        with self.registry.limiter:
            return _rows(inference.generate(vae, count, temperature=spread, generator=generator))

    def encode(self, model: str, image: Image, drawing: bool = False) -> dict[str, list[float]]:
        """Find the latent point of an image.

        Args:
            model: Name of the model, from the models tool.
            image: 28 rows of 28 numbers from 0 (ground) to 1 (ink), framed as the model's training images are.
            drawing: True if the image is a drawing of any size up to 280 by 280, in any range: it is then framed first.

        Returns:
            The posterior's mean (the latent point) and std (how uncertain the model is), latent_dim numbers each; std
            is empty for a posterior that has none.
        """
        found = self.registry.find(model)
        x = _image(image, "image", drawing, found)
        with self.registry.limiter, inference.evaluating(found.vae):
            q = inference.encode_images(found.vae, x)
            std = found.vae.posterior.marginal_std(q)
            code = found.vae.posterior.code(q)
        return {"mean": code[0].tolist(), "std": [] if std is None else std[0].tolist()}

    def reconstruct(self, model: str, image: Image, drawing: bool = False, sample: bool = False) -> Image:
        """Encode an image as a latent point and decode it again.

        Args:
            model: Name of the model, from the models tool.
            image: 28 rows of 28 numbers from 0 (ground) to 1 (ink), framed as the model's training images are.
            drawing: True if the image is a drawing of any size up to 280 by 280, in any range: it is then framed first.
            sample: True to decode a random draw from the posterior instead of its mean.

        Returns:
            28 rows of 28 numbers from 0 (ground) to 1 (ink).
        """
        found = self.registry.find(model)
        x = _image(image, "image", drawing, found)
        sampled = serialization.parse_bool(sample, "sample")
        with self.registry.limiter:
            return _rows(inference.reconstruct(found.vae, x, sampled))[0]

    def interpolate(
        self,
        model: str,
        image_a: Image,
        image_b: Image,
        steps: int = 10,
        spherical: bool = False,
        drawing: bool = False,
    ) -> list[Image]:
        """Morph one image into another through latent space.

        Args:
            model: Name of the model, from the models tool.
            image_a: Where to start: 28 rows of 28 numbers from 0 (ground) to 1 (ink), framed as the model's training
                images are.
            image_b: Where to end, likewise.
            steps: How many images, 2 to 100, with both ends.
            spherical: True to go along a great circle instead of the straight line.
            drawing: True if the images are drawings of any size up to 280 by 280: they are then framed first.

        Returns:
            The images on the way, each 28 rows of 28 numbers from 0 (ground) to 1 (ink).
        """
        found = self.registry.find(model)
        x_a, x_b = (_image(x, name, drawing, found) for x, name in ((image_a, "image_a"), (image_b, "image_b")))
        count = serialization.parse_int(steps, "steps", 2, MAX_IMAGES)
        great_circle = serialization.parse_bool(spherical, "spherical")
        with self.registry.limiter:
            return _rows(inference.interpolate(found.vae, x_a, x_b, count, great_circle))


def _with_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose refusals reach the caller as gr.Error with their sentence."""

    @wraps(function)
    def answer(*positional: Any, **named: Any) -> Any:
        try:
            return function(*positional, **named)
        except (TypeError, ValueError, Busy) as error:
            logger.warning("%s refused a call: %s", function.__name__, error)
            raise gr.Error(str(error), print_exception=False) from error

    return answer


def _image(value: Any, name: str, drawing: bool, model: LoadedModel) -> Tensor:
    """(1, 1, 28, 28) in [0, 1], of the model's dtype."""
    pixels = serialization.parse_rows(value, name, MAX_DRAWING)
    if serialization.parse_bool(drawing, "drawing"):
        framed = sketch.to_digit(pixels, box=model.vae.training_data.dataset.drawing_box)
        if framed is None:
            raise ValueError(f"{name} is blank: there is nothing to frame")
        pixels = framed
    if pixels.shape != (28, 28) or pixels.min() < 0 or pixels.max() > 1:
        raise ValueError(f"{name} must be 28 rows of 28 numbers from 0 to 1; for any other image set drawing to true")
    return pixels.view(1, 1, 28, 28).to(model.vae.dtype)


def _rows(images: Tensor) -> list[Image]:
    """Images (N, 1, 28, 28) as numbers of four decimals."""
    levels = (images[:, 0].float() * DECIMALS).round().int()
    return [[[_NUMBERS[level] for level in row] for row in image.tolist()] for image in levels]
