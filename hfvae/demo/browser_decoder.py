"""Which decoders the page can run itself, and what it needs for it (shared/decoder.js)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from ..models import VAE
from ..networks import ACTIVATIONS

BROWSER_ACTIVATIONS = {"relu", "leaky_relu", "elu", "silu", "tanh"}
"""Those that decoder.js knows."""
MAX_WEIGHTS = 4_000_000


class ExportedDecoder(NamedTuple):
    """A decoder of dense layers."""

    layers: list[tuple[Tensor, Tensor]]
    """Each layer's matrix (outputs, inputs) and bias (outputs,), float32 on the CPU."""
    activations: list[str]
    """The activation after each layer but the last."""
    finish: str
    """What follows the last layer: "sigmoid" or "identity"."""
    scale: float
    """The image is finish(outputs) * scale + offset, clamped to [0, 1]."""
    offset: float

    @property
    def widths(self) -> list[int]:
        return [self.layers[0][0].shape[1], *(matrix.shape[0] for matrix, _ in self.layers)]


def export_decoder(vae: VAE) -> ExportedDecoder | None:
    """The decoder of a model for the page; None if the page cannot run it."""
    finish = vae.likelihood.browser_function
    overridden = type(vae).decode_image is not VAE.decode_image or type(vae).decoder_outputs is not VAE.decoder_outputs
    modules = [module for module in vae.decoder.modules() if not list(module.children())]
    linear = modules[0:-1:2]
    activations = [_activation_name(module) for module in modules[1:-2:2]]
    stacked = (
        len(modules) % 2 == 0
        and isinstance(modules[-1], nn.Unflatten)
        and all(isinstance(module, nn.Linear) and module.bias is not None for module in linear)
        and isinstance(vae.decoder, nn.Sequential)
    )
    if finish is None or overridden or not stacked or not set(activations) <= BROWSER_ACTIVATIONS:
        return None
    if sum(weight.numel() for weight in vae.decoder.parameters()) > MAX_WEIGHTS:
        return None
    layers = [(_plain(layer.weight), _plain(layer.bias)) for layer in linear]  # type: ignore[arg-type]
    pixels = vae.training_data.pixels
    scale, offset = (1.0, 0.0) if pixels.mean is None or pixels.std is None else (pixels.std, pixels.mean)
    return ExportedDecoder(layers, [str(name) for name in activations], finish, scale, offset)


def _activation_name(module: nn.Module) -> str | None:
    """The name of an activation function with its default parameters; None for any other module."""
    return next((name for name, kind in ACTIVATIONS.items() if repr(module) == repr(kind())), None)


def _plain(parameter: Tensor) -> Tensor:
    return parameter.detach().float().cpu()
