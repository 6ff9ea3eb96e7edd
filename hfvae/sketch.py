"""Preprocess a drawing as MNIST preprocessed its digits.

MNIST's digits were scaled into a 20x20 box with their aspect ratio kept, anti-aliased, and shifted so that their centre
of mass is at the centre of a 28x28 field (LeCun, Bottou, Bengio & Haffner 1998, sec. III-A). A model trained on MNIST
needs drawings in the same format. Other data sets fill a larger box.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

FIELD = 28
BOX = 20
MIDDLE = 14
_INK = 0.05  # fraction of the peak below which ink does not count for the bounding box


def to_digit(drawing: Tensor, light_ground: bool | None = None, box: int = BOX) -> Tensor | None:
    """Scale and centre a drawing as MNIST or another data set does.

    Args:
        drawing: (H, W), grey levels of any real or integer dtype and any range; light ink on a dark ground or dark
            ink on a light one. At most 4096 pixels a side. For a PIL image use ``as_images(picture, (1, picture.height,
            picture.width))[0, 0]`` from `hfvae.images`, which also handles transparency.
        light_ground: whether the ink is darker than the background; None decides by the border.
        box: side of the square that the ink is scaled to, in pixels of the result (1 to 28).

    Returns:
        (28, 28) float32 in [0, 1], ink 1 on background 0, or None if there is no ink.

    Raises:
        TypeError: not a tensor, or complex.
        ValueError: not two-dimensional, empty, too large, or not finite.
    """
    ink = _ink(drawing, light_ground)
    peak = ink.max()
    if not peak > 0:
        return None
    ink = _crop(ink / peak, box)
    scale = max(ink.shape) / box
    digit = _resample(ink.sum(1), scale) @ ink @ _resample(ink.sum(0), scale).T
    return (digit / digit.max()).clamp(0, 1)


def _ink(drawing: Tensor, light_ground: bool | None) -> Tensor:
    """Non-negative float32 ink (H, W): the difference from the background's grey level."""
    if not isinstance(drawing, Tensor) or drawing.is_complex():
        got = drawing.dtype if isinstance(drawing, Tensor) else type(drawing).__name__
        raise TypeError(f"a drawing must be a tensor of real numbers, got {got}")
    if drawing.ndim != 2 or not min(drawing.shape) >= 1 or max(drawing.shape) > 4096:
        raise ValueError(f"a drawing must be (H, W) with 1 to 4096 pixels a side, got shape {tuple(drawing.shape)}")
    grey = drawing.float()
    if not torch.isfinite(grey).all():
        raise ValueError("a drawing must be finite, got NaN or infinity")
    low, high = grey.aminmax()
    if low == high:
        return torch.zeros_like(grey)
    if light_ground is None:
        border = torch.cat([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
        light_ground = bool(border.median() > (low + high) / 2)
    return high - grey if light_ground else grey - low


def _crop(ink: Tensor, box: int) -> Tensor:
    """Crop to the bounding box of the ink."""
    rows, columns = ((ink.amax(axis) > _INK).nonzero().flatten() for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    blur = max(1, round(max(ink.shape) / box))
    return ink[_edges(ink.amax(1), blur), _edges(ink.amax(0), blur)]


def _edges(profile: Tensor, blur: int) -> slice:
    """Cut a soft edge at half its height; blur spreads ink by up to `blur` pixels per side."""
    first, last = (int((end >= end.max() / 2).nonzero()[0]) for end in (profile[:blur], profile.flip(0)[:blur]))
    return slice(first, len(profile) - last)


def _resample(profile: Tensor, scale: float) -> Tensor:
    """Resampling matrix (28, N) along one axis: how much of each of N drawn pixels lies in each pixel of the field.

    A field pixel is the mean of the `scale` drawn pixels that it covers (exact anti-aliasing). The shift is a whole
    number of field pixels, as in MNIST, and puts the centre of mass of `profile` as near as possible to the centre of
    pixel 14 (measured on MNIST: 13.99 +- 0.29 vertically, 14.01 +- 0.29 horizontally).
    """
    places = torch.arange(len(profile), dtype=torch.float32, device=profile.device)
    centre = (places * profile).sum() / profile.sum() + 0.5
    shift = round(MIDDLE + 0.5 - float(centre) / scale)
    shift = min(max(shift, 0), FIELD - math.ceil(len(profile) / scale))
    start = (torch.arange(FIELD, dtype=torch.float32, device=profile.device)[:, None] - shift) * scale
    overlap = torch.minimum(start + scale, places + 1) - torch.maximum(start, places)
    return overlap.clamp_min(0) / scale
