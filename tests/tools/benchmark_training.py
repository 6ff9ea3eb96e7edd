"""How fast training is: `python tests/tools/benchmark_training.py` prints ratios, each measured in one run.

    loop        train/fit.py in turns with a bare loop, and with PIL transforms image by image
    quality     minutes from `python train/fit.py` to the ancestor's final ELBO, against its own pipeline's
    density     the continuous Bernoulli's density with its gradient, against torch's own and the cross entropy
    compile     what torch.compile and precision bring for a step of each recipe
    processes   two processes against one, with two threads each where there are four cores
    precision   what bfloat16 costs: the validation ELBO of short trainings in either precision, seed by seed
    growth      images a second against batch size, latents and channels
    gpu         every recipe on the GPU: images a second, share of the time in which the GPU works

Results go to a JSON file, with the processor's flags, and a plot beside it. Needs MNIST ($HFVAE_DATA_DIR).
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import lightning
import paths  # noqa: F401
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback
from matplotlib.figure import Figure
from support import REPOSITORY
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torch.distributions import kl_divergence
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import MNIST

from hfvae import VAE, ContinuousBernoulli, ConvVAE, DenseVAE, MNISTDataModule, hub, load
from hfvae.allocator import keep_freed_memory
from hfvae.evaluation import image_bounds
from hfvae.probability.likelihoods import ContinuousBernoulliLikelihood
from hfvae.probability.sampling import rsample
from hfvae.training import VAETraining
from hfvae.training.hardware import has_fast_bf16
from hfvae.training.optimizers import OPTIMIZERS

LIMIT = ContinuousBernoulliLikelihood.limit
FASTEST = torch.bfloat16 if has_fast_bf16() else torch.float32
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

    @torch.compile
    def compiled(eta: Tensor, x: Tensor) -> Tensor:
        return ContinuousBernoulli(logits=eta, validate_args=False, limit=LIMIT).log_prob(x)

    took = side_by_side(
        {
            "hfvae": lambda: backward(ContinuousBernoulli(logits=eta, limit=LIMIT).log_prob(x)),
            "torch": lambda: backward(torch.distributions.ContinuousBernoulli(logits=eta).log_prob(x)),
            "hfvae, unchecked": lambda: backward(
                ContinuousBernoulli(logits=eta, validate_args=False, limit=LIMIT).log_prob(x)
            ),
            "hfvae, compiled": lambda: backward(compiled(eta, x)),
            "cross entropy": lambda: backward(F.binary_cross_entropy_with_logits(eta, x, reduction="none")),
        }
    )
    print(
        f"density, forward and backward, 256x784: {took['hfvae']:.2f} ms; "
        f"torch takes {took['torch'] / took['hfvae']:.1f}x as long. With unchecked input, as the cross entropy's, "
        f"{took['hfvae, unchecked'] / took['cross entropy']:.2f}x as long as that; compiled, "
        f"{took['hfvae, compiled'] / took['cross entropy']:.2f}x"
    )
    return took


class Bare:
    """A training loop with nothing around it: the recipe's model, batches, precision, clipping and optimizer."""

    def __init__(
        self,
        vae: VAE,
        batches: Iterator[Tensor],
        dtype: torch.dtype = FASTEST,
        memory_format: torch.memory_format = torch.channels_last,
        optimizer: str = "adam",
        compiled: bool = False,
        clip: float | None = None,
    ) -> None:
        self.vae = vae.to(memory_format=memory_format)
        self.elbo = torch.compile(vae.elbo) if compiled else vae.elbo
        self.size = 0
        self.batches = batches
        self.dtype = dtype
        self.optimizer = OPTIMIZERS[optimizer](vae, 1e-4, True, 0.0)
        self.clip = clip
        self.weights = list(vae.parameters())
        self.images(3)

    def images(self, steps: int) -> int:
        """Train for `steps` steps; returns the number of images they took."""
        seen = 0
        for x in islice(self.batches, steps):
            self.optimizer.zero_grad()
            self.size = self.size or len(x)
            with torch.autocast("cpu", self.dtype, enabled=self.dtype is not torch.float32):
                bound = self.elbo(x) if len(x) == self.size else self.vae.elbo(x)
            (bound.distortion + bound.rate).mean().backward()
            if self.clip:
                torch.nn.utils.clip_grad_norm_(self.weights, self.clip)
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


