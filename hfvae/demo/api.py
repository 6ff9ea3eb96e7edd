"""Named endpoints for programs: for gradio_client and, with --mcp, as tools for language models.

An image is rows of numbers from 0 (ground) to 1 (ink), 28 rows of 28, or a PNG as a data URL, both ways. What is
transparent in a PNG is treated as `hfvae.images.composite` says: white or black ink on a transparent ground is ink.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypedDict

import gradio as gr
import torch
from torch import Tensor

from .. import inference, sketch
from . import serialization
from .limiter import Busy
from .registry import LoadedModel, ModelRegistry

logger = logging.getLogger(__name__)

Image = list[list[float]] | str
"""Rows of numbers, or a PNG as a data URL."""
Images = Image | list[Image]
"""One image, or a list of up to MAX_IMAGES."""
FORMATS = ("rows", "png")
MAX_IMAGES = 100
"""Images answered in one call."""
MAX_DRAWING = 280
DECIMALS = 10_000
_NUMBERS = [level / DECIMALS for level in range(DECIMALS + 1)]  # shared by all answers, which wait in memory to be read


class ModelSummary(TypedDict):
    """What the models tool says of one."""

    name: str
    dataset: str
    latent_dim: int
    likelihood_type: str
    active: list[bool]


class Codes(TypedDict):
    """The posteriors of images: a row for each; std is empty for a posterior that has none."""

    mean: list[list[float]]
    std: list[list[float]]


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

    def models(self) -> list[ModelSummary]:
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
        format: str = "rows",
    ) -> list[Image]:
        """Make images: random ones, or those that given latent points decode to.

        Args:
            model: Name of the model, from the models tool.
            num_samples: How many random images to make, 1 to 100. Ignored where z is given.
            temperature: Spread of the random latent points, 0 to 10; 1 is the prior, less is more typical.
            seed: Makes the random images the same each time.
            z: Latent points to decode instead, each a list of latent_dim numbers; typical ones lie within -3 and 3.
            format: "png" for PNG data URLs, to look at; "rows" for 28 rows of 28 numbers from 0 (ground) to 1 (ink).

        Returns:
            The images.
        """
        vae, write = self.registry.find(model).vae, _writer(format)
        if z is not None:
            points = serialization.parse_latents(z, "z", vae.latent_dim, MAX_IMAGES).to(vae.density_dtype)
            with self.registry.limiter:
                return write(inference.generate(vae, z=points))
        count = serialization.parse_int(num_samples, "num_samples", 1, MAX_IMAGES)
        spread = serialization.parse_number(temperature, "temperature", 0, 10)
        generator = inference.fresh_generator()
        if seed is not None:
            generator.manual_seed(serialization.parse_int(seed, "seed", 0, 2**63 - 1))
        with self.registry.limiter:
            return write(inference.generate(vae, count, temperature=spread, generator=generator))

    def encode(self, model: str, image: Images, drawing: bool = False) -> Codes:
        """Find the latent points of images.

        Args:
            model: Name of the model, from the models tool.
            image: An image, or a list of up to 100: a PNG data URL, or 28 rows of 28 numbers from 0 (ground) to 1
                (ink), framed as the model's training images are.
            drawing: True if it is a drawing of any size up to 280 by 280, in any range: it is then framed first.

        Returns:
            For each image a row of the posteriors' mean (the latent point) and one of std (how uncertain the model is),
            latent_dim numbers each; std is empty for a posterior that has none.
        """
        found = self.registry.find(model)
        x, _ = _images(image, "image", drawing, found)
        with self.registry.limiter, inference.evaluating(found.vae):
            q = inference.encode_images(found.vae, x)
            std = found.vae.posterior.marginal_std(q)
            code = found.vae.posterior.code(q)
        return {"mean": code.tolist(), "std": [] if std is None else std.tolist()}

    def reconstruct(
        self, model: str, image: Images, drawing: bool = False, sample: bool = False, format: str = "rows"
    ) -> Images:
        """Encode images as latent points and decode them again.

        Args:
            model: Name of the model, from the models tool.
            image: An image, or a list of up to 100: a PNG data URL, or 28 rows of 28 numbers from 0 (ground) to 1
                (ink), framed as the model's training images are.
            drawing: True if it is a drawing of any size up to 280 by 280, in any range: it is then framed first.
            sample: True to decode a random draw from the posterior instead of its mean.
            format: "png" for PNG data URLs, to look at; "rows" for 28 rows of 28 numbers from 0 (ground) to 1 (ink).

        Returns:
            The image, or a list of them where a list was given.
        """
        found, write = self.registry.find(model), _writer(format)
        x, single = _images(image, "image", drawing, found)
        sampled = serialization.parse_bool(sample, "sample")
        with self.registry.limiter:
            written = write(inference.reconstruct(found.vae, x, sampled))
        return written[0] if single else written

    def interpolate(
        self,
        model: str,
        image_a: Image,
        image_b: Image,
        steps: int = 10,
        spherical: bool = False,
        drawing: bool = False,
        format: str = "rows",
    ) -> list[Image]:
        """Morph one image into another through latent space.

        Args:
            model: Name of the model, from the models tool.
            image_a: Where to start: a PNG data URL, or 28 rows of 28 numbers from 0 (ground) to 1 (ink), framed as the
                model's training images are.
            image_b: Where to end, likewise.
            steps: How many images, 2 to 100, with both ends.
            spherical: True to go along a great circle instead of the straight line.
            drawing: True if the images are drawings of any size up to 280 by 280: they are then framed first.
            format: "png" for PNG data URLs, to look at; "rows" for 28 rows of 28 numbers from 0 (ground) to 1 (ink).

        Returns:
            The images on the way.
        """
        found, write = self.registry.find(model), _writer(format)
        x_a, x_b = (_image(x, name, drawing, found) for x, name in ((image_a, "image_a"), (image_b, "image_b")))
        count = serialization.parse_int(steps, "steps", 2, MAX_IMAGES)
        great_circle = serialization.parse_bool(spherical, "spherical")
        with self.registry.limiter:
            return write(inference.interpolate(found.vae, x_a, x_b, count, great_circle))


def _with_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose refusals reach the caller as gr.Error with their sentence."""

    @wraps(function)
    def answer(*positional: Any, **named: Any) -> Any:
        try:
            return function(*positional, **named)
        except (TypeError, ValueError, Busy) as error:
            logger.warning("%s refused a call: %s", function.__name__, error)
            raise gr.Error(str(error), print_exception=False) from error
        except Exception as error:  # a traceback belongs into the log, and Gradio would print it
            logger.exception("%s failed", function.__name__)
            raise gr.Error("The server failed to answer this call.", print_exception=False) from error

    # Gradio reads the types of answers off the signature, and takes a name in quotes for Any
    answer.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
    return answer


