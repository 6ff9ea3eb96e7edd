"""A model's decoder for the page: a program of few kinds of steps, and the weights in the order of its kernel.

`page/program.js` runs the program. Python is the source of truth; the page's images agree with its to 1e-3, so that
moving a slider or the pointer over the map costs the server nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models import VAE
from ..networks import ACTIVATIONS, ResidualBlock

BROWSER_ACTIVATIONS = {"relu", "leaky_relu", "elu", "silu", "tanh"}
"""Those that program.js knows."""
MAX_WEIGHTS = 4_000_000
BLOCK = 8
"""Output channels that the kernel computes at once; the page's tensors have a multiple of it."""
MIN_WIDTH = 4
"""Pixels of a line that the kernel computes at once."""

Step = dict[str, Any]


@dataclass(frozen=True)
class BrowserDecoder:
    """A decoder as the page runs it."""

    steps: list[Step]
    """What is done to a latent point (latent_dim,), in order; images have their channels last.

    Each step has a `kind`: dense (inputs, outputs), unflatten (height, width, channels), conv (inputs, outputs; 3x3,
    padded by zeros), resize (height, width; nearest), activate (function), save (for the next add), add.
    """
    weights: bytes
    """Of dense and conv steps, in order: `pack_layer` of each."""
    precision: str
    """Of the weights: float16 where that loses nothing, as with weights that were stored so, else float32."""
    finish: str
    """What is applied to the outputs: "sigmoid" or "identity"."""
    scale: float
    """The image is finish(outputs) * scale + offset, clamped to [0, 1]."""
    offset: float

    @cached_property
    def digest(self) -> str:
        """Identifies the weights in their address, so that browsers can cache them permanently."""
        return hashlib.sha256(self.weights).hexdigest()[:16]

    def describe(self, folder: str) -> dict[str, Any]:
        """What the page needs: all but the weights, and their address in `folder`."""
        fields = ("steps", "precision", "finish", "scale", "offset")
        return {**{field: getattr(self, field) for field in fields}, "address": f"{folder}/{self.digest}"}


class NotInBrowser(Exception):
    """The page has no step for a module."""


def export_decoder(vae: VAE) -> BrowserDecoder | None:
    """The decoder of a model for the page; None if the page cannot run it.

    The decoder is asked for its modules: it fits if each is of a known kind, whatever the model's class.
    """
    finish = vae.likelihood.browser_function
    overridden = type(vae).decode_image is not VAE.decode_image or type(vae).decoder_outputs is not VAE.decoder_outputs
    if finish is None or overridden or sum(weight.numel() for weight in vae.decoder.parameters()) > MAX_WEIGHTS:
        return None
    writer = _Writer(vae.image_shape)
    try:
        for module in _leaves(vae.decoder):
            writer.add(module)
        packed = torch.cat([pack_layer(*layer) for layer in writer.finished_layers()])
    except NotInBrowser:
        return None
    exact = torch.equal(packed.half().float(), packed)
    precision = "float16" if exact else "float32"
    pixels = vae.training_data.pixels
    scale, offset = (1.0, 0.0) if pixels.mean is None or pixels.std is None else (pixels.std, pixels.mean)
    numbers = packed.half() if exact else packed
    return BrowserDecoder(writer.steps, numbers.numpy().tobytes(), precision, finish, scale, offset)


def pack_layer(matrix: Tensor, bias: Tensor) -> Tensor:
    """A layer's matrix (outputs, inputs) and bias (outputs,) in the order of kernel.wat: blocks of 8 outputs.

    Each block has 8 biases, then 8 numbers for each input.
    """
    both = torch.cat([bias.unsqueeze(1), matrix], 1)
    both = F.pad(both, (0, 0, 0, -len(both) % BLOCK))
    return both.unflatten(0, (-1, BLOCK)).transpose(1, 2).flatten()


def _leaves(module: nn.Module) -> Iterator[nn.Module | str]:
    """The modules of a stack in order; a residual block's between "save" and "add"."""
    if isinstance(module, ResidualBlock):
        yield "save"
        for part in module:
            yield from _leaves(part)
        yield "add"
    elif isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        for part in module:
            yield from _leaves(part)
    else:
        yield module


