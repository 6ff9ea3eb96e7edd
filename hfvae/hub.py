"""The hub folder: what lies in it, how it is written and read, fetched and checked. Knows no model class.

A model is a folder, on disk or on a hub, with

    config.json            class name, format version, constructor arguments, SHA-256 of the tensor files
    model.safetensors      the weights
    latents.safetensors    the MNIST test set's posterior means and labels, for the latent map (optional)
    metrics.json           what train/evaluate.py measured, each figure with its protocol (optional)
    training.json          the command, recipe and time that train/fit.py took (optional)
    figures/               pictures for the card (optional)
    README.md              the model card

Only JSON and safetensors are ever read: nothing here unpickles. Whatever goes wrong ends in a `HubError` that names
the place, what happened and what to try.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import torch
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from . import card

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
LATENTS = "latents.safetensors"
CARD = "README.md"
METRICS = "metrics.json"
TRAINING = "training.json"
FIGURES = "figures"
FORMAT_VERSION = 1
MAX_CONFIG_BYTES = 1 << 16
MAX_CODES = 100_000
BUNDLED = Path(__file__).parent / "pretrained"
"""The models that come with the package, one hub folder each."""
CHECKPOINT_KEY = "hfvae"
"""Where a training checkpoint keeps the class name and the constructor arguments of its model."""
CHECKPOINT_PREFIX = "vae."
"""What the names of the model's weights begin with in a training checkpoint."""

_REPO_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_PAUSES = (0.5, 1.5)  # seconds before the second and the third try of a download
_RETRY_UNTIL = 10.0  # seconds after which a failed download is not tried again
_PATIENCE = 28.0  # seconds without a byte after which it is given up; the client's own retries may take 25


class HubError(Exception):
    """A model cannot be had; the message says where, what happened and what to try."""


class NotFoundError(HubError):
    """Nothing there, or nothing that this token may see."""


class DownloadError(HubError):
    """The hub does not answer, or not as it should."""


class ConfigError(HubError):
    """A config.json that describes no model of this project."""


class WeightsError(HubError):
    """Tensors that are missing, damaged, or do not fit the config."""


class CardError(HubError):
    """A README.md that is no model card."""


class Latents(NamedTuple):
    """The MNIST test set as a model sees it."""

    mean: Tensor
    """Posterior means (N, latent_dim) float32."""
    labels: Tensor
    """Which digit each is, (N,) int64."""
    elbo: Tensor | None = None
    """(N,) float32, nats: how well the model explains each; None in folders that lack it."""


# Writing


