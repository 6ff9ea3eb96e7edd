"""Export encoder, decoder and the prior's sampler as ONNX files or torch programs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from .inference import evaluating
from .models import VAE
from .version import __version__

BATCH = 2
"""Batch size of the traced example; the exported parts accept any."""


class MissingPackage(RuntimeError):
    """The packages needed for a format are not installed."""


class Encoder(nn.Module):
    """Images (B, *image_shape) in [0, 1] -> codes (B, latent_dim) and, if there are any, standard deviations."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        q = self.vae.encode(self.vae.training_data.pixels.normalize(image))
        std = self.vae.posterior.marginal_std(q)
        code = self.vae.posterior.code(q)
        return (code,) if std is None else (code, std)


class Decoder(nn.Module):
    """Latents (B, latent_dim) -> images (B, *image_shape) in [0, 1]."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, z: Tensor) -> Tensor:
        return self.vae.decode_image(z)


@dataclass(frozen=True)
class Part:
    """A module to export, with an example input."""

    module: nn.Module
    input_name: str
    example: Tensor
    output_names: tuple[str, ...]


def parts(vae: VAE) -> dict[str, Part]:
    """The parts of a model by name: encoder, decoder and, unless the prior is N(0, I), its sampler."""
    image = torch.rand(BATCH, *vae.image_shape, dtype=vae.density_dtype, device=vae.device)
    z = torch.zeros(BATCH, vae.latent_dim, dtype=vae.density_dtype, device=vae.device)
    encoder = Encoder(vae)
    with evaluating(vae):
        outputs = ("mean", "std")[: len(encoder(image))]
    made = {
        "encoder": Part(encoder, "image", image, outputs),
        "decoder": Part(Decoder(vae), "z", z, ("image",)),
    }
    sampler = vae.prior_module.sampler()
    if sampler is not None:
        made["prior"] = Part(sampler, "noise", z, ("z",))
    return made


def facts(vae: VAE, weights: str) -> dict[str, str]:
    """Metadata of an exported file; `weights` is the SHA-256 of the model's weights file."""
    return {
        "producer": f"hfvae {__version__}",
        "model_class": type(vae).__name__,
        "likelihood_type": vae.likelihood_type,
        "prior": vae.prior_name,
        "posterior_type": vae.posterior_type,
        "dataset": vae.training_data.dataset.name,
        "weights_sha256": weights,
    }


def write(vae: VAE, folder: Path, format: str, metadata: dict[str, str]) -> list[Path]:
    """Write each part, with a dynamic batch, to a folder; create it if missing.

    Args:
        vae: the model.
        folder: the files in it are named after the parts.
        format: ``onnx``, or ``torch`` for `torch.export.load` (.pt2).
        metadata: from `facts`.

    Returns:
        The files.

    Raises:
        MissingPackage: the packages for ONNX are not installed.
    """
    suffix, write_part = FORMATS[format]
    if format == "onnx" and importlib.util.find_spec("onnxscript") is None:
        raise MissingPackage('ONNX export needs more packages: pip install "hfvae[export]"')
    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / f"{name}{suffix}": part for name, part in parts(vae).items()}
    for path, part in files.items():
        with evaluating(part.module):
            write_part(part, path, metadata)
    return list(files)


def _write_onnx(part: Part, path: Path, metadata: dict[str, str]) -> None:
    program = torch.onnx.export(
        part.module,
        (part.example,),
        input_names=[part.input_name],
        output_names=list(part.output_names),
        dynamic_shapes=({0: "batch"},),
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # None only without dynamo
    program.model.metadata_props.update(metadata)
    program.save(path, external_data=False)


def _write_torch(part: Part, path: Path, metadata: dict[str, str]) -> None:
    program = torch.export.export(part.module, (part.example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, path, extra_files=metadata)


FORMATS: dict[str, tuple[str, Callable[[Part, Path, dict[str, str]], None]]] = {
    "onnx": (".onnx", _write_onnx),
    "torch": (".pt2", _write_torch),
}