def fit_command(config: Path, epochs: int, folder: Path, *settings: str) -> list[str]:
    """train/fit.py as a user starts it."""
    command = [sys.executable, "train/fit.py", f"--config={config}", f"--trainer.default_root_dir={folder}"]
    return [*command, f"--trainer.max_epochs={epochs}", *settings]


def fit_progress(config: Path, folder: Path) -> tuple[int, float, float]:
    """Images from train/fit.py's first logged step to its last, and when these were."""
    events = EventAccumulator(str(folder / "logs"))
    events.Reload()
    first, *_, last = events.Scalars("train/elbo")
    return (last.step - first.step) * recipe(config)["data"]["batch_size"], first.wall_time, last.wall_time


def fit_rate(config: Path, epochs: int, folder: Path, *settings: str) -> float:
    """Images a second of train/fit.py from its first logged step to its last, validation and checkpoints included."""
    subprocess.run(fit_command(config, epochs, folder, *settings), cwd=REPOSITORY, check=True, capture_output=True)
    images, begun, ended = fit_progress(config, folder)
    return images / (ended - begun)


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
    command = loop_command(kind, config, steps)
    done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    images, begun, ended = loop_progress(done.stdout)
    return images / (ended - begun)


def loop_command(kind: str, config: Path, steps: int) -> list[str]:
    return [sys.executable, __file__, "--loop", kind, str(config), str(steps)]


def run_loop(kind: str, config: Path, steps: int) -> None:
    """Train by one of LOOPS; a line every ten steps says when, and how many images there were until then."""
    trained = LOOPS[kind](config)
    trained.images(5)
    images = 0
    print(time.time(), images, flush=True)
    for _ in range(0, steps, 10):
        images += trained.images(10)
        print(time.time(), images, flush=True)


def loop_progress(output: str) -> tuple[float, float, float]:
    """Images from the first to the last line that `run_loop` wrote, and when these were; warnings are left out."""
    lines = [tuple(map(float, line.split())) for line in output.splitlines() if line[:1].isdigit()]
    (begun, _), *_, (ended, images) = lines
    return images, begun, ended


Interval = tuple[float, float]


def in_turns(commands: Sequence[list[str]], outputs: Sequence[Path], seconds: float = 3.0) -> list[list[Interval]]:
    """Run programs in turns until the first has ended, since a shared machine's speed drifts; returns their turns."""
    programs, turns = [], []
    for command, output in zip(commands, outputs, strict=True):
        with output.open("w") as file:
            programs.append(subprocess.Popen(command, cwd=REPOSITORY, stdout=file, stderr=subprocess.STDOUT))
        programs[-1].send_signal(signal.SIGSTOP)
        turns.append([])
    try:
        while programs[0].poll() is None:
            for program, its_turns in zip(programs, turns, strict=True):
                begun = time.time()
                program.send_signal(signal.SIGCONT)
                with suppress(subprocess.TimeoutExpired):
                    program.wait(seconds)
                program.send_signal(signal.SIGSTOP)
                its_turns.append((begun, time.time()))
    finally:
        for program in programs:
            program.kill()
            program.wait()
    if programs[0].returncode:
        raise RuntimeError(f"{shlex.join(commands[0])} failed: {outputs[0].read_text()[-2000:]}")
    return turns


def taken(turns: list[Interval], begun: float, ended: float) -> float:
    """Seconds of a program's turns between two times."""
    return sum(max(0.0, min(ended, last) - max(begun, first)) for first, last in turns)


def bare(config: Path, compiled: bool = False) -> Bare:
    keep_freed_memory()  # as train/fit.py does
    settings = recipe(config)
    optimizer, clip = settings["model"].get("optimizer", "adam"), settings["trainer"].get("gradient_clip_val")
    return Bare(recipe_vae(config), recipe_batches(config), optimizer=optimizer, compiled=compiled, clip=clip)


def ancestor(config: Path) -> Bare:
    return Ancestor(DenseVAE() if "dense" in config.stem else ConvVAE())


LOOPS: dict[str, Callable[[Path], Bare]] = {
    "bare loop": bare,
    "compiled bare loop": partial(bare, compiled=True),
    "ancestor": ancestor,
}


