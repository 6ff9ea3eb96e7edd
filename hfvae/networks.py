"""Dense and convolutional stacks for encoders and decoders: tensors in, tensors out.

A stage is a layer, its residual blocks and an activation; the last layer is linear. Decoders mirror encoders, and all
sizes in between follow from the image shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from .tensors import transformed

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
Shape = tuple[int, int, int]


def dense_stack(widths: Sequence[int], activation: str) -> nn.Sequential:
    """Linear layers of the given widths with the activation between them: (B, widths[0]) -> (B, widths[-1])."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


class ResidualBlock(nn.Sequential):
    """x + conv(act(conv(act(x)))): (B, C, H, W) -> the same (He et al. 2016, "Identity mappings").

    The last convolution starts at zero, so that each block starts as the identity and no normalisation is needed
    (Zhang et al. 2019, "Fixup").
    """

    def __init__(self, channels: int, activation: str) -> None:
        act = ACTIVATIONS[activation]
        last = nn.Conv2d(channels, channels, 3, padding=1)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        super().__init__(act(), nn.Conv2d(channels, channels, 3, padding=1), act(), last)

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


def residual_blocks(count: int, channels: int, activation: str) -> list[nn.Module]:
    return [ResidualBlock(channels, activation) for _ in range(count)]


def down_stage(inputs: int, outputs: int, blocks: int, activation: str) -> nn.Sequential:
    """Halve the resolution: (B, inputs, H, W) -> (B, outputs, ceil(H / 2), ceil(W / 2))."""
    halve = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
    return nn.Sequential(halve, *residual_blocks(blocks, outputs, activation), ACTIVATIONS[activation]())


def up_stage(inputs: int, outputs: int, size: tuple[int, int]) -> nn.Sequential:
    """Upsample to `size`, then convolve: transposed convolutions leave checkerboards (Odena et al. 2016)."""
    return nn.Sequential(nn.Upsample(size=size, mode="nearest"), nn.Conv2d(inputs, outputs, 3, padding=1))


class UnflattenFeatures(nn.Unflatten):
    """(B, C * H * W) -> (B, C, H, W) in the channels-last memory format.

    CPU convolutions return that format; mixing both formats is a tenth slower.
    """

    def forward(self, x: Tensor) -> Tensor:
        features = super().forward(x)
        if transformed(x):  # vmap does not support memory formats
            return features
        return features.contiguous(memory_format=torch.channels_last)


def feature_shapes(image_shape: Shape, channels: Sequence[int]) -> list[Shape]:
    """The shape (C, H, W) before the first and after each down stage."""
    shapes = [image_shape]
    for count in channels:
        _, height, width = shapes[-1]
        shapes.append((count, math.ceil(height / 2), math.ceil(width / 2)))
    return shapes


class DenseEncoder(nn.Sequential):
    """(B, *image_shape) -> (B, outputs)."""

    def __init__(self, image_shape: Shape, hidden_features: Sequence[int], outputs: int, activation: str) -> None:
        widths = (math.prod(image_shape), *hidden_features, outputs)
        super().__init__(nn.Flatten(), dense_stack(widths, activation))


class DenseDecoder(nn.Sequential):
    """(B, inputs) -> (B, *image_shape): the mirrored encoder."""

    def __init__(self, inputs: int, hidden_features: Sequence[int], image_shape: Shape, activation: str) -> None:
        widths = (inputs, *reversed(hidden_features), math.prod(image_shape))
        super().__init__(dense_stack(widths, activation), nn.Unflatten(1, image_shape))


class ConvEncoder(nn.Sequential):
    """(B, *image_shape) -> (B, outputs): down stages, then dense layers."""

    def __init__(
        self,
        image_shape: Shape,
        channels: Sequence[int],
        blocks: int,
        hidden_features: Sequence[int],
        outputs: int,
        activation: str,
    ) -> None:
        shapes = feature_shapes(image_shape, channels)
        stages = [down_stage(before[0], after[0], blocks, activation) for before, after in pairwise(shapes)]
        widths = (math.prod(shapes[-1]), *hidden_features, outputs)
        super().__init__(*stages, nn.Flatten(), dense_stack(widths, activation))


class ConvDecoder(nn.Sequential):
    """(B, inputs) -> (B, *image_shape): the mirrored encoder, dense layers, then up stages."""

    def __init__(
        self,
        inputs: int,
        channels: Sequence[int],
        blocks: int,
        hidden_features: Sequence[int],
        image_shape: Shape,
        activation: str,
    ) -> None:
        shapes = feature_shapes(image_shape, channels)[::-1]
        widths = (inputs, *reversed(hidden_features), math.prod(shapes[0]))
        layers: list[nn.Module] = [dense_stack(widths, activation), UnflattenFeatures(1, shapes[0])]
        for before, after in pairwise(shapes):
            layers += residual_blocks(blocks, before[0], activation)
            layers += [ACTIVATIONS[activation](), up_stage(before[0], after[0], after[1:])]
        super().__init__(*layers)
