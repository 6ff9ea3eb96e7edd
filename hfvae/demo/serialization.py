"""Requests and answers of the page: parsed and validated on the way in, packed on the way out.

The functions that the page calls are open network endpoints, and anybody may send them anything. Each refusal is a
ValueError with a sentence for the caller. Images are sent to the page as base64 of one byte a pixel.
"""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..images import as_images

PNG_HEADER = "data:image/png;base64"
MAX_LATENT = 1e3
"""Latents beyond this are refused."""


def parse_number(value: Any, name: str, low: float, high: float) -> float:
    """`value`, if it is a number between `low` and `high`."""
    if type(value) not in (int, float) or not low <= value <= high:  # NaN too
        raise ValueError(f"{name} must be a number between {low:g} and {high:g}")
    return float(value)


def parse_int(value: Any, name: str, low: int, high: int) -> int:
    """`value`, if it is an int between `low` and `high`."""
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number between {low} and {high}")
    return value


def parse_bool(value: Any, name: str) -> bool:
    """`value`, if it is a bool."""
    if type(value) is not bool:
        raise ValueError(f"{name} must be true or false")
    return value


def parse_latent(value: Any, name: str, latents: int) -> Tensor:
    """A list of numbers as one latent point (latents,)."""
    if not isinstance(value, list) or len(value) != latents:
        raise ValueError(f"{name} must be a list of {latents} numbers")
    return torch.tensor([parse_number(entry, f"each number of {name}", -MAX_LATENT, MAX_LATENT) for entry in value])


def parse_latents(value: Any, name: str, latents: int, max_points: int) -> Tensor:
    """A list of 1 to `max_points` latent points as (N, latents)."""
    if not isinstance(value, list) or not 1 <= len(value) <= max_points:
        raise ValueError(f"{name} must be a list of 1 to {max_points} latent points, each a list of {latents} numbers")
    return torch.stack([parse_latent(point, f"each point of {name}", latents) for point in value])


def parse_drawing(value: Any, name: str, side: int) -> Tensor:
    """Base64 of side * side bytes as grey levels (side, side) uint8."""
    length = side * side
    if not isinstance(value, str) or len(value) != 4 * math.ceil(length / 3):
        raise ValueError(f"{name} must be base64 of {length} bytes")
    try:
        grey = base64.b64decode(value, validate=True)
    except ValueError as error:  # binascii.Error, or characters that are not ASCII
        raise ValueError(f"{name} must be base64 of {length} bytes: {error}") from error
    if len(grey) != length:
        raise ValueError(f"{name} must be base64 of {length} bytes, got {len(grey)}")
    return torch.frombuffer(bytearray(grey), dtype=torch.uint8).view(side, side)


def parse_rows(value: Any, name: str, max_side: int) -> Tensor:
    """A list of rows of numbers as an image (H, W) float32, at most `max_side` pixels a side."""
    sizes = {len(row) if isinstance(row, list) else 0 for row in value} if isinstance(value, list) else set()
    if len(sizes) != 1 or not 1 <= max(sizes) <= max_side or not 1 <= len(value) <= max_side:
        raise ValueError(
            f"{name} must be rows of numbers, all of one length, 1 to {max_side} of them and 1 to {max_side} long"
        )
    pixel = f"each pixel of {name}"
    return torch.tensor([[parse_number(entry, pixel, -1e6, 1e6) for entry in row] for row in value])


def parse_png(value: str, name: str, max_side: int) -> Tensor:
    """A PNG as a data URL as an image (H, W) float32 in [0, 1], at most `max_side` pixels a side; colours turn grey."""
    header, _, data = value.partition(",")
    if header != PNG_HEADER:
        raise ValueError(f"{name} must be rows of numbers, or a PNG as a data URL that begins with {PNG_HEADER},")
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(data, validate=True)), formats=["PNG"])
        if max(picture.size) > max_side:
            raise ValueError(f"{picture.width} x {picture.height} pixels, and at most {max_side} a side are taken")
        return as_images(picture, (1, picture.height, picture.width), name)[0, 0]
    except (ValueError, OSError, SyntaxError, Image.DecompressionBombError) as error:  # Pillow's and base64's
        raise ValueError(f"{name} must be a PNG as a data URL, and is none that can be read: {error}") from error


def grey_levels(images: Tensor) -> Tensor:
    """Images in [0, 1], any shape, as uint8."""
    return (images * 255).round().to(torch.uint8)


def to_png(image: Tensor) -> str:
    """An image (H, W) in [0, 1] as a PNG data URL."""
    buffer = io.BytesIO()
    Image.fromarray(grey_levels(image).numpy()).save(buffer, "PNG")
    return f"{PNG_HEADER},{base64.b64encode(buffer.getvalue()).decode()}"


def pack(tensor: Tensor) -> str:
    """A tensor's bytes as base64."""
    return base64.b64encode(tensor.contiguous().cpu().numpy().tobytes()).decode()


def pack_images(images: Tensor) -> str:
    """Images (N, 1, 28, 28) in [0, 1] as base64 of N * 784 bytes."""
    return pack(grey_levels(images))
