"""How fast training is: `python tests/tools/benchmark_training.py` prints ratios, each measured in one run.

    density     the continuous Bernoulli's density with its gradient, against torch's own and the cross entropy
    recipes     train/fit.py against a bare loop, and against PIL transforms image by image (an epoch or more each)
    settings    precision and memory format: images a second
    precision   what bfloat16 costs: the validation ELBO of short trainings in either precision, seed by seed
    growth      images a second against batch size, latents and channels

Results go to a JSON file and a plot beside it. Needs MNIST ($HFVAE_DATA_DIR).
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import lightning
import paths  # noqa: F401
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from support import REPOSITORY
from torch import Tensor
from torch.distributions import kl_divergence
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import MNIST

from hfvae import VAE, ContinuousBernoulli, ConvVAE, DenseVAE, MNISTDataModule, hub
from hfvae.allocator import keep_freed_memory
from hfvae.likelihoods import ContinuousBernoulliLikelihood
from hfvae.sampling import rsample
from hfvae.training import VAETraining
from hfvae.training.optimizers import OPTIMIZERS

LIMIT = ContinuousBernoulliLikelihood.limit
DATA = os.environ.get("HFVAE_DATA_DIR", "data")
Results = dict[str, Any]


def side_by_side(calls: dict[str, Callable[[], object]], rounds: int = 15, repeats: int = 20) -> dict[str, float]:
    """Median milliseconds of each call, taken in turns so that a busy machine is busy for all of them."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            for _ in range(repeats):
                call()
            times[name].append((time.perf_counter() - started) / repeats * 1e3)
    return {name: statistics.median(each) for name, each in times.items()}


def density(_: Path) -> Results:
    x, eta = torch.rand(256, 784), (4 * torch.randn(256, 784)).requires_grad_()

    def backward(log_prob: Tensor) -> None:
        log_prob.sum().backward()
        eta.grad = None

    took = side_by_side(
        {
            "hfvae": lambda: backward(ContinuousBernoulli(eta, limit=LIMIT).log_prob(x)),
            "torch": lambda: backward(torch.distributions.ContinuousBernoulli(logits=eta).log_prob(x)),
            "hfvae, unchecked": lambda: backward(ContinuousBernoulli(eta, LIMIT, validate_args=False).log_prob(x)),
            "cross entropy": lambda: backward(F.binary_cross_entropy_with_logits(eta, x, reduction="none")),
        }
    )
    print(
        f"density, forward and backward, 256x784: {took['hfvae']:.2f} ms; "
        f"torch takes {took['torch'] / took['hfvae']:.1f}x as long (asked: 4). With unchecked input, as the cross "
        f"entropy's, {took['hfvae, unchecked'] / took['cross entropy']:.2f}x as long as that (asked: at most 2.5)"
    )
    return took


class Bare:
    """A training loop with nothing around it: the recipe's model, batches, precision and optimiser."""

    def __init__(
        self,
        vae: VAE,
        batches: Iterator[Tensor],
        dtype: torch.dtype = torch.bfloat16,
        memory_format: torch.memory_format = torch.channels_last,
        optimizer: str = "adam",
    ) -> None:
        self.vae = vae.to(memory_format=memory_format)
        self.batches = batches
        self.dtype = dtype
        self.optimizer = OPTIMIZERS[optimizer](vae, 1e-4, True)
        self.images(3)

    def images(self, steps: int) -> int:
        """Train for `steps` steps; returns the number of images they took."""
        seen = 0
        for x in islice(self.batches, steps):
            self.optimizer.zero_grad()
            with torch.autocast("cpu", self.dtype, enabled=self.dtype is not torch.float32):
                bound = self.vae.elbo(x)
            (bound.distortion + bound.rate).mean().backward()
            self.optimizer.step()
            seen += len(x)
        return seen


class Ancestor(Bare):
    """The published pipeline: PIL transforms image by image, batches of 32, float32, torch's continuous Bernoulli."""

    def __init__(self, vae: VAE) -> None:
        turned = transforms.Compose([transforms.RandomRotation(5), transforms.ToTensor()])
        loader = DataLoader(MNIST(DATA, transform=turned), batch_size=32, shuffle=True)
        super().__init__(vae, (x for x, _ in forever(loader)), torch.float32, torch.contiguous_format)

    def images(self, steps: int) -> int:
        seen = 0
        for x in islice(self.batches, steps):
            q = self.vae.encode(x)
            p = torch.distributions.ContinuousBernoulli(logits=self.vae.decoder(rsample(q)))
            loss = kl_divergence(q, self.vae.prior).mean() - p.log_prob(x).sum((1, 2, 3)).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            seen += len(x)
        return seen