def loop(folder: Path) -> Results:
    """Epochs are such that validation and figures have the share of the time that they have in the whole recipe."""
    results: Results = {}
    for name, setting, epochs, kinds in (
        ("mnist_dense", "false", 40, ("bare loop", "ancestor")),
        ("mnist_dense", "true", 40, ("bare loop", "compiled bare loop")),
        ("mnist_conv_plain", "false", 5, ("bare loop", "ancestor")),
        ("mnist_conv", "false", 5, ("bare loop",)),
    ):
        config = REPOSITORY / "configs" / f"{name}.yaml"
        what = f"{name}, --model.compile {setting}"
        own = folder / what
        own.mkdir()
        commands = [fit_command(config, epochs, own, f"--model.compile={setting}")]
        commands += [loop_command(kind, config, 10**6) for kind in kinds]
        outputs = [own / f"{index}.log" for index in range(len(commands))]
        turns = in_turns(commands, outputs)
        images, begun, ended = fit_progress(config, own)
        ours = images / taken(turns[0], begun, ended)
        print(f"{what}: train/fit.py {ours:,.0f} images/s")
        results[what] = {"train/fit.py": ours}
        for kind, output, its_turns in zip(kinds, outputs[1:], turns[1:], strict=True):
            images, begun, ended = loop_progress(output.read_text())
            speed = results[what][kind] = images / taken(its_turns, begun, ended)
            print(f"    {ours / speed:.2f} times the {kind}'s {speed:,.0f}", flush=True)
    return results


ANCESTOR_EPOCHS = 50
ANCESTOR_ELBO = {"mnist_dense": 1311.0, "mnist_conv": 1511.0}
"""Of its own recipes, on test images without dequantisation; dequantised they have 11 to 13 nats less."""
QUICK_EPOCHS = {"mnist_dense": 16, "mnist_conv": 6}
"""Of runs of ours that end a little above that."""


def quality(folder: Path) -> Results:
    """Minutes from the command to a checkpoint whose test ELBO is the ancestor's final one."""
    results: Results = {}
    for name, asked in ANCESTOR_ELBO.items():
        config = REPOSITORY / "configs" / f"{name}.yaml"
        before = loop_rate("ancestor", config, 600)
        started = time.time()
        command = fit_command(config, QUICK_EPOCHS[name], folder / name)
        subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
        whole = (time.time() - started) / 60
        ours = ((folder / name / "checkpoints" / "best.ckpt").stat().st_mtime - started) / 60
        speed = (before + loop_rate("ancestor", config, 600)) / 2
        theirs = ANCESTOR_EPOCHS * 50_000 / speed / 60
        vae = load(folder / name / "pretrained", device="cpu")
        data = MNISTDataModule(batch_size=100)  # not dequantised, as the ancestor's images
        data.setup("test")
        elbo = image_bounds(vae, data.test_dataloader()).elbo.mean().item()
        results[name] = {
            "minutes": ours,
            "with export": whole,
            "test ELBO": elbo,
            "ancestor's minutes": theirs,
            "ancestor's ELBO": asked,
        }
        print(
            f"{name}: test ELBO {elbo:.1f} after {ours:.2f} minutes, start included ({whole:.2f} with the export); the "
            f"ancestor's {ANCESTOR_EPOCHS} epochs to {asked:.0f} take {theirs:.1f} at {speed:,.0f} images/s: "
            f"{theirs / ours:.1f}x",
            flush=True,
        )
    return results


def compilation(_: Path) -> Results:
    results: Results = {}
    for name in ("mnist_dense", "mnist_dense_20d", "mnist_conv_plain", "mnist_conv"):
        config = REPOSITORY / "configs" / f"{name}.yaml"
        batch = next(recipe_batches(config))
        for dtype in (torch.float32, torch.bfloat16) if has_fast_bf16() else (torch.float32,):
            loops = {}
            for compiled in (False, True):
                started = time.perf_counter()
                loops[compiled] = Bare(recipe_vae(config), cycle([batch]), dtype, compiled=compiled)
                took = time.perf_counter() - started
            eager, fast = side_by_side({str(key): partial(it.images, 1) for key, it in loops.items()}, 9, 3).values()
            key = f"{name}, {str(dtype).split('.')[1]}"
            results[key] = {"eager ms": eager, "compiled ms": fast, "seconds to compile": took}
            print(f"{key}: a step {eager:.1f} ms, compiled {fast:.1f}: {eager / fast:.2f}x; compiled in {took:.0f} s")
    return results


