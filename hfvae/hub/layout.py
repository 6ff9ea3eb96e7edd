"""The files of a model folder: names, reading and writing. Knows no model class.

A model is a folder, on disk or on a hub, with

    config.json            class name, format version, constructor arguments, the data set and pixel preprocessing of
                           the training, SHA-256 of the tensor files
    model.safetensors      the weights
    latents.safetensors    codes, labels, ELBOs and t-SNE of the test set, for the latent map (optional)
    metrics.json           measured by train/evaluate.py, each figure with its protocol (optional)
    training.json          command, recipe, duration and choice of weights of train/fit.py (optional)
    figures/               images for the card (optional)
    onnx/                  encoder, decoder and prior as ONNX, and the checksum of their weights (optional)
    README.md              the model card

Only JSON and safetensors are read: nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from .errors import ConfigError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
LATENTS = "latents.safetensors"
CARD = "README.md"
METRICS = "metrics.json"
TRAINING = "training.json"
FIGURES = "figures"
ONNX = "onnx"
EXPORT_RECORD = "export.json"
EXPORTS = tuple(f"{ONNX}/{name}" for name in ("encoder.onnx", "decoder.onnx", "prior.onnx", EXPORT_RECORD))
"""Files that `hfvae export` writes; the record beside them holds the SHA-256 of their weights."""
MEASURED = (LATENTS, METRICS, TRAINING)
"""Files that, like figures, are valid only for the weights in the same folder."""
FILES = (CONFIG, WEIGHTS, *MEASURED, CARD)
"""All files of a model except figures and exports."""
FORMAT_VERSION = 1
MAX_CONFIG_BYTES = 1 << 16
BUNDLED = Path(__file__).parent.parent / "pretrained"
"""The bundled models, one hub folder each."""
REPO_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


class Latents(NamedTuple):
    """The test set, encoded by a model."""

    mean: Tensor
    """Codes (N, latent_dim) float32: posterior means, or the posterior's substitute."""
    labels: Tensor
    """Index of each image's class, (N,) int64."""
    elbo: Tensor | None = None
    """ELBO of each image, (N,) float32, in nats; None in folders without it."""
    places: Tensor | None = None
    """t-SNE embedding of the codes, (N, 2) float32 in [-1, 1], for the map; None in folders without it and for two
    latents."""


class Config(NamedTuple):
    """The contents of config.json: reserved keys are validated, constructor arguments are not yet."""

    model_class: str
    arguments: dict[str, Any]
    """Of the model's constructor."""
    data: dict[str, Any] | None
    """Data set and pixel preprocessing of the training; None in folders without it."""
    checksums: dict[str, str]
    """SHA-256 of the tensor files, by file name."""


def write_model(folder: Path, config: Config, weights: Mapping[str, Tensor]) -> None:
    """Write weights and config.json, with the new checksums, into `folder`, each file atomically."""
    _write_tensors(folder / WEIGHTS, weights)
    write_config(folder, config._replace(checksums={WEIGHTS: sha256(folder / WEIGHTS)}))


def write_latents(folder: Path, latents: Latents) -> None:
    """Add the encoded test set to a model folder, codes and embedding in float16, and its checksum to the config."""
    tensors = {"mean": latents.mean.half(), "labels": latents.labels.to(torch.uint8)}
    if latents.elbo is not None:
        tensors["elbo"] = latents.elbo.float()
    if latents.places is not None:
        tensors["places"] = latents.places.half()
    _write_tensors(folder / LATENTS, tensors)
    config = read_config(folder / CONFIG, str(folder))
    checksums = {**config.checksums, LATENTS: sha256(folder / LATENTS)}
    write_config(folder, config._replace(checksums=checksums))


def write_config(folder: Path, config: Config) -> None:
    """Write config.json."""
    data = {} if config.data is None else {"data": config.data}
    reserved = {"model_class": config.model_class, "format_version": FORMAT_VERSION}
    write_json(folder / CONFIG, {**reserved, **config.arguments, **data, "sha256": config.checksums})


def read_config(path: Path, where: str) -> Config:
    """Read a config.json.

    Args:
        path: the file.
        where: the model's name, for error messages.

    Raises:
        ConfigError: not an hfvae config, or of a newer format version.
    """
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise ConfigError(f"{where}: {CONFIG} is {path.stat().st_size} bytes, more than any config of ours")
    try:
        config = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: {CONFIG} is not readable as JSON: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_class"), str):
        raise ConfigError(f"{where}: {CONFIG} names no model_class, so hfvae did not write it")
    version = config.pop("format_version", FORMAT_VERSION)
    if type(version) is not int or version > FORMAT_VERSION:
        raise ConfigError(
            f"{where}: {CONFIG} has format version {version!r}, and this hfvae reads up to {FORMAT_VERSION}: "
            "upgrade with pip install --upgrade hfvae"
        )
    checksums = config.pop("sha256", {})
    if not isinstance(checksums, dict) or not all(isinstance(value, str) for value in checksums.values()):
        raise ConfigError(f"{where}: the sha256 entry of {CONFIG} must map file names to checksums")
    data = config.pop("data", None)
    if data is not None and not isinstance(data, dict):
        raise ConfigError(f"{where}: the data entry of {CONFIG} must describe a data set")
    return Config(config.pop("model_class"), config, data, checksums)


def read_text(path: Path) -> str:
    """Read a UTF-8 file, ignoring a byte-order mark."""
    return path.read_text(encoding="utf-8-sig")


def read_json(path: Path) -> dict[str, Any] | None:
    """Read another JSON file of the folder; None if there is none."""
    return json.loads(read_text(path)) if path.is_file() else None


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Atomically write a JSON file."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    atomic_write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def atomic_write(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a temporary file beside `path`, then atomically replace `path` with it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def find_folder(name_or_path: str | Path) -> Path | None:
    """Find a folder by its path, or a bundled model by its name; None if there is neither."""
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return path
    bundled = BUNDLED / str(name_or_path)
    return bundled if bundled.parent == BUNDLED and bundled.is_dir() else None


def display_name(name_or_path: str | Path) -> str:
    """Public name of a model: a folder's name without its path, or the repository or bundled name."""
    folder = find_folder(name_or_path)
    if folder is None and REPO_ID.fullmatch(str(name_or_path)):
        return str(name_or_path)
    folder = (folder or Path(name_or_path)).resolve()
    return folder.parent.name if folder.name == "pretrained" else folder.name


def bundled_names() -> list[str]:
    """The names of the bundled models."""
    return sorted(path.parent.name for path in BUNDLED.glob(f"*/{CONFIG}"))


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    copies: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        copy = tensor.detach().cpu().contiguous()
        storage = copy.untyped_storage().data_ptr()
        copies[name] = copy.clone() if storage in storages else copy  # safetensors refuses shared memory
        storages.add(storage)
    atomic_write(path, lambda temporary: save_file(copies, temporary, metadata={"format": "pt"}))


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
