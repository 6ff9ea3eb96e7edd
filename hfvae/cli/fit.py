"""Train a VAE and export it as a hub folder.

    python train/fit.py                                     the dense recipe, configs/mnist_dense.yaml
    python train/fit.py --config mnist_conv                 another recipe: a file, or the name of one in configs/
    python train/fit.py --trainer.max_epochs 5              any setting can be overridden; --help lists them
    python train/fit.py --data.dataset FashionMNIST         another data set
    python train/fit.py --ckpt_path last                    go on where the last run stopped
    python train/fit.py test --ckpt_path last               its bounds on the test images; validate: on the validation's

All that a run writes is under --trainer.default_root_dir (runs/<recipe>): logs/, checkpoints/ and pretrained/.
"""

from __future__ import annotations

import shlex
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock, Timeout
from lightning import LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, ProgressBar, Timer, TQDMProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.io import CheckpointIO
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from .. import hub
from ..allocator import keep_freed_memory
from ..data import MNISTDataModule
from ..training import (
    AtomicCheckpointIO,
    BestCheckpoint,
    Diverged,
    LastCheckpoint,
    LogImages,
    TimeEstimate,
    VAETraining,
    outcome,
)
from ..training.hardware import has_fast_bf16
from ..version import CLONE, PACKAGE, command
from . import import_extensions
from .result import export, say_what_is_there, say_why_there_is_none, training_record

PROGRESS_EVERY = 20
"""Steps between updates of the progress bar; Lightning's own default takes a tenth of a dense model's time."""
MAX_DEVICES = 1024
"""Of one machine; Lightning makes a list of as many as it is asked for before it looks for them."""
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true", "32", "bf16", "16", "64")
"""Settings of the trainer that keep weights in float32 or float64; the last four are other names of the first four."""
LOCK = ".lock"
DEFAULT_RECIPE = "mnist_dense"
RECIPES = PACKAGE / "recipes" if CLONE is None else CLONE / "configs"
"""Where recipes are found by name."""
STAGES = ("fit", "validate", "test")
CONFIG_OPTIONS = ("--config", "-c")


class FitCLI(LightningCLI):
    """Settings for model, data and trainer from YAML and the command line, and one root folder for all outputs."""

    root: Path

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--ckpt_path", type=str | None, default=None, help="checkpoint to go on from, or 'last'")
        parser.add_argument(
            "--weights_dtype",
            type=Literal["float32", "float16"],
            default="float32",
            help="how the exported weights are stored",
        )
        parser.add_argument(
            "--extension",
            type=str | list[str],
            default=[],
            help="Python modules to import first, as for the other commands",
        )

    def before_instantiate_classes(self) -> None:
        import_extensions(as_list(self.config.extension))
        recipe = Path(str(self.config.config[0])).stem
        self.root = Path(self.config.trainer.default_root_dir or Path("runs") / recipe)
        self.config.trainer.default_root_dir = str(self.root)

    def instantiate_trainer(self, **kwargs: object):  # type: ignore[no-untyped-def]
        settings = self.config_init.trainer
        devices = str(settings.devices)  # a number may come as text
        if devices.isdecimal() and int(devices) > MAX_DEVICES:
            raise ValueError(f"--trainer.devices must be at most {MAX_DEVICES}, got {devices}")
        if settings.enable_checkpointing is False or settings.barebones:
            raise ValueError(
                "fit exports its model from a checkpoint: leave out --trainer.enable_checkpointing false and "
                "--trainer.barebones; --trainer.fast_dev_run true tries the code without writing anything"
            )
        settings.precision = usable_precision(settings.precision)
        folder = self.root / "checkpoints"
        self.resumed = checkpoint_to_resume(self.config.ckpt_path, folder / "last.ckpt")
        if settings.logger is None:
            done = self.resumed.step if self.resumed else 0
            # what an interrupted run logged beyond its checkpoint is logged again
            settings.logger = TensorBoardLogger(
                self.root, name="logs", version="", purge_step=done, default_hp_metric=False
            )
        callbacks, plugins = as_list(settings.callbacks), as_list(settings.plugins)
        self.best = BestCheckpoint(folder)
        # its state, kept in checkpoints, counts the time before a resumption too
        self.timer = Timer(duration=settings.max_time)
        if settings.max_time is not None and settings.max_epochs is None:
            settings.max_epochs = -1
        settings.max_time = None  # the trainer ignores it beside a Timer
        own: list[Callback] = [self.best, LastCheckpoint(folder, settings.check_val_every_n_epoch or 1)]
        own += [self.timer, LogImages(), TimeEstimate()]
        if settings.enable_progress_bar is not False and not any(isinstance(it, ProgressBar) for it in callbacks):
            own.append(TQDMProgressBar(refresh_rate=PROGRESS_EVERY))
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            plugins.append(AtomicCheckpointIO())
        return super().instantiate_trainer(callbacks=[*own, *callbacks], plugins=plugins, **kwargs)