def processes(folder: Path) -> Results:
    """The dense and the plain convolutional recipe by one process and by two, with two threads each if cores allow."""
    threads = 2 if len(os.sched_getaffinity(0)) >= 4 else 1
    results: Results = {"threads": threads}
    os.environ["OMP_NUM_THREADS"] = str(threads)
    for name, epochs in (("mnist_dense", 8), ("mnist_conv_plain", 1)):
        config = REPOSITORY / "configs" / f"{name}.yaml"
        one = fit_rate(config, epochs, folder / "one" / name)
        two = 2 * fit_rate(config, 2 * epochs, folder / "two" / name, "--trainer.devices=2", "--trainer.strategy=ddp")
        results[name] = {"one": one, "two": two}
        ratio = f"two processes {two:,.0f} images/s, {two / one:.2f} times one process's {one:,.0f}"
        print(f"{name}: {ratio}, with {threads} threads each", flush=True)
    return results


RECIPES = ("mnist_dense", "mnist_dense_20d", "mnist_conv_plain", "mnist_conv", "mnist_conv_binary")


def gpu(_: Path) -> Results:
    """Every recipe's steps on the GPU in Lightning's loop, eager and as a CUDA graph, and a profile of them."""
    if not torch.cuda.is_available():
        print("gpu: there is none")
        return {}
    results: Results = {}
    for name in RECIPES:
        for captured in (False, True):
            what = f"{name}, {'a CUDA graph' if captured else 'eager'}"
            speed, busy = gpu_steps(REPOSITORY / "configs" / f"{name}.yaml", captured)
            results[what] = {"images/s": speed, "GPU busy": busy}
            print(f"{what} on {torch.cuda.get_device_name()}: {speed:,.0f} images/s, GPU busy {busy:.0%}", flush=True)
    return results


def gpu_steps(config: Path, captured: bool) -> tuple[float, float]:
    """Images a second, and in as many steps more, profiled, the share of the time in which the GPU computes."""
    first, steps, batch_size = 20, 60, 512
    profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
    reached: list[float] = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
            if trainer.global_step in (first, first + steps, first + 2 * steps):
                torch.cuda.synchronize()
                reached.append(time.perf_counter())
                if len(reached) == 2:
                    profile.start()
                    reached.append(time.perf_counter())  # starting the profiler takes a while
                elif len(reached) > 2:
                    profile.stop()

    settings = {**recipe(config)["model"], "importance_epochs": 0, "importance_samples": 1, "compile": False}
    training = VAETraining(**{**settings, "vae": recipe_vae(config)}, cuda_graph=captured)
    data = MNISTDataModule(**{**recipe(config)["data"], "batch_size": batch_size})
    trainer = quiet_trainer(
        max_steps=first + 2 * steps, precision="bf16-mixed", callbacks=[Watch()], limit_val_batches=0, devices=1
    )
    trainer.fit(training, data)
    kernels = sum(event.device_time_total for event in profile.events())
    begun, timed, profiled, ended = reached
    return steps * batch_size / (timed - begun), kernels / 1e6 / (ended - profiled)


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
    trainer = quiet_trainer(max_epochs=epochs, precision=setting, accelerator="cpu")
    trainer.fit(training, MNISTDataModule(**recipe(config)["data"]))
    return trainer.callback_metrics["val/elbo"].item()


def quiet_trainer(**settings: Any) -> lightning.Trainer:
    off = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    return lightning.Trainer(**dict.fromkeys(off, False), **settings)


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
    "loop": loop,
    "quality": quality,
    "density": density,
    "compile": compilation,
    "processes": processes,
    "precision": precision,
    "growth": growth,
    "gpu": gpu,
}


def machine() -> Results:
    """What figures depend on: processor, its flags for matrix products, threads."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    about = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = [flag for flag in about.get("flags", "").split() if flag.startswith(("amx", "avx"))]
    return {
        "processor": about.get("model name", platform.processor() or platform.machine()),
        "flags": flags,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to measure (default: everything)")
    parser.add_argument("--output", type=Path, default=Path("runs/benchmark_training.json"))
    parser.add_argument("--loop", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.loop:
        kind, config, steps = arguments.loop
        run_loop(kind, Path(config), int(steps))
        return
    keep_freed_memory()  # as train/fit.py does
    results: Results = {"machine": machine()}
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
