"""What pays at equal training time: `python tests/tools/experiments.py --minutes 10` trains each variant for so long.

    python tests/tools/experiments.py                       all variants of the binary recipe, one after another
    python tests/tools/experiments.py normal flow10         only these
    python tests/tools/experiments.py --table               only the table of what was measured

A variant is a few settings of `train/fit.py`. How many epochs it gets follows from the time of its first steps, so that
its learning rate falls to zero within the minutes given. It is measured on validation images, never on test images, and
what was measured is kept in runs/experiments/. Needs MNIST ($HFVAE_DATA_DIR).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import paths  # noqa: F401
import torch
import yaml
from conditional_flow import ConditionalFlow  # noqa: F401  registers the posterior
from support import REPOSITORY

from hfvae import VAE, ConvVAE, MNISTDataModule, evaluation, generate, load
from hfvae.allocator import keep_freed_memory
from hfvae.evaluation import classifier, plots
from hfvae.training import VAETraining

ROOT = Path("runs/experiments")
RECIPE = "configs/mnist_conv_binary.yaml"
NLL_IMAGES, NLL_SAMPLES, DRAWS = 400, 500, 10_000
IMAGES, VALIDATION = 50_000, 10_000
PROBE_STEPS = 30


@dataclass
class Variant:
    """What differs from the base: one convolutional model with a learned prior of ten blocks."""

    prior: str
    network: str
    posterior: str
    objective: str
    vae: dict[str, Any]
    importance: float


def variant(
    *,
    blocks: int | None = 10,
    features: int = 192,
    residual: int = 1,
    latents: int = 40,
    posterior: str = "Diagonal",
    importance: float = 0.0,
    beta: float = 1.0,
) -> Variant:
    """A variant by what it changes; `importance` is the share of its epochs on the importance-weighted bound."""
    prior: dict[str, Any] = {"prior_type": "Normal", "prior_options": None}
    if blocks is not None:
        prior = {"prior_type": "Flow", "prior_options": {"blocks": blocks, "features": features}}
    return Variant(
        prior="N(0, I)" if blocks is None else f"flow, {blocks} blocks of {features}",
        network=f"{residual} residual, {latents} latents",
        posterior=posterior,
        objective=(f"ELBO, then {importance:.0%} importance-weighted" if importance else "ELBO")
        + (f", beta {beta:g}" if beta != 1 else ""),
        vae={"blocks": residual, "latent_dim": latents, "posterior_type": posterior, "beta": beta, **prior},
        importance=importance,
    )


VARIANTS = {
    "normal": variant(blocks=None),
    "normal-32": variant(blocks=None, latents=32),
    "flow4": variant(blocks=4),
    "flow10": variant(),
    "flow24": variant(blocks=24),
    "wide": variant(features=384),
    "plain": variant(residual=0),
    "residual2": variant(residual=2),
    "latents20": variant(latents=20),
    "latents32": variant(latents=32),
    "normal-flow-posterior": variant(blocks=None, posterior="ConditionalFlow"),
    "flow10-flow-posterior": variant(posterior="ConditionalFlow"),
    "importance": variant(importance=0.15),
    "normal-importance": variant(blocks=None, importance=0.15),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(VARIANTS)} (default: all)")
    parser.add_argument("--minutes", type=float, default=10, help="of training, for each variant")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="print the table of what was measured, and train nothing")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    for name in options.names or VARIANTS:
        if not options.table:
            run(name, VARIANTS[name], options.minutes, options.threads)
    table()


def run(name: str, chosen: Variant, minutes: float, threads: int) -> None:
    """Train and measure one variant, unless it was done."""
    folder = ROOT / name
    if (folder / "measured.json").is_file():
        return
    plain = {key: value if isinstance(value, str) else json.dumps(value) for key, value in chosen.vae.items()}
    settings = [f"--model.vae.init_args.{key}={value}" for key, value in plain.items()]
    command = [
        *(sys.executable, str(REPOSITORY / "train" / "fit.py"), "--config", RECIPE, "--extension=conditional_flow"),
        *settings,
        *(f"--trainer.default_root_dir={folder}", "--trainer.enable_progress_bar=false", "--model.kl_warmup_epochs=1"),
        *("--model.importance_epochs=0", "--model.importance_samples=1", f"--data.validation_images={VALIDATION}"),
    ]
    epochs = epochs_within(minutes, chosen)
    stretch = round(chosen.importance * epochs)
    if stretch:
        command += [f"--model.importance_epochs={stretch}", "--model.importance_samples=5"]
    command += [f"--trainer.max_epochs={epochs}", f"--trainer.check_val_every_n_epoch={epochs}"]
    environment = {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": str(threads)}
    started = time.monotonic()
    subprocess.run(command, check=True, env={**os.environ, **environment})
    took = (time.monotonic() - started) / 60
    vae = load(folder / "pretrained", device="cpu")
    measured = {"epochs": epochs, "minutes": took, **measure(vae)}
    (folder / "measured.json").write_text(json.dumps(measured, indent=2))
    figure = plots.image_grid(generate(vae, 60, generator=torch.Generator().manual_seed(0)), columns=12)
    figure.savefig(folder / "draws.png", dpi=80)
    print(name, measured, flush=True)


def epochs_within(minutes: float, chosen: Variant) -> int:
    """How many epochs fit, by the time of a few steps; an importance-weighted one counts as three."""
    recipe = yaml.safe_load((REPOSITORY / RECIPE).read_text())
    model = recipe["model"]
    vae = ConvVAE(**{**model["vae"]["init_args"], **chosen.vae})
    data = MNISTDataModule(**{**recipe["data"], "validation_images": VALIDATION})
    trainer = lightning.Trainer(
        max_steps=PROBE_STEPS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        gradient_clip_val=recipe["trainer"]["gradient_clip_val"],
        precision="bf16-mixed",
    )
    started = time.monotonic()
    trainer.fit(VAETraining(vae, optimizer=model["optimizer"], learning_rate=model["learning_rate"]), data)
    epoch = (time.monotonic() - started) / PROBE_STEPS * IMAGES / data.batch_size / 60
    return max(2, round(minutes / epoch / (1 + 2 * chosen.importance)))


@torch.no_grad()
def measure(vae: VAE) -> dict[str, float]:
    """Figures on validation images, and of draws from the prior."""
    vae.to(memory_format=torch.channels_last)
    pixels = vae.likelihood.evaluation_pixels(vae.training_data.pixels)
    data = MNISTDataModule(batch_size=500, **asdict(pixels))
    data.setup("fit")
    bounds = evaluation.image_bounds(vae, data.val_dataloader()).mean()
    encoded = evaluation.encode_dataset(vae, data.val_dataloader())
    first = next(iter(data.val_dataloader()))[0][:NLL_IMAGES]
    with torch.autocast("cpu", torch.bfloat16):
        nll = evaluation.image_nll(vae, [(first, torch.zeros(len(first)))], NLL_SAMPLES)
    judge = classifier.load()
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat(
        [classifier.features(judge, generate(vae, 500, generator=generator)) for _ in range(DRAWS // 500)]
    )
    verdicts = classifier.probabilities(judge, drawn)
    return {
        "elbo": bounds.elbo.item(),
        "rate": bounds.rate.item(),
        "nll": nll.mean().item(),
        "active_units": int(evaluation.active_units(encoded.codes).sum()),
        "inception_score": evaluation.inception_terms(verdicts).mean().exp().item(),
        "clear": evaluation.clear_draws(verdicts).double().mean().item(),
    }


def table(names: Sequence[str] = tuple(VARIANTS)) -> None:
    """Print what was measured, as Markdown."""
    print("| prior | network | posterior | objective | ELBO | NLL | rate | active | inception score | clear | epochs |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name in names:
        path = ROOT / name / "measured.json"
        if not path.is_file():
            continue
        chosen, got = VARIANTS[name], json.loads(path.read_text())
        print(
            f"| {chosen.prior} | {chosen.network} | {chosen.posterior} | {chosen.objective} | {got['elbo']:.2f} "
            f"| {got['nll']:.2f} | {got['rate']:.2f} | {got['active_units']} | {got['inception_score']:.2f} "
            f"| {got['clear']:.3f} | {got['epochs']} |"
        )


if __name__ == "__main__":
    main()
