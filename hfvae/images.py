"""Images and batches as people have them, PIL, NumPy or torch, as the tensors that a model takes."""

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


def as_images(value: Any, image_shape: Shape, name: str = "x") -> Tensor:
    """One image or a batch of them as a tensor (N, *image_shape) of floats, pixels in [0, 1].

    Args:
        value: a PIL image, a NumPy array or a tensor, or a list of these. Arrays and tensors are (H, W), (C, H, W) or
            (H, W, C), or a batch of one of these; (H, W) is for grey images. Their pixels are floats, taken as they
            are, or uint8 from 0 to 255, or bool. PIL images are converted to grey or RGB, as `image_shape` asks.
        image_shape: (C, H, W) of the images that the model takes.
        name: what an error calls the value.

    Returns:
        float32, or the dtype of a float tensor or array; on a tensor's own device.

    Raises:
        TypeError: no images, or pixels of another dtype.
        ValueError: another size; nothing is resized.
    """
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError(f"{name} is an empty list of images")
        return torch.cat([as_images(image, image_shape, f"{name}[{i}]") for i, image in enumerate(value)])
    return arranged(_floats(_tensor(value, image_shape, name), name), image_shape, name)


def _tensor(value: Any, image_shape: Shape, name: str) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if hasattr(value, "convert"):  # a PIL image, known by its method: Pillow is not imported for this
        value = np.asarray(value.convert("L" if image_shape[0] == 1 else "RGB"))
    if not isinstance(value, np.ndarray):
        raise TypeError(
            f"{name} must be a PIL image, a NumPy array, a tensor or a list of these, got {type(value).__name__}"
        )
    try:
        return torch.from_numpy(np.array(value))  # a copy: arrays may be read-only, or run backwards
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
        "is it uint8 data in another type? Then convert it"
    )


def arranged(pixels: Tensor, image_shape: Shape, name: str = "x") -> Tensor:
    """Pixels of any dtype in one of the layouts that `as_images` takes, as (N, *image_shape).

    Raises:
        ValueError: none of these layouts.
    """
    channels, height, width = image_shape
    if pixels.ndim in (3, 4) and pixels.shape[-3:] == image_shape:
        return pixels.reshape(-1, *image_shape)
    if channels == 1 and pixels.ndim in (2, 3) and pixels.shape[-2:] == (height, width):
        return pixels.reshape(-1, *image_shape)
    if pixels.ndim in (3, 4) and pixels.shape[-3:] == (height, width, channels):
        return pixels.movedim(-1, -3).reshape(-1, *image_shape)
    raise ValueError(
        f"{name} must have shape (N, {channels}, {height}, {width}), or that of one image, or have its channels last; "
        f"got {tuple(pixels.shape)}. Images of another size must be resized first; hfvae.sketch frames drawings"
    )


def split_batch(batch: Any) -> tuple[Any, Any]:
    """The images of a data loader's batch, and its labels, or None where it has none.

    Args:
        batch: images alone, a sequence that begins with images and labels, or a dict that has them under the names of
            `IMAGE_KEYS` and `LABEL_KEYS`, as the `datasets` library's do.

    Raises:
        TypeError: anything else.
    """
    if isinstance(batch, Mapping):
        images = next((batch[key] for key in IMAGE_KEYS if key in batch), None)
        labels = next((batch[key] for key in LABEL_KEYS if key in batch), None)
        if images is not None:
            return images, labels
        raise TypeError(f"a batch that is a dict must have one of {', '.join(IMAGE_KEYS)}, got {', '.join(batch)}")
    if isinstance(batch, list | tuple) and batch:
        return batch[0], batch[1] if len(batch) > 1 else None
    if isinstance(batch, Tensor):
        return batch, None
    raise TypeError(f"a batch must be images, (images, labels) or a dict of them, got {type(batch).__name__}")
