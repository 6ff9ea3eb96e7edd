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
import subprocess
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
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar, Timer, TQDMProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from .. import evaluation, hub
from ..allocator import keep_freed_memory
from ..data import MNISTDataModule
from ..models import VAE
from ..training import AtomicCheckpointIO, Diverged, LogImages, SaveOnInterrupt, VAETraining
from ..training.hardware import multiplies_bfloat16
from . import REPOSITORY, import_extensions

EMBEDDED = 1500
"""Codes of the test set that the map's t-SNE embeds, so that a short run ends soon; evaluate embeds more."""
PROGRESS_EVERY = 20
"""Steps between updates of the progress bar; Lightning's own default takes a tenth of a dense model's time."""
MAX_DEVICES = 1024
"""Of one machine; Lightning makes a list of as many as it is asked for before it looks for them."""
LOCK = ".lock"
DEFAULT_RECIPE = "mnist_dense"
RECIPES = (REPOSITORY / "configs", Path(__file__).resolve().parent.parent / "recipes")
"""Where recipes are found by name: in a clone, and in an installed package."""
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
        if settings.precision is None:
            settings.precision = "bf16-mixed" if multiplies_bfloat16() else "32-true"
        settings.check_val_every_n_epoch = validation_interval(settings.check_val_every_n_epoch, settings.max_epochs)
        folder = self.root / "checkpoints"
        self.resumed = checkpoint_to_resume(self.config.ckpt_path, folder / "last.ckpt")
        if settings.logger is None:
            done = self.resumed.step if self.resumed else 0
            # what an interrupted run logged beyond its checkpoint is logged again
            settings.logger = TensorBoardLogger(
                self.root, name="logs", version="", purge_step=done, default_hp_metric=False
            )
        self.checkpoints = ModelCheckpoint(
            folder,
            filename="best",
            monitor="val/bound",
            mode="max",
            save_last=True,
            every_n_epochs=settings.check_val_every_n_epoch,
            save_on_train_epoch_end=True,  # one within validation resumes rightly only if that is due again
            enable_version_counter=False,
        )
        self.timer = Timer()  # its state, kept in checkpoints, counts the time before a resumption too
        own = [self.checkpoints, self.timer, SaveOnInterrupt(folder), LogImages()]
        callbacks, plugins = as_list(settings.callbacks), as_list(settings.plugins)
        if settings.enable_progress_bar is not False and not any(isinstance(it, ProgressBar) for it in callbacks):
            own.append(TQDMProgressBar(refresh_rate=PROGRESS_EVERY))
        return super().instantiate_trainer(
            callbacks=[*own, *callbacks], plugins=[*plugins, AtomicCheckpointIO()], **kwargs
        )


class SaveConfig(SaveConfigCallback):
    """Lightning's, which needs a logger with a folder; where there is none, config.yaml is in the run's root."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.log_dir is not None:
            super().setup(trainer, pl_module, stage)
        elif trainer.is_global_zero:
            path = Path(trainer.default_root_dir) / self.config_filename
            path.parent.mkdir(parents=True, exist_ok=True)
            self.parser.save(self.config, path, skip_none=False, overwrite=True, multifile=False)


def validation_interval(asked: int | None, epochs: int | None) -> int | None:
    """The largest number of epochs up to `asked` that divides a run's, so that the last one is validated."""
    if asked is None or asked < 1 or epochs is None or epochs < 1:
        return asked  # validation by steps, what Lightning refuses, and a run whose length is in steps
    return next(interval for interval in range(min(asked, epochs), 0, -1) if epochs % interval == 0)


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


def code_commit() -> str | None:
    """The commit of this code, with "-dirty" if files differ from it; None outside a git repository."""
    if not (REPOSITORY / "pyproject.toml").is_file():  # an installed package, perhaps inside somebody else's repository
        return None
    git = ["git", "-C", str(REPOSITORY), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        return subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


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
    candidates = [Path(name), *(folder / f"{name}.yaml" for folder in RECIPES)]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        names = ", ".join(sorted({path.stem for folder in RECIPES for path in folder.glob("*.yaml")}))
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
            trainer_defaults={"max_epochs": 50, "num_sanity_val_steps": 0, "log_every_n_steps": 50},
        )
        require_same_model(cli)
        cli.datamodule.prepare_data()
    except (FileNotFoundError, TypeError, ValueError, MisconfigurationException, hub.HubError) as error:
        sys.exit(str(error))
    try:
        resumed = cli.resumed.path if cli.resumed else None
        if stage != "fit":
            measure(cli, stage, resumed)
            return
        with only_run_in(cli.root):
            cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=resumed, weights_only=True)
            if cli.checkpoints.best_model_path:  # none after --trainer.fast_dev_run
                export(cli, shlex.join(["python", "train/fit.py", *asked]))
    except SIGTERMException:  # a scheduler's; Lightning would end with success
        sys.exit(128 + signal.SIGTERM)
    except (Diverged, MisconfigurationException, hub.HubError) as error:
        sys.exit(f"Stopped: {error}")
    except OSError as error:  # a full disk, a folder that is read-only
        sys.exit(f"Stopped: {error}. What is in {cli.root} is whole; once that is mended, go on with --ckpt_path last")


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


@rank_zero_only
def export(cli: FitCLI, command: str) -> None:
    """Write the best checkpoint's model, with the test set's latent codes, as a hub folder, and say what comes next."""
    folder = cli.root / "pretrained"
    vae = VAE.load_from_checkpoint(cli.checkpoints.best_model_path)
    vae.save_pretrained(folder, weights_dtype=getattr(torch, cli.config.weights_dtype))
    vae = VAE.from_pretrained(folder)
    cli.datamodule.setup("test")
    encoded = evaluation.encode_dataset(vae, cli.datamodule.test_dataloader())
    elbo = evaluation.image_bounds(vae, cli.datamodule.test_dataloader()).elbo
    places = evaluation.neighbour_embedding(encoded.codes, most=EMBEDDED)
    hub.write_latents(folder, hub.Latents(encoded.codes, encoded.labels, elbo, places))
    training = {
        "command": command,
        "recipe": Path(str(cli.config.config[0])).read_text(encoding="utf-8").strip(),
        "images": len(cli.datamodule.train_set),
        "epochs": cli.trainer.current_epoch,
        "minutes": round(cli.timer.time_elapsed() / 60, 1),
        "device": device_name(cli.trainer.strategy.root_device),
        "precision": cli.trainer.precision,
        "commit": code_commit(),
    }
    hub.write_json(folder / hub.TRAINING, training)
    hub.write_card(folder, vae.facts())
    tensorboard = any(isinstance(logger, TensorBoardLogger) for logger in cli.trainer.loggers)
    print(
        f"\nThe best model (validation bound {cli.checkpoints.best_model_score:.2f} nats) is in {folder}. Next:\n"
        f"  python app.py --model {folder}\n"
        f"  python train/evaluate.py --model {folder}"
        + (f"\n  tensorboard --logdir {cli.root / 'logs'}" if tensorboard else "")
    )


def device_name(device: torch.device) -> str:
    """What a card calls the device of a training."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type.upper()}, {threads} {'thread' if threads == 1 else 'threads'}"