class SaveConfig(SaveConfigCallback):
    """Lightning's, which needs a logger with a folder; where there is none, config.yaml is in the run's root."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.log_dir is not None:
            super().setup(trainer, pl_module, stage)
        elif trainer.is_global_zero:
            path = Path(trainer.default_root_dir) / self.config_filename
            path.parent.mkdir(parents=True, exist_ok=True)
            self.parser.save(self.config, path, skip_none=False, overwrite=True, multifile=False)


def usable_precision(asked: str | int | None) -> str | int:
    """The trainer's precision; None takes the fastest that trains well here.

    Raises:
        ValueError: weights would be kept in half precision.
    """
    if asked is None:
        return "bf16-mixed" if has_fast_bf16() else "32-true"
    if str(asked) not in PRECISIONS:
        raise ValueError(
            f"--trainer.precision must be one of {', '.join(PRECISIONS)}, got {asked}: weights in half precision would "
            "lose the small updates of a training"
        )
    return asked


def as_list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [] if given is None else [given]


def checkpoint_to_resume(asked: str | None, last: Path) -> hub.Checkpoint | None:
    """The checkpoint to go on from; None starts afresh.

    Raises:
        hub.HubError: no such file, or not a checkpoint of this project.
    """
    if asked is None or (asked == "last" and not last.exists()):
        return None
    return hub.read_checkpoint(last if asked == "last" else asked)


def require_same_model(cli: FitCLI) -> None:
    """Refuse to go on with another model than the one that was begun."""
    begun, vae = cli.resumed, cli.model.vae
    if begun is None:
        return
    with torch.device("meta"):  # the arguments with the defaults of those that the checkpoint does not name
        same = begun.model_class == type(vae).__name__ and type(vae)(**begun.arguments).config == vae.config
    if not same:
        raise ValueError(
            f"{begun.path} holds a {begun.model_class} with {begun.arguments}, and this run is about a "
            f"{type(vae).__name__} with {vae.config}: give the settings it was begun with, or leave --ckpt_path out to "
            "begin anew"
        )


def with_recipes_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``--config`` in front, the default recipe's if there is none, and recipes' names as paths.

    Of two settings the later one counts: a recipe behind an override would undo it.

    Raises:
        FileNotFoundError: neither a file nor the name of a recipe.
        ValueError: a file of settings is not UTF-8 text.
    """
    recipes, others, rest = [], [], iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name in CONFIG_OPTIONS:
            recipes.append(value if equals else next(rest, ""))
        else:
            others.append(argument)
    paths = [str(find_recipe(recipe)) for recipe in recipes or [DEFAULT_RECIPE]]
    values = [argument.rpartition("=")[2] for argument in others]  # as in --data settings.yaml
    for path in (*paths, *(value for value in values if value.endswith((".yaml", ".yml", ".json")))):
        require_utf8(Path(path))
    return [part for path in paths for part in ("--config", path)] + others


def find_recipe(name: str) -> Path:
    """A recipe's file, by its path or by its name."""
    found = next((path for path in (Path(name), RECIPES / f"{name}.yaml") if path.is_file()), None)
    if found is None:
        names = ", ".join(sorted(path.stem for path in RECIPES.glob("*.yaml")))
        raise FileNotFoundError(f"--config {name}: no such file, and no recipe of that name; there are {names}")
    return found