def forever(loader: DataLoader[Any]) -> Iterator[Any]:
    while True:
        yield from loader


def rate(loop: Bare, steps: int) -> float:
    """Images a second."""
    started = time.perf_counter()
    seen = loop.images(steps)
    return seen / (time.perf_counter() - started)


def fit_rate(config: Path, epochs: int, folder: Path) -> float:
    """Images a second of train/fit.py from its first logged step to its last, validation and checkpoints included."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    command = [sys.executable, "train/fit.py", f"--config={config}", f"--trainer.default_root_dir={folder}"]
    settings = [f"--trainer.max_epochs={epochs}", "--trainer.log_every_n_steps=10"]
    subprocess.run([*command, *settings], cwd=REPOSITORY, check=True, capture_output=True)
    events = EventAccumulator(str(folder / "logs"))
    events.Reload()
    first, *_, last = events.Scalars("train/elbo")
    images = (last.step - first.step) * recipe(config)["data"]["batch_size"]
    return images / (last.wall_time - first.wall_time)


def recipe(config: Path) -> dict[str, Any]:
    import yaml

    return yaml.safe_load(config.read_text())


def recipe_vae(config: Path) -> VAE:
    vae = recipe(config)["model"]["vae"]
    kind: type[VAE] = {"DenseVAE": DenseVAE, "ConvVAE": ConvVAE}[vae["class_path"].split(".")[-1]]
    return kind(**vae.get("init_args", {}))


def recipe_batches(config: Path) -> Iterator[Tensor]:
    data = MNISTDataModule(**recipe(config)["data"])
    data.setup("fit")
    return (x for x, _ in forever(data.train_dataloader()))


def loop_rate(kind: str, config: Path, steps: int) -> float:
    """Images a second of one of LOOPS, in a process of its own, where its memory is its own."""
    command = [sys.executable, __file__, "--loop", kind, str(config), str(steps)]
    return float(subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout)


def bare(config: Path) -> Bare:
    return Bare(recipe_vae(config), recipe_batches(config), optimizer=recipe(config)["model"].get("optimizer", "adam"))


def bare_kept(config: Path) -> Bare:
    keep_freed_memory()
    return bare(config)


def ancestor(config: Path) -> Bare:
    return Ancestor(DenseVAE() if "dense" in config.stem else ConvVAE())


LOOPS = {"bare loop": bare, "bare loop that keeps freed memory": bare_kept, "ancestor": ancestor}


def recipes(folder: Path) -> Results:
    results: Results = {}
    for name, epochs, steps in (("mnist_dense", 11, 300), ("mnist_conv", 2, 100), ("mnist_conv_plain", 2, 200)):
        config = REPOSITORY / "configs" / f"{name}.yaml"
        before = {kind: loop_rate(kind, config, steps) for kind in LOOPS}
        ours = fit_rate(config, epochs, folder / name)
        after = {kind: loop_rate(kind, config, steps) for kind in LOOPS}
        rates = {kind: (before[kind] + after[kind]) / 2 for kind in LOOPS}
        results[name] = {"train/fit.py": ours, **rates}
        print(f"{name}: train/fit.py {ours:,.0f} images/s")
        for kind, speed in rates.items():
            print(f"    {ours / speed:.2f} times the {kind}'s {speed:,.0f}")
    return results


def settings(_: Path) -> Results:
    results: Results = {}
    for name in ("mnist_dense", "mnist_conv"):
        config = REPOSITORY / "configs" / f"{name}.yaml"
        for dtype in (torch.float32, torch.bfloat16):
            for layout in (torch.contiguous_format, torch.channels_last):
                loop = Bare(recipe_vae(config), recipe_batches(config), dtype, layout)
                key = f"{name}, {str(dtype).split('.')[1]}, {str(layout).split('.')[1]}"
                results[key] = rate(loop, 40)
                print(f"{key}: {results[key]:,.0f} images/s")
    return results


def precision(folder: Path) -> Results:
    results: Results = {}
    for name, epochs, seeds in (("mnist_dense", 10, 6), ("mnist_conv_plain", 1, 4)):
        elbos = {
            setting: [
                trained_elbo(REPOSITORY / "configs" / f"{name}.yaml", setting, epochs, seed) for seed in range(seeds)
            ]
            for setting in ("32-true", "bf16-mixed")
        }
        gains = [half - full for full, half in zip(*elbos.values(), strict=True)]
        error = statistics.stdev(gains) / len(gains) ** 0.5
        results[name] = elbos
        print(
            f"{name}, {epochs} epochs: bfloat16 gains {statistics.mean(gains):.2f} ± {error:.2f} nats ({seeds} seeds)"
        )
    return results


def trained_elbo(config: Path, setting: Any, epochs: int, seed: int) -> float:
    lightning.seed_everything(seed, verbose=False)
    training = VAETraining(**{**recipe(config)["model"], "vae": recipe_vae(config)})
    trainer = lightning.Trainer(
        max_epochs=epochs,
        precision=setting,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(training, MNISTDataModule(**recipe(config)["data"]))
    return trainer.callback_metrics["val/elbo"].item()


def growth(_: Path) -> Results:
    """One thing varied at a time; batches lie ready in memory."""

    def images_a_second(vae: VAE, batch_size: int) -> float:
        x = torch.rand(batch_size, *vae.image_shape)
        loop = Bare(vae, cycle([x]))
        return rate(loop, max(4, 4096 // batch_size))

    sizes = (16, 32, 64, 128, 256, 512, 1024)
    latents = (2, 8, 32, 128, 512)
    channels = (8, 16, 32, 64, 128)
    results: Results = {
        "batch size": {
            "DenseVAE()": {size: images_a_second(DenseVAE(), size) for size in sizes},
            "ConvVAE()": {size: images_a_second(ConvVAE(), size) for size in sizes},
            "ConvVAE(blocks=2)": {size: images_a_second(ConvVAE(blocks=2), size) for size in sizes},
        },
        "latents": {
            "DenseVAE(), batch 256": {size: images_a_second(DenseVAE(latent_dim=size), 256) for size in latents},
            "ConvVAE(), batch 128": {size: images_a_second(ConvVAE(latent_dim=size), 128) for size in latents},
        },
        "channels": {
            "ConvVAE((c, 2c)), batch 128": {c: images_a_second(ConvVAE((c, 2 * c)), 128) for c in channels},
            "ConvVAE((c, 2c), blocks=2), batch 128": {
                c: images_a_second(ConvVAE((c, 2 * c), blocks=2), 128) for c in channels
            },
        },
    }
    for varied, curves in results.items():
        for label, curve in curves.items():
            row = ", ".join(f"{size}: {speed:,.0f}" for size, speed in curve.items())
            print(f"images/s against {varied}, {label}: {row}")
    return results


def plot(results: Results, path: Path) -> None:
    figure = Figure(figsize=(12, 4), layout="constrained")
    for axes, (varied, curves) in zip(figure.subplots(1, len(results)), results.items(), strict=True):
        for label, curve in curves.items():
            axes.loglog(list(curve), list(curve.values()), "o-", label=label)
        axes.set(xlabel=varied, ylabel="images a second")
        axes.legend()
    figure.savefig(path, dpi=100)


PARTS: dict[str, Callable[[Path], Results]] = {
    "density": density,
    "recipes": recipes,
    "settings": settings,
    "precision": precision,
    "growth": growth,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to measure (default: everything)")
    parser.add_argument("--output", type=Path, default=Path("runs/benchmark_training.json"))
    parser.add_argument("--loop", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.loop:
        kind, config, steps = arguments.loop
        print(rate(LOOPS[kind](Path(config)), int(steps)))
        return
    keep_freed_memory()  # as train/fit.py does
    results: Results = {
        "machine": f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for part in arguments.parts or PARTS:
            results[part] = PARTS[part](Path(scratch))
            hub.write_json(arguments.output, results)
    if "growth" in results:
        plot(results["growth"], arguments.output.with_suffix(".png"))
    print(f"Wrote {arguments.output}")


if __name__ == "__main__":
    main()