class _Writer:
    """Translates a decoder's modules; refuses whatever the page's steps do not do exactly."""

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        self.steps: list[Step] = []
        self.layers: list[tuple[Tensor, Tensor]] = []
        self.image_shape = image_shape
        self.shape: tuple[int, ...] = ()  # of the tensor after the steps: (features,) or (channels, height, width)

    def add(self, module: nn.Module | str) -> None:
        """Append the step of a module.

        Raises:
            NotInBrowser: the page has no such step.
        """
        activation = _activation_name(module)
        if isinstance(module, str):
            self.steps.append({"kind": module})
        elif activation in BROWSER_ACTIVATIONS:
            self.steps.append({"kind": "activate", "function": activation})
        elif isinstance(module, nn.Linear) and module.bias is not None and len(self.shape) < 2:
            self._layer("dense", module.in_features, module.out_features, module.weight, module.bias)
            self.shape = (module.out_features,)
        elif isinstance(module, nn.Unflatten) and module.dim == 1 and len(tuple(module.unflattened_size)) == 3:
            self._unflatten(tuple(module.unflattened_size))
        elif isinstance(module, nn.Conv2d) and _is_plain_conv(module) and module.bias is not None:
            weight = _channels_last(module.weight)
            self._layer("conv", _round_up(module.in_channels), module.out_channels, weight, module.bias)
            self.shape = (module.out_channels, *self.shape[1:])
        elif isinstance(module, nn.Upsample) and module.mode == "nearest" and isinstance(module.size, tuple):
            height, width = (int(side) for side in module.size)
            self.steps.append({"kind": "resize", "height": height, "width": width})
            self.shape = (self.shape[0], height, width)
        else:
            raise NotInBrowser

    def finished_layers(self) -> list[tuple[Tensor, Tensor]]:
        """All layers, once the steps have led to an image.

        Raises:
            NotInBrowser: the steps lead elsewhere.
        """
        if self.shape != self.image_shape or self.image_shape[0] != 1:
            raise NotInBrowser
        return self.layers

    def _layer(self, kind: str, inputs: int, outputs: int, weight: Tensor, bias: Tensor) -> None:
        self.steps.append({"kind": kind, "inputs": inputs, "outputs": _round_up(outputs)})
        self.layers.append((weight.detach().float().cpu(), bias.detach().float().cpu()))

    def _unflatten(self, shape: tuple[int, ...]) -> None:
        """The dense layer before puts its outputs out with channels last, a multiple of BLOCK of them."""
        channels, height, width = shape
        if shape == self.image_shape:
            self.shape = shape
            return
        if width < MIN_WIDTH or not self.steps or self.steps[-1]["kind"] != "dense":
            raise NotInBrowser
        matrix, bias = self.layers[-1]
        both = torch.cat([bias.unsqueeze(1), matrix], 1).T.unflatten(1, shape)  # (1 + inputs, C, H, W)
        both = F.pad(both.permute(0, 2, 3, 1), (0, -channels % BLOCK)).flatten(1)
        self.layers[-1] = (both[1:].T, both[0])
        self.steps[-1]["outputs"] = both.shape[1]
        self.steps.append({"kind": "unflatten", "height": height, "width": width, "channels": _round_up(channels)})
        self.shape = shape


def _activation_name(module: nn.Module | str) -> str | None:
    """The name of an activation function with its default parameters; None for any other module."""
    return next((name for name, kind in ACTIVATIONS.items() if repr(module) == repr(kind())), None)


def _is_plain_conv(module: nn.Conv2d) -> bool:
    """Whether this is a 3x3 convolution padded by zeros to the same size."""
    fixed = (module.kernel_size, module.stride, module.padding, module.dilation, module.groups, module.padding_mode)
    return fixed == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")


def _channels_last(weight: Tensor) -> Tensor:
    """A convolution's weight (O, I, 3, 3) as a matrix (O, 3 * 3 * I'), I rounded up to a multiple of BLOCK."""
    return F.pad(weight.permute(0, 2, 3, 1), (0, -weight.shape[1] % BLOCK)).flatten(1)


def _round_up(channels: int) -> int:
    return channels + -channels % BLOCK