def require_utf8(path: Path) -> None:
    """Refuse a file in another encoding, which a parser's error would not name; one that is not there is the parser's.

    Raises:
        ValueError: not UTF-8.
    """
    try:
        if path.is_file():
            path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8"
        ) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as `arguments` (None: the command line's) say, and export the best model."""
    asked = list(sys.argv[1:] if arguments is None else arguments)
    stage, rest = (asked[0], asked[1:]) if asked[:1] and asked[0] in STAGES else ("fit", asked)
    keep_freed_memory()
    # the processes that Lightning starts are given sys.argv, and come by here too
    warnings.filterwarnings("ignore", "LightningCLI's args parameter")
    try:
        given = with_recipes_first(rest)
        cli = FitCLI(
            VAETraining,
            MNISTDataModule,
            run=False,
            args=given if stage == "fit" else ["--trainer.logger=false", *given],
            seed_everything_default=0,
            save_config_callback=SaveConfig if stage == "fit" else None,
            save_config_kwargs={"overwrite": True},
            parser_kwargs={"prog": command("fit")},
            trainer_defaults={"max_epochs": 50, "num_sanity_val_steps": 0, "log_every_n_steps": 50},
        )
        require_same_model(cli)
        cli.datamodule.prepare_data()
    except (FileNotFoundError, ImportError, TypeError, ValueError, MisconfigurationException, hub.HubError) as error:
        sys.exit(str(error))
    try:
        resumed = cli.resumed.path if cli.resumed else None
        if stage != "fit":
            measure(cli, stage, resumed)
            return
        with only_run_in(cli.root):
            cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=resumed, weights_only=True)
            leave_model(cli, f"{command('fit')} {shlex.join(asked)}".strip())
    except SIGTERMException:  # a scheduler's; Lightning would end with success
        sys.exit(128 + signal.SIGTERM)
    except (Diverged, MisconfigurationException, hub.HubError) as error:
        sys.exit(f"Stopped: {error}")
    except ValueError as error:
        if cli.timer.start_time() is not None:
            raise
        sys.exit(str(error).strip())  # a setting that the trainer, or a checkpoint to resume, does not fit
    except OSError as error:  # a full disk, a folder that is read-only
        sys.exit(f"Stopped: {error}. What is in {cli.root} is whole; once that is mended, go on with --ckpt_path last")


def leave_model(cli: FitCLI, called: str) -> None:
    """Export the model that a run ended with, and say what there is, or why there is none."""
    trainer, data, folder = cli.trainer, cli.datamodule, cli.root / "pretrained"
    result = outcome(trainer, cli.model, data, cli.best)
    if not trainer.is_global_zero:
        return
    if result is None:
        say_why_there_is_none(trainer)
        return
    recipe, minutes = Path(str(cli.config.config[0])), cli.timer.time_elapsed() / 60
    record = training_record(result, trainer, data, called=called, recipe=recipe, minutes=minutes)
    export(result, folder, data, record, getattr(torch, cli.config.weights_dtype))
    say_what_is_there(result, folder, trainer)


def measure(cli: FitCLI, stage: str, checkpoint: Path | None) -> None:
    """Print a checkpoint's bounds on the validation or the test images.

    Raises:
        hub.NotFoundError: no checkpoint was named, or there is none yet.
    """
    if checkpoint is None:
        raise hub.NotFoundError(f"{stage} needs a checkpoint: --ckpt_path last, after a run, or the path of one")
    run = cli.trainer.validate if stage == "validate" else cli.trainer.test
    run(cli.model, datamodule=cli.datamodule, ckpt_path=checkpoint, weights_only=True)


@contextmanager
def only_run_in(root: Path) -> Iterator[None]:
    """Keep other runs out of the folder, of which each would overwrite the other's files, until this one ends.

    The operating system releases the lock of a process that is killed. One process of a run holds it.

    Raises:
        SystemExit: another run is writing there.
    """
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        yield
        return
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        sys.exit(f"Another run is writing to {root}: wait for its end, or set another --trainer.default_root_dir")
    try:
        yield
    finally:
        lock.release()
