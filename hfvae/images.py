"""Convert PIL images, NumPy arrays and tensors to model inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .datasets import GREY_LEVELS
from .networks import Shape

IMAGE_KEYS = ("image", "pixel_values", "images")
LABEL_KEYS = ("label", "labels")
LUMA = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in a grey level (ITU-R BT.601), as Pillow has them."""
OPAQUE = 0.5
"""Smallest alpha that counts as opaque."""
CONTRAST = 16 / 255
"""Opaque pixels whose levels differ by less count as one colour."""


def as_images(value: Any, image_shape: Shape, name: str = "x") -> Tensor:
    """Convert one image or a batch to a float tensor (N, *image_shape) with pixels in [0, 1].

    Args:
        value: a PIL image, a NumPy array or a tensor, or a list of these. Arrays and tensors are (H, W), (C, H, W) or
            (H, W, C), or a batch of one of these; (H, W) is for grey images. Pixels are floats, which are not changed,
            uint8 from 0 to 255, or bool. PIL images and arrays with the channels last may be grey, grey and alpha, RGB
            or RGBA: they are converted to the model's channels, transparency as in `composite`.
        image_shape: (C, H, W) of the model's images.
        name: name of the value in error messages.

    Returns:
        float32, or the dtype of a float tensor or array; on the same device.

    Raises:
        TypeError: not images, or pixels of another dtype.
        ValueError: another size; images are not resized.
    """
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError(f"{name} is an empty list of images")
        return torch.cat([as_images(image, image_shape, f"{name}[{i}]") for i, image in enumerate(value)])
    return arranged(_converted(_floats(_tensor(value, image_shape, name), name), image_shape), image_shape, name)


def composite(grey: Tensor, alpha: Tensor) -> Tensor:
    """Flatten a picture with transparency to opaque grey levels.

    A drawing on a transparent background becomes light ink on black, as in MNIST: dark ink is inverted, light ink is
    not. The background is transparent if most of the border is, or if all opaque pixels have one level, so that only
    alpha has a shape. In other pictures, such as a photograph with rounded corners, transparent pixels get the median
    level of the opaque ones. The page's pad uses the same rule.

    Args:
        grey: (H, W) in [0, 1].
        alpha: (H, W) in [0, 1], 0 for transparent.

    Returns:
        (H, W) in [0, 1]; all 0 if everything is transparent.
    """
    solid = grey[alpha >= OPAQUE] if (alpha >= OPAQUE).any() else grey[alpha > 0]
    if (alpha == 1).all() or not solid.numel():
        return grey * alpha
    border = torch.cat([alpha[0], alpha[-1], alpha[1:-1, 0], alpha[1:-1, -1]])
    level = solid.median()
    if border.median() >= OPAQUE and solid.max() - solid.min() >= CONTRAST:
        return grey * alpha + level * (1 - alpha)
    return alpha * (grey if level > 0.5 else 1 - grey)


def _converted(pixels: Tensor, image_shape: Shape) -> Tensor:
    """Convert (..., H, W, 2 to 4), grey and alpha, RGB or RGBA, to the model's channels; leave others unchanged."""
    channels, height, width = image_shape
    has_layout = image_shape in (pixels.shape[-3:], (1, *pixels.shape[-2:])) or pixels.shape[-1:] == (channels,)
    if has_layout or pixels.shape[-3:-1] != (height, width) or pixels.shape[-1] not in (2, 3, 4):
        return pixels
    alpha = pixels[..., -1] if pixels.shape[-1] in (2, 4) else None
    colours = pixels if alpha is None else pixels[..., :-1]
    if channels != 1:
        on_white = colours if alpha is None else colours * alpha[..., None] + 1 - alpha[..., None]
        return on_white.expand(*on_white.shape[:-1], channels)
    grey = colours[..., 0] if colours.shape[-1] == 1 else colours @ colours.new_tensor(LUMA)
    if alpha is None:
        return grey
    pictures = zip(grey.reshape(-1, height, width), alpha.reshape(-1, height, width), strict=True)
    return torch.stack([composite(*picture) for picture in pictures])


def _tensor(value: Any, image_shape: Shape, name: str) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if hasattr(value, "convert"):  # a PIL image, recognised without importing Pillow
        opaque = "L" if image_shape[0] == 1 else "RGB"
        value = np.asarray(value.convert("RGBA" if value.has_transparency_data else opaque))
    if not isinstance(value, np.ndarray):
        raise TypeError(
            f"{name} must be a PIL image, a NumPy array, a tensor or a list of these, got {type(value).__name__}"
        )
    try:
        return torch.from_numpy(np.array(value))  # a copy: arrays may be read-only or have negative strides
    except TypeError as error:
        raise TypeError(f"{name} must have pixels of uint8, bool or a float type, got {value.dtype}") from error


def _floats(pixels: Tensor, name: str) -> Tensor:
    if pixels.is_floating_point():
        return pixels
    if pixels.dtype == torch.uint8:
        return pixels.float() / (GREY_LEVELS - 1)
    if pixels.dtype == torch.bool:
        return pixels.float()
    raise TypeError(
        f"{name} must have pixels of uint8 (0 to 255), bool or a float type (0 to 1), got {pixels.dtype}: "
        "convert 0 to 255 to uint8 first"
    )


def arranged(pixels: Tensor, image_shape: Shape, name: str = "x") -> Tensor:
    """Rearrange pixels of any dtype from a layout that `as_images` accepts to (N, *image_shape).

    Raises:
        ValueError: another layout.
    """
    channels, height, width = image_shape
    if pixels.ndim in (3, 4) and pixels.shape[-3:] == image_shape:
        return pixels.reshape(-1, *image_shape)
    if channels == 1 and pixels.ndim in (2, 3) and pixels.shape[-2:] == (height, width):
        return pixels.reshape(-1, *image_shape)
    if pixels.ndim in (3, 4) and pixels.shape[-3:] == (height, width, channels):
        return pixels.movedim(-1, -3).reshape(-1, *image_shape)
    raise ValueError(
        f"{name} must have shape (N, {channels}, {height}, {width}), or that of one image, or the channels last; "
        f"got {tuple(pixels.shape)}. Resize images of another size first; hfvae.sketch.to_digit fits drawings"
    )


def split_batch(batch: Any) -> tuple[Any, Any]:
    """Split a data loader's batch into images and labels (None if it has none).

    Args:
        batch: images, a sequence that begins with images and labels, or a dict with `IMAGE_KEYS` and `LABEL_KEYS`, as
            from the `datasets` library.

    Raises:
        TypeError: anything else.
    """
    if isinstance(batch, Mapping):
        images = next((batch[key] for key in IMAGE_KEYS if key in batch), None)
        labels = next((batch[key] for key in LABEL_KEYS if key in batch), None)
        if images is not None:
            return images, labels
        raise TypeError(f"a dict batch must have one of the keys {', '.join(IMAGE_KEYS)}, got {', '.join(batch)}")
    if isinstance(batch, list | tuple) and batch:
        return batch[0], batch[1] if len(batch) > 1 else None
    if isinstance(batch, Tensor):
        return batch, None
    raise TypeError(f"a batch must be images, (images, labels) or a dict of them, got {type(batch).__name__}")