def write_model(folder: Path, class_name: str, arguments: dict[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Write weights and config.json into `folder`; a file is replaced only once its successor is complete."""
    _save_tensors(folder / WEIGHTS, weights)
    reserved = {"model_class": class_name, "format_version": FORMAT_VERSION}
    write_json(folder / CONFIG, {**reserved, **arguments, "sha256": {WEIGHTS: sha256(folder / WEIGHTS)}})


def write_latents(folder: Path, latents: Latents) -> None:
    """Add the test set's codes (float16), labels and ELBOs to a model's folder, and their checksum to its config."""
    tensors = {"mean": latents.mean.half(), "labels": latents.labels.to(torch.uint8)}
    if latents.elbo is not None:
        tensors["elbo"] = latents.elbo.float()
    _save_tensors(folder / LATENTS, tensors)
    config = _read_config(folder / CONFIG, str(folder))
    checksums = {**config.get("sha256", {}), LATENTS: sha256(folder / LATENTS)}
    write_json(folder / CONFIG, {**config, "sha256": checksums})


def write_card(folder: Path, place: str | None = None) -> None:
    """Write the model card from the folder's other files, or bring our parts of an existing one up to date.

    Args:
        folder: a model's folder.
        place: what the card tells people to load; None takes a bundled model's name, else ``user/name``.

    Raises:
        CardError: the card that is there cannot be read; it stays as it is.
    """
    source = Source(folder)
    class_name, arguments = source.config()
    path = folder / CARD
    try:
        text = card.render(
            title(folder),
            place or (folder.name if folder.resolve().parent == BUNDLED else "user/name"),
            class_name,
            arguments,
            checksums=source.checksums(),
            evaluation=_read_json(folder / METRICS),
            training=_read_json(folder / TRAINING),
            figures=[f"{FIGURES}/{name}.png" for name in card.FIGURES if (folder / FIGURES / f"{name}.png").is_file()],
            current=path.read_text(encoding="utf-8") if path.is_file() else None,
        )
    except ValueError as error:  # no UTF-8, no YAML
        raise CardError(f"{path}: {error}. Mend it, or delete it to have it written anew") from error
    replace(path, lambda temporary: temporary.write_text(str(text), encoding="utf-8"))


def _read_json(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    copies = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    replace(path, lambda temporary: save_file(copies, temporary, metadata={"format": "pt"}))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write one of the folder's JSON files; an old one is replaced only by a whole one."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a new file beside `path`, then put it there in one step: nobody ever sees a part of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


# Reading


class Source:
    """Where a model comes from: a folder, a bundled model's name, or a repository on the hub.

    Args:
        place: the folder, the name, or ``user/name``; in this order of precedence.
        revision, token, cache_dir, force_download, local_files_only: of the hub, see ``hf_hub_download``.

    Raises:
        NotFoundError: a path where there is no folder, or no possible repo id.
    """

    def __init__(
        self,
        place: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> None:
        self.place = str(place)
        self.revision = revision
        self.folder = _folder(place)
        self._options: dict[str, Any] = {
            "token": token,
            "cache_dir": cache_dir,
            "force_download": force_download,
            "local_files_only": local_files_only,
        }
        self._config: dict[str, Any] | None = None
        if self.folder is not None and revision is not None:
            raise NotFoundError(f"{self.place} is a folder and has no revision {revision!r}: leave revision None")
        if self.folder is None and not _REPO_ID.fullmatch(self.place):
            raise NotFoundError(f"{self.place}: there is no such folder, and it is no repo id like user/name")

    def __str__(self) -> str:
        return self.place if self.revision is None else f"{self.place} (revision {self.revision})"

    def config(self) -> tuple[str, dict[str, Any]]:
        """The model's class name and constructor arguments, as yet unchecked."""
        config = dict(self._all_config())
        class_name = config.pop("model_class")
        config.pop("format_version", None)
        config.pop("sha256", None)
        return class_name, config

    def weights(self) -> dict[str, Tensor]:
        """The weights, whose bytes are those that were written."""
        return self._tensors(WEIGHTS)

    def latents(self) -> Latents:
        """The test set's latent codes, if they were written for these weights."""
        if not self.has_latents():
            raise NotFoundError(f"{self} has no latent codes of its present weights: train/evaluate.py writes them")
        tensors = self._tensors(LATENTS)
        mean, labels = tensors.get("mean"), tensors.get("labels")
        if mean is None or labels is None or mean.ndim != 2 or labels.shape != mean.shape[:1]:
            raise WeightsError(f"{self}: {LATENTS} does not hold mean (N, latent_dim) and labels (N,)")
        if not 1 <= len(mean) <= MAX_CODES or not mean.isfinite().all() or not 0 <= labels.min() <= labels.max() <= 9:
            raise WeightsError(f"{self}: {LATENTS} must hold 1 to {MAX_CODES:,} finite codes of the digits 0 to 9")
        elbo = tensors.get("elbo")
        if elbo is not None and (elbo.shape != labels.shape or not elbo.isfinite().all()):
            raise WeightsError(f"{self}: {LATENTS} must hold a finite elbo for each of its {len(labels):,} codes")
        return Latents(mean.float(), labels.long(), None if elbo is None else elbo.float())

    def has_latents(self) -> bool:
        """Whether latent codes were written for these weights; saving others over them makes codes void."""
        return LATENTS in self.checksums()

    def checksums(self) -> dict[str, str]:
        """SHA-256 of the tensor files, as the config has them."""
        return self._all_config().get("sha256", {})

    def path(self, filename: str) -> Path:
        """The file, fetched if need be."""
        if self.folder is None:
            return self._download(filename)
        path = self.folder / filename
        if not path.is_file():
            raise NotFoundError(f"{self.folder} has no {filename}: is it a folder that save_pretrained wrote?")
        return path

    def _all_config(self) -> dict[str, Any]:
        if self._config is None:
            self._config = _read_config(self.path(CONFIG), str(self))
        return self._config

    def _tensors(self, filename: str) -> dict[str, Tensor]:
        path = self.path(filename)
        expected = self.checksums().get(filename)
        if expected is not None and sha256(path) != expected:
            if self.folder is not None:
                raise WeightsError(
                    f"{path} is not the file that was saved: its SHA-256 differs from the one in {CONFIG}. "
                    "Copy or download it again"
                )
            path = self._download(filename, force_download=True)  # a damaged cache entry
            if sha256(path) != expected:
                raise WeightsError(
                    f"{self}: {filename} arrived twice with a SHA-256 other than the one in its {CONFIG}. "
                    "The repository is damaged; tell its owner, or load an earlier revision"
                )
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{self}: {filename} is no readable safetensors file: {error}") from error

    def _download(self, filename: str, **options: Any) -> Path:
        options = {**self._options, "revision": self.revision, **options}
        started = time.monotonic()
        pauses = list(_PAUSES)
        while True:
            try:
                return _fetch(self.place, filename, options, patience=_PATIENCE - (time.monotonic() - started))
            except (HfHubHTTPError, httpx2.HTTPError, OSError, HFValidationError) as error:
                failure = self._explain(filename, error)
                final = not pauses or time.monotonic() - started > _RETRY_UNTIL
                if final or not isinstance(failure, DownloadError):
                    raise failure from error
                time.sleep(pauses.pop(0))

    def _explain(self, filename: str, error: Exception) -> HubError:
        """The same failure in this project's words."""
        hub, status = constants.ENDPOINT, _status(error)
        if isinstance(error, GatedRepoError):
            return NotFoundError(f"{self} is gated on {hub}: ask for access on its page, then log in (hf auth login)")
        if isinstance(error, RepositoryNotFoundError) or status in (401, 403):
            return NotFoundError(
                f"{self} is not on {hub}, or it is private: check the name, or log in (hf auth login, or HF_TOKEN)"
            )
        if isinstance(error, RevisionNotFoundError):
            return NotFoundError(f"{self.place} has no revision {self.revision!r} on {hub}: check the branch or tag")
        if isinstance(error, RemoteEntryNotFoundError):
            return NotFoundError(f"{self} has no {filename} on {hub}: it is not a model that hfvae pushed")
        if isinstance(error, HFValidationError):
            return NotFoundError(f"{self.place} is neither a folder nor a repo id like user/name: {error}")
        if isinstance(error, LocalEntryNotFoundError):
            if constants.HF_HUB_OFFLINE or self._options["local_files_only"]:
                return NotFoundError(f"{self}: {filename} is not in the cache, and we are offline: load it online once")
            said = f"answers {status}" if status else "cannot be reached"
            return DownloadError(f"{self}: {hub} {said} and {filename} is not in the cache: try again later")
        without_path = error.strerror if isinstance(error, OSError) else None
        reason = (without_path or str(error)).partition("\n")[0]
        return DownloadError(f"{self}: {hub} failed to deliver {filename}: {reason}. Try again later")


def _fetch(repo_id: str, filename: str, options: Mapping[str, Any], patience: float) -> Path:
    """``hf_hub_download``, given up after `patience` seconds without a byte.

    The client's own time-outs add up to a minute and more. It runs in a thread that may be left behind, and tells of
    every byte through its progress bar, so a slow line is not taken for a dead one.
    """
    alive = time.monotonic()
    outcome: list[Path | BaseException] = []

    class Pulse(tqdm):
        def update(self, n: float | None = 1) -> bool | None:
            nonlocal alive
            alive = time.monotonic()
            return super().update(n)

    def download() -> None:
        try:
            outcome.append(Path(hf_hub_download(repo_id, filename, tqdm_class=Pulse, **options)))
        except BaseException as error:  # handed over to the caller's thread
            outcome.append(error)

    thread = threading.Thread(target=download, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(1)
        if thread.is_alive() and time.monotonic() - alive > patience:
            raise TimeoutError(f"no answer in {patience:.0f} seconds")
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def _status(error: BaseException | None) -> int | None:
    """The HTTP status at the bottom of an exception; huggingface_hub wraps some of them in others."""
    while error is not None:
        if isinstance(error, HfHubHTTPError):
            return error.response.status_code
        error = error.__cause__
    return None


def _folder(place: str | Path) -> Path | None:
    """The folder of that name, or the bundled model's."""
    path = Path(place).expanduser()
    if path.is_dir():
        return path
    bundled = BUNDLED / str(place)
    return bundled if bundled.parent == BUNDLED and bundled.is_dir() else None


def title(place: str | Path) -> str:
    """What to call a place in public: a folder without the way to it, a repository or a bundled model by its name."""
    folder = _folder(place)
    if folder is None and _REPO_ID.fullmatch(str(place)):
        return str(place)
    folder = (folder or Path(place)).resolve()
    return folder.parent.name if folder.name == "pretrained" else folder.name


def bundled_names() -> list[str]:
    """The names of the models that come with the package."""
    return sorted(path.parent.name for path in BUNDLED.glob(f"*/{CONFIG}"))


def _read_config(path: Path, where: str) -> dict[str, Any]:
    """The config as a dict whose own entries (class, version, checksums) are sound."""
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise ConfigError(f"{where}: {CONFIG} is {path.stat().st_size} bytes, more than any config of ours")
    try:
        config = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: {CONFIG} is not readable as JSON: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_class"), str):
        raise ConfigError(f"{where}: {CONFIG} names no model_class, so hfvae did not write it")
    version = config.get("format_version", FORMAT_VERSION)
    if type(version) is not int or version > FORMAT_VERSION:
        raise ConfigError(
            f"{where}: {CONFIG} has format version {version!r}, and this hfvae reads up to {FORMAT_VERSION}: "
            "upgrade with pip install --upgrade hfvae"
        )
    checksums = config.get("sha256", {})
    if not isinstance(checksums, dict) or not all(isinstance(value, str) for value in checksums.values()):
        raise ConfigError(f"{where}: the sha256 entry of {CONFIG} must map file names to checksums")
    return config


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


class Checkpoint(NamedTuple):
    """What a training checkpoint of train/fit.py says of its model."""

    path: Path
    model_class: str
    arguments: dict[str, Any]
    """The model's constructor arguments."""
    weights: dict[str, Tensor]
    step: int
    """Optimizer steps done."""


def read_checkpoint(path: str | Path) -> Checkpoint:
    """A training checkpoint, its tensors on the CPU; nothing is unpickled.

    Raises:
        NotFoundError: there is none.
        WeightsError: the file is no whole checkpoint of train/fit.py.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(
            f"{path}: there is no such checkpoint; train/fit.py writes them under its root's checkpoints/"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        described, state = content[CHECKPOINT_KEY], content["state_dict"]
        weights = {
            name.removeprefix(CHECKPOINT_PREFIX): value
            for name, value in state.items()
            if name.startswith(CHECKPOINT_PREFIX)
        }
        arguments = dict(described["arguments"])
        return Checkpoint(path, described["model_class"], arguments, weights, content["global_step"])
    except Exception as error:  # torch.load names no family: truncated, foreign and hostile files raise anything
        raise WeightsError(
            f"{path} is not a whole checkpoint of train/fit.py: {type(error).__name__}: {error}"
        ) from error
