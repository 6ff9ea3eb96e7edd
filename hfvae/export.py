"""A model's parts for other tools: encoder, decoder and the prior's sampler, as ONNX files or as torch programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from .inference import evaluating
from .models import VAE
from .version import __version__

BATCH = 2
"""Images in the example that torch traces; the exported parts take any number."""


class MissingPackage(RuntimeError):
    """The packages that write a format are not installed."""


class Encoder(nn.Module):
    """Images (B, *image_shape) in [0, 1] -> codes (B, latent_dim) and, where the posterior has them, their spread."""

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
    """A module to export, with an example of its one input."""

    module: nn.Module
    input_name: str
    example: Tensor
    output_names: tuple[str, ...]


def parts(vae: VAE) -> dict[str, Part]:
    """The parts of a model by name: encoder, decoder and, where noise alone is no draw of the prior, its sampler."""
    image = torch.rand(BATCH, *vae.image_shape, dtype=vae.density_dtype, device=vae.device)
    z = torch.zeros(BATCH, vae.latent_dim, dtype=vae.density_dtype, device=vae.device)
    with evaluating(vae):
        outputs = ("mean", "std")[: len(Encoder(vae)(image))]
    made = {
        "encoder": Part(Encoder(vae), "image", image, outputs),
        "decoder": Part(Decoder(vae), "z", z, ("image",)),
    }
    sampler = vae.prior_module.sampler()
    if sampler is not None:
        made["prior"] = Part(sampler, "noise", z, ("z",))
    return made


def facts(vae: VAE, weights: str) -> dict[str, str]:
    """What an exported file says of itself; `weights`: the SHA-256 of the model's weights file."""
    return {
        "producer": f"hfvae {__version__}",
        "model_class": type(vae).__name__,
        "likelihood_type": vae.likelihood_type,
        "prior": vae.prior_name,
        "posterior_type": vae.posterior_type,
        "dataset": vae.training_data.dataset.name,
        "weights_sha256": weights,
    }


def write_onnx(vae: VAE, folder: Path, metadata: dict[str, str]) -> list[Path]:
    """Write each part as ``<name>.onnx``, its batch dynamic, into a folder, made if missing.

    Raises:
        MissingPackage: onnx or onnxscript is not installed.
    """
    try:
        import onnxscript  # noqa: F401  torch.onnx needs it
    except ModuleNotFoundError as error:
        raise MissingPackage('ONNX needs two packages more: pip install "hfvae[export]"') from error
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with evaluating(vae):
        for name, part in parts(vae).items():
            program = torch.onnx.export(
                part.module,
                (part.example,),
                input_names=[part.input_name],
                output_names=list(part.output_names),
                dynamic_shapes=({0: "batch"},),
                dynamo=True,
                verbose=False,
            )
            assert program is not None  # it is only without dynamo
            program.model.metadata_props.update(metadata)
            path = folder / f"{name}.onnx"
            program.save(path, external_data=False)
            written.append(path)
    return written


def write_torch(vae: VAE, folder: Path, metadata: dict[str, str]) -> list[Path]:
    """Write each part as ``<name>.pt2``, for `torch.export.load`, its batch dynamic, into a folder, made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with evaluating(vae):
        for name, part in parts(vae).items():
            dynamic = ({0: torch.export.Dim("batch")},)
            program = torch.export.export(part.module, (part.example,), dynamic_shapes=dynamic)
            path = folder / f"{name}.pt2"
            torch.export.save(program, path, extra_files=metadata)
            written.append(path)
    return written


WRITERS = {"onnx": write_onnx, "torch": write_torch}
