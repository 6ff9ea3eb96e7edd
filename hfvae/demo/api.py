"""The app for programs: named endpoints for gradio_client and, with --mcp, tools for language models.

An image is rows of numbers from 0 (ground) to 1 (ink), 28 rows of 28, both ways.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from .. import inference, sketch
from . import wire
from .gate import Busy
from .session import Session

logger = logging.getLogger(__name__)

Image = list[list[float]]
MOST = 100
"""Images answered in one call."""
LARGEST_DRAWING = 280


def publish(session: Session) -> None:
    """Add the named endpoints to the Blocks that is being built."""
    for function in endpoints(session):
        gr.events.api(function, api_name=function.__name__, concurrency_limit=2)


def endpoints(session: Session) -> list[Callable[..., Any]]:
    """The functions for programs to call; what they refuse is a gr.Error with a sentence."""

    def models() -> list[dict[str, Any]]:
        """List the variational autoencoders that this server has.

        Returns:
            For each: its name (what the other tools call model), its number of latents, its likelihood, and which of
            the latents are active, that is, change the image.
        """
        return [
            {
                "name": exhibit.name,
                "latent_dim": exhibit.vae.latent_dim,
                "likelihood_type": exhibit.vae.likelihood_type,
                "active": exhibit.active,
            }
            for exhibit in session.exhibits.values()
        ]

    def generate(
        model: str,
        num_samples: int = 1,
        temperature: float = 1.0,
        seed: int | None = None,
        z: list[list[float]] | None = None,
    ) -> list[Image]:
        """Make images of handwritten digits: random ones, or those that given latent points stand for.

        Args:
            model: Name of the model, from the models tool.
            num_samples: How many random images to make, 1 to 100. Ignored where z is given.
            temperature: Spread of the random latent points, 0 to 10; 1 is the prior, less is more typical.
            seed: Makes the random images the same each time.
            z: Latent points to decode instead, each a list of latent_dim numbers; typical ones lie within -3 and 3.

        Returns:
            The images, each 28 rows of 28 numbers from 0 (black ground) to 1 (white ink).
        """
        vae = session.exhibit(model).vae
        if z is not None:
            points = wire.latents(z, "z", vae.latent_dim, MOST)
        else:
            count = wire.whole(num_samples, "num_samples", 1, MOST)
            generator = inference.fresh_generator()
            if seed is not None:
                generator.manual_seed(wire.whole(seed, "seed", 0, 2**63 - 1))
            points = wire.number(temperature, "temperature", 0, 10) * torch.randn(
                count, vae.latent_dim, generator=generator
            )
        with session.gate:
            return _rows(inference.generate(vae, z=points.to(vae.dtype)))

    def encode(model: str, image: Image, drawing: bool = False) -> dict[str, list[float]]:
        """Find the latent point of an image of a handwritten digit.

        Args:
            model: Name of the model, from the models tool.
            image: 28 rows of 28 numbers from 0 (ground) to 1 (ink), framed as MNIST's digits are.
            drawing: True if the image is a drawing of any size up to 280 by 280, in any range: it is then framed first.

        Returns:
            The posterior's mean (the latent point) and std (how sure the model is), latent_dim numbers each.
        """
        vae = session.exhibit(model).vae
        x = _image(image, "image", drawing)
        with session.gate, inference.evaluating(vae):
            q = vae.encode(x.to(vae.device, vae.dtype))
        return {"mean": q.mean[0].tolist(), "std": q.stddev[0].tolist()}

    def reconstruct(model: str, image: Image, drawing: bool = False, sample: bool = False) -> Image:
        """Squeeze an image of a handwritten digit into its latents and draw it again from them.

        Args:
            model: Name of the model, from the models tool.
            image: 28 rows of 28 numbers from 0 (ground) to 1 (ink), framed as MNIST's digits are.
            drawing: True if the image is a drawing of any size up to 280 by 280, in any range: it is then framed first.
            sample: True to decode a random draw from the posterior instead of its mean.

        Returns:
            28 rows of 28 numbers from 0 (ground) to 1 (ink).
        """
        vae = session.exhibit(model).vae
        x = _image(image, "image", drawing).to(vae.dtype)
        with session.gate:
            return _rows(inference.reconstruct(vae, x, wire.truth(sample, "sample")))[0]

    def interpolate(
        model: str, image_a: Image, image_b: Image, steps: int = 10, spherical: bool = False, drawing: bool = False
    ) -> list[Image]:
        """Morph one handwritten digit into another through latent space.

        Args:
            model: Name of the model, from the models tool.
            image_a: Where to start: 28 rows of 28 numbers from 0 (ground) to 1 (ink), framed as MNIST's digits are.
            image_b: Where to end, likewise.
            steps: How many images, 2 to 100, with both ends.
            spherical: True to go along a great circle instead of the straight line.
            drawing: True if the images are drawings of any size up to 280 by 280: they are then framed first.

        Returns:
            The images on the way, each 28 rows of 28 numbers from 0 (ground) to 1 (ink).
        """
        vae = session.exhibit(model).vae
        x_a, x_b = _image(image_a, "image_a", drawing), _image(image_b, "image_b", drawing)
        count = wire.whole(steps, "steps", 2, MOST)
        great_circle = wire.truth(spherical, "spherical")
        with session.gate:
            return _rows(inference.interpolate(vae, x_a.to(vae.dtype), x_b.to(vae.dtype), count, great_circle))

    return [_in_words(function) for function in (models, generate, encode, reconstruct, interpolate)]


def _in_words(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose refusals reach the caller as sentences."""

    @wraps(function)
    def answer(*positional: Any, **named: Any) -> Any:
        try:
            return function(*positional, **named)
        except (TypeError, ValueError, Busy) as error:
            logger.warning("%s refused a call: %s", function.__name__, error)
            raise gr.Error(str(error), print_exception=False) from error

    return answer


def _image(value: Any, name: str, drawing: bool) -> Tensor:
    """(1, 1, 28, 28) in [0, 1]."""
    picture = wire.rows(value, name, LARGEST_DRAWING)
    if wire.truth(drawing, "drawing"):
        digit = sketch.to_digit(picture)
        if digit is None:
            raise ValueError(f"{name} is blank: there is nothing to frame")
        return digit.view(1, 1, 28, 28)
    if picture.shape != (28, 28) or picture.min() < 0 or picture.max() > 1:
        raise ValueError(f"{name} must be 28 rows of 28 numbers from 0 to 1; for any other picture set drawing to true")
    return picture.view(1, 1, 28, 28)


def _rows(images: Tensor) -> list[Image]:
    """Images (N, 1, 28, 28) as numbers of four decimals."""
    return [[[round(value, 4) for value in row] for row in image] for image in images[:, 0].float().tolist()]
