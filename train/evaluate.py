"""Measure a model with the one protocol for all of them; write metrics.json, figures and the model card.

    python train/evaluate.py --model runs/mnist_dense/pretrained
    python train/evaluate.py --model user/name --num_samples 5000

Bernoulli models are measured on one dynamic binarisation of the test set, all others on its dequantised grey levels.
"""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))  # so that a clone works without installing the package

import classifier  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from torch import Tensor  # noqa: E402

from hfvae import (  # noqa: E402
    VAE,
    MNISTDataModule,
    __version__,
    encode_loader,
    evaluation,
    generate,
    hub,
    plots,
    reconstruct,
)
from hfvae.allocator import keep_freed_memory  # noqa: E402
from hfvae.models import Bound  # noqa: E402
from hfvae.zoo import pick_device  # noqa: E402

NEIGHBOURS = 15
IMAGES = "10,000 test images"
SAMPLES, BATCH = 10_000, 500


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a model; write metrics.json, figures and the model card.")
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
    arguments = parser.parse_args()
    keep_freed_memory()
    try:
        if arguments.num_samples < 1:
            raise ValueError(f"--num_samples must be at least 1, got {arguments.num_samples}")
        folder = evaluate(arguments)
    except (hub.HubError, FileNotFoundError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    print(f"\nWrote {folder / hub.METRICS}, {folder / 'figures'} and {folder / hub.CARD}. Next:")
    print(f"  python train/push.py --model {folder} --repo_id user/name")


def evaluate(arguments: argparse.Namespace) -> Path:
    source = hub.Source(arguments.model, revision=arguments.revision)
    vae = VAE.from_pretrained(arguments.model, revision=arguments.revision, device=pick_device(arguments.device))
    vae.to(memory_format=torch.channels_last)  # twice as fast through convolutions on a CPU
    folder = Path(arguments.output) if arguments.output else source.folder
    if folder is None:
        folder = Path("runs") / arguments.model.replace("/", "--")
    binary = vae.likelihood_type == "Bernoulli"
    options: dict[str, Any] = {"binarize": "dynamic"} if binary else {"dequantize": True}
    data = MNISTDataModule(arguments.data_dir, batch_size=64, seed=arguments.seed, **options)
    data.prepare_data()
    data.setup()
    test = evaluation.Encoded(*encode_loader(vae, data.test_dataloader(), return_targets=True))
    bounds = evaluation.image_bounds(vae, data.test_dataloader(), arguments.seed)
    metrics = measure(vae, data, test, bounds, arguments)
    for metric in metrics.values():
        if isinstance(metric["value"], int | float):
            print(f"{metric['name']:32} {metric['value']:10.4f} {metric['unit']}")
    if folder != source.folder:
        vae.save_pretrained(folder)
    hub.write_latents(folder, hub.Latents(test.mean, test.labels, bounds.elbo))
    record = {
        "command": f"python train/evaluate.py --model {arguments.model} --num_samples {arguments.num_samples}"
        + (" --nll_precision bf16" if arguments.nll_precision == "bf16" else ""),
        "weights_sha256": hub.sha256(folder / hub.WEIGHTS),
        "seed": arguments.seed,
        "versions": {"hfvae": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "metrics": metrics,
    }
    hub.write_json(folder / hub.METRICS, record)
    draw_figures(vae, data, test, folder / hub.FIGURES)
    hub.write_card(folder)
    return folder


def measure(
    vae: VAE, data: MNISTDataModule, test: evaluation.Encoded, bounds: Bound, arguments: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Every figure with its unit and the protocol it was measured by."""
    num_samples, seed, halved = arguments.num_samples, arguments.seed, arguments.nll_precision == "bf16"
    binary = vae.likelihood_type == "Bernoulli"
    pixels = "one dynamic binarisation" if binary else "dequantised (k + u) / 256"
    bounded = ", lambda in [1e-4, 1 - 1e-4]" if vae.likelihood_type == "ContinuousBernoulli" else ""
    likelihood = f"{IMAGES}, {pixels}{bounded}, seed {seed}"
    codes = f"posterior means of {IMAGES} ({pixels})"
    train = evaluation.Encoded(*encode_loader(vae, data.plain_train_dataloader(), return_targets=True))
    bound = bounds.mean()
    with torch.autocast(vae.device.type, torch.bfloat16, enabled=halved):
        nll = evaluation.mean_nll(vae, data.test_dataloader(), num_samples, seed)
    weighted = f"importance-weighted, {num_samples} samples an image" + (", networks in bfloat16" if halved else "")
    nats = "nats per image"

    def metric(name: str, value: float | list[float], unit: str, protocol: str) -> dict[str, Any]:
        return {"name": name, "value": value, "unit": unit, "protocol": protocol}

    return {
        "elbo": metric("ELBO", bound.elbo.item(), nats, f"{likelihood}, one posterior draw an image"),
        "rate": metric("Rate", bound.rate.item(), nats, f"KL(q(z|x) || p(z)) in closed form; {likelihood}"),
        "distortion": metric("Distortion", bound.distortion.item(), nats, f"{likelihood}, one posterior draw an image"),
        "nll": metric("NLL", nll.item(), nats, f"{likelihood}, {weighted}"),
        "active_units": metric(
            "Active units",
            int(evaluation.active_units(test.mean).sum()),
            f"of {vae.latent_dim}",
            f"variance of the mean above {evaluation.ACTIVE_VARIANCE}; {codes}",
        ),
        "latent_kl": metric("KL of each latent", evaluation.latent_kl(test).tolist(), nats, codes),
        "knn_accuracy": metric(
            "15-NN accuracy",
            evaluation.knn_accuracy(train, test, NEIGHBOURS),
            "",
            f"{codes}, {len(train.labels):,} training codes as neighbours",
        ),
        "probe_accuracy": metric(
            "Linear-probe accuracy",
            evaluation.linear_probe_accuracy(train, test),
            "",
            f"logistic regression on {len(train.labels):,} standardised training codes; {codes}",
        ),
        "inception_score": metric(
            "Inception score",
            inception_score(vae, seed),
            "of 10",
            f"pictures of {SAMPLES:,} draws from the prior, seed {seed}, judged by train/classifier.safetensors",
        ),
        "reconstruction_mse": metric(
            "Reconstruction error",
            evaluation.reconstruction_error(vae, data.test_dataloader()),
            "mean squared, a pixel",
            f"picture of the posterior mean against {IMAGES} ({pixels})",
        ),
    }


def inception_score(vae: VAE, seed: int) -> float:
    judge, generator = classifier.load(), torch.Generator().manual_seed(seed)
    verdicts = [
        classifier.probabilities(judge, generate(vae, BATCH, generator=generator)) for _ in range(SAMPLES // BATCH)
    ]
    return evaluation.inception_score(torch.cat(verdicts))


def draw_figures(vae: VAE, data: MNISTDataModule, test: evaluation.Encoded, folder: Path) -> None:
    """reconstructions, samples, latents and traversals, as PNG."""
    folder.mkdir(exist_ok=True)
    x, _ = next(iter(data.test_dataloader()))
    points = evaluation.principal_axes(test.mean).project(test.mean)
    axes = ("z1", "z2") if vae.latent_dim == 2 else ("principal direction 1", "principal direction 2")
    figures = {
        "reconstructions": plots.reconstructions(x[:12], reconstruct(vae, x[:12])),
        "samples": plots.image_grid(generate(vae, 60, generator=torch.Generator().manual_seed(0)), columns=12),
        "latents": plots.latent_scatter(points, test.labels, axes),
        "traversals": plots.image_grid(generate(vae, z=traversals(test.mean)), columns=11),
    }
    for name, figure in figures.items():
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=80)
        Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)  # a third of the bytes


def traversals(z_mu: Tensor, rows: int = 6, steps: int = 11) -> Tensor:
    """(rows * steps, latent_dim): each of the most active latents from -3 to 3, the others at 0."""
    ranked = z_mu.var(0).argsort(descending=True)[:rows]
    z = torch.zeros(len(ranked), steps, z_mu.shape[1])
    for row, latent in enumerate(ranked):
        z[row, :, latent] = torch.linspace(-3, 3, steps)
    return z.flatten(0, 1)


if __name__ == "__main__":
    main()
