"""Measure a model by the protocol of its likelihood and data set; write metrics.json, figures and the model card.

    python train/evaluate.py --model runs/mnist_dense/pretrained
    python train/evaluate.py --model user/name --num_samples 5000

A model is measured on the test images of the data set that it was trained on: with a Bernoulli likelihood on one
dynamic binarisation of them, else on their dequantised grey levels, unless it was trained on standardised ones.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from .. import evaluation, hub
from ..allocator import keep_freed_memory
from ..data import MNISTDataModule
from ..evaluation import metrics, plots
from ..inference import evaluating, generate, reconstruct
from ..models import VAE
from ..probability.sampling import moments
from ..version import __version__, command
from ..zoo import pick_device
from . import add_extension_option, import_extensions, model_folder

EMBEDDED = 5000
"""Test codes that t-SNE embeds for the map: half a minute of a core, where all 10,000 take up to three."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the model that `arguments` (None: the command line's) name."""
    parser = argparse.ArgumentParser(
        prog=command("evaluate"), description="Measure a model; write metrics.json, figures and the model card."
    )
    parser.add_argument("--model", required=True, metavar="DIR_OR_REPO", help="folder, bundled name or user/name")
    parser.add_argument("--revision", help="branch, tag or commit of a hub repository")
    parser.add_argument("--data_dir", help="the folder above MNIST/raw (default: $HFVAE_DATA_DIR, else data)")
    parser.add_argument("--num_samples", type=int, default=1000, help="importance samples an image")
    parser.add_argument("--seed", type=int, default=0, help="of the noise in the data and of the latent draws")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument(
        "--nll_precision",
        default="32",
        choices=["32", "bf16"],
        help="of the decoder under importance samples: bf16 takes a third of the time where the hardware has it",
    )
    parser.add_argument("--output", help="where to write (default: the model's folder; for a repo, runs/user--name)")
    add_extension_option(parser)
    options = parser.parse_args(arguments)
    import_extensions(options.extension)
    keep_freed_memory()
    try:
        if options.num_samples < 1:
            raise ValueError(f"--num_samples must be at least 1, got {options.num_samples}")
        folder = evaluate(options)
    except (hub.HubError, FileNotFoundError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    print(f"\nWrote {folder / hub.METRICS}, {folder / hub.FIGURES} and {folder / hub.CARD}. Next:")
    print(f"  {command('push')} --model {folder} --repo_id user/name")


def evaluate(options: argparse.Namespace) -> Path:
    """Measure, draw and write; returns the folder written to."""
    source = hub.ModelSource(options.model, revision=options.revision)
    vae = VAE.from_pretrained(options.model, revision=options.revision, device=pick_device(options.device))
    vae.to(memory_format=torch.channels_last)  # twice as fast through convolutions on a CPU
    folder = Path(options.output) if options.output else model_folder(source)
    data = evaluation_data(vae, options.data_dir, options.seed)
    test = evaluation.encode_dataset(vae, data.test_dataloader())
    terms = evaluation.image_bounds(vae, data.test_dataloader(), options.seed)
    measured = metrics.measure(
        vae, data, test, terms, samples=options.num_samples, halved=options.nll_precision == "bf16", seed=options.seed
    )
    for figure in measured.values():
        if isinstance(figure["value"], int | float):
            error = f"± {figure['standard_error']:.4f}" if "standard_error" in figure else ""
            print(f"{figure['name']:32} {figure['value']:10.4f} {error:9} {figure['unit']}")
    if folder != source.folder:
        vae.save_pretrained(folder)
    places = evaluation.neighbour_embedding(test.codes, options.seed, EMBEDDED)
    hub.write_latents(folder, hub.Latents(test.codes, test.labels, terms.elbo, places))
    record = {
        "command": f"{command('evaluate')} --model {options.model} --num_samples {options.num_samples}"
        + (" --nll_precision bf16" if options.nll_precision == "bf16" else ""),
        "weights_sha256": hub.sha256(folder / hub.WEIGHTS),
        "seed": options.seed,
        "versions": {"hfvae": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "metrics": measured,
    }
    hub.write_json(folder / hub.METRICS, record)
    draw_figures(vae, data, test, places, folder / hub.FIGURES)
    hub.write_card(folder, vae.facts())
    return folder


def evaluation_data(vae: VAE, data_dir: str | None, seed: int) -> MNISTDataModule:
    """The data set that the model was trained on, with its likelihood's treatment of pixels; set up.

    Raises:
        ValueError: a data set without a reader here, or whose images have another shape.
        FileNotFoundError: its files are not there and cannot be downloaded.
    """
    dataset, trained = vae.training_data.dataset, vae.training_data.pixels
    if dataset.image_shape != vae.image_shape:
        raise ValueError(f"the model takes images of shape {vae.image_shape}, and those of {dataset.name} are not")
    pixels = vae.likelihood.evaluation_pixels(trained)
    data = MNISTDataModule(data_dir, dataset.name, batch_size=64, seed=seed, **asdict(pixels))
    data.prepare_data()
    data.setup()
    return data


def draw_figures(
    vae: VAE, data: MNISTDataModule, test: evaluation.Encoded, places: Tensor | None, folder: Path
) -> None:
    """reconstructions, samples, latents and traversals, as PNG."""
    folder.mkdir(exist_ok=True)
    batch, _ = next(iter(data.test_dataloader()))
    dataset, pixels = vae.training_data.dataset, vae.training_data.pixels
    x = pixels.denormalize(batch[:12]).clamp(0, 1)
    figures = {
        "reconstructions": plots.reconstructions(x, reconstruct(vae, x)),
        "samples": plots.image_grid(generate(vae, 60, generator=torch.Generator().manual_seed(0)), columns=12),
        "traversals": plots.image_grid(generate(vae, z=traversals(vae, test.codes)), columns=11),
    }
    if vae.latent_dim > 1:
        points = evaluation.principal_axes(test.codes).project(test.codes) if places is None else places
        name = "t-SNE " if places is not None else "z" if vae.latent_dim == 2 else "principal direction "
        axes = (f"{name}1", f"{name}2")
        figures["latents"] = plots.latent_scatter(points, test.labels, dataset.class_names, axes, dataset.item)
    for name, figure in figures.items():
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=80)
        Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)  # a third of the bytes


def traversals(vae: VAE, codes: Tensor, rows: int = 6, steps: int = 11) -> Tensor:
    """The most active latents, each moved by three standard deviations of the prior around its mean.

    Returns:
        (rows * steps, latent_dim), the other latents being at the prior's mean.
    """
    with evaluating(vae):
        mean, std = (moment.cpu() for moment in moments(vae.prior))
    ranked = codes.var(0).argsort(descending=True)[:rows]
    z = mean.repeat(len(ranked), steps, 1)
    for row, latent in enumerate(ranked):
        z[row, :, latent] += std[latent] * torch.linspace(-3, 3, steps)
    return z.flatten(0, 1)