def _images(value: Any, name: str, drawing: bool, model: LoadedModel) -> tuple[Tensor, bool]:
    """One image or a list of them as (N, 1, 28, 28) in [0, 1], and whether it was one."""
    if not isinstance(value, list) or not value or _is_row(value[0]):
        return _image(value, name, drawing, model), True
    if len(value) > MAX_IMAGES:
        raise ValueError(f"{name} must hold at most {MAX_IMAGES} images, got {len(value)}")
    images = [_image(image, f"image {number} of {name}", drawing, model) for number, image in enumerate(value)]
    return torch.cat(images), False


def _is_row(value: Any) -> bool:
    """Whether this is a row of an image's numbers, and not an image."""
    return not isinstance(value, str) and not (isinstance(value, list) and value and isinstance(value[0], list))


def _image(value: Any, name: str, drawing: bool, model: LoadedModel) -> Tensor:
    """(1, 1, 28, 28) in [0, 1]."""
    parse = serialization.parse_png if isinstance(value, str) else serialization.parse_rows
    pixels = parse(value, name, MAX_DRAWING)
    if serialization.parse_bool(drawing, "drawing"):
        framed = sketch.to_digit(pixels, box=model.vae.training_data.dataset.drawing_box)
        if framed is None:
            raise ValueError(f"{name} is blank: there is nothing to frame")
        pixels = framed
    if pixels.shape != (28, 28) or pixels.min() < 0 or pixels.max() > 1:
        raise ValueError(f"{name} must be 28 rows of 28 numbers from 0 to 1; for any other image set drawing to true")
    return pixels.view(1, 1, 28, 28)


def _writer(format: Any) -> Callable[[Tensor], list[Image]]:
    """What turns images (N, 1, 28, 28) into answers of that format."""
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}")
    return _rows if format == "rows" else lambda images: [serialization.to_png(image) for image in images[:, 0].float()]


def _rows(images: Tensor) -> list[Image]:
    """Images (N, 1, 28, 28) as numbers of four decimals."""
    levels = (images[:, 0].float() * DECIMALS).round().int()
    return [[[_NUMBERS[level] for level in row] for row in image.tolist()] for image in levels]
