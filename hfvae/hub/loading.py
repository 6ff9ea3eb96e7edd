"""From a model folder to a model and back. Knows no model class: the known ones are the subclasses of a root."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .card import ModelFacts, write_card
from .checkpoint import read_checkpoint
from .download import ModelSource, parse_record
from .errors import ConfigError, WeightsError
from .layout import CARD, Config, write_model


def save_model(folder: Path, model: Any, facts: ModelFacts, dtype: torch.dtype | None = None) -> None:
    """Write a model's weights, config and, where there is none yet, card into `folder`, made if missing.

    Args:
        folder: where to.
        model: the model.
        facts: what the card says of it.
        dtype: what the weights are stored in; None keeps the model's own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = model.training_record
    config = Config(type(model).__name__, model.config, None if record is None else record.to_json(), {})
    state = model.state_dict()
    if dtype is not None:
        state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}
    write_model(folder, config, state)
    if not (folder / CARD).exists():
        write_card(folder, facts)


def load_model(
    source: ModelSource, cls: type, classes: Mapping[str, type], overrides: Mapping[str, Any] | None = None
) -> Any:
    """The model that `source` holds, on the CPU, in train mode.

    Args:
        source: where config and weights come from.
        cls: the class that the model must be of.
        classes: the model classes that a config may name.
        overrides: constructor arguments instead of the config's.

    Raises:
        HubError: it cannot be had, or is not a `cls`.
        TypeError: an override that the class's constructor does not know.
    """
    config = source.config()
    if overrides:
        known = inspect.signature(classes.get(config.model_class, cls)).parameters
        for name in overrides:
            if name not in known:
                raise TypeError(f"from_pretrained() and {config.model_class} take no keyword argument {name!r}")
    arguments = {**config.arguments, **(overrides or {})}
    model = build(cls, classes, config.model_class, arguments, str(source))
    load_weights(model, source.weights(most_bytes=max_weights_bytes(model)), str(source))
    model.training_record = source.training_record()
    return model


def load_checkpoint(path: str | Path, cls: type, classes: Mapping[str, type]) -> Any:
    """The model in a training checkpoint, likewise.

    Raises:
        HubError: no such checkpoint, or its model is not a `cls`.
    """
    checkpoint = read_checkpoint(path)
    model = build(cls, classes, checkpoint.model_class, checkpoint.arguments, str(path))
    load_weights(model, checkpoint.weights, str(path))
    model.training_record = parse_record(checkpoint.data, str(path))
    return model


def build(cls: type, classes: Mapping[str, type], class_name: str, arguments: Mapping[str, Any], where: str) -> Any:
    """The model that a config describes, on the meta device.

    Raises:
        ConfigError: an unknown class, not a `cls`, or arguments that its constructor refuses.
    """
    if class_name not in classes:
        raise ConfigError(f"{where} holds a {class_name!r}; known classes are {', '.join(sorted(classes))}")
    kind = classes[class_name]
    if not issubclass(kind, cls):
        raise ConfigError(f"{where} holds a {class_name}, not a {cls.__name__}: use hfvae.load, or {class_name}")
    try:
        with torch.device("meta"):  # no memory, no initialisation that the weights would replace, no random numbers
            return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {class_name} cannot be built from its config: {error}") from error


def max_weights_bytes(model: nn.Module) -> int:
    """The size that a weights file of this model can have, in the widest type and with a generous header."""
    state = model.state_dict()
    return sum(8 * value.numel() + 1024 for value in state.values()) + (1 << 16)


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Give a model on the meta device its weights, strictly, in the model's own dtypes.

    Raises:
        WeightsError: missing or unexpected weights, wrong shapes, other kinds of numbers, or NaN and infinity.
    """
    dtypes = {name: value.dtype for name, value in model.state_dict().items()}
    for name, value in weights.items():
        wanted = dtypes.get(name, value.dtype)
        if (value.is_floating_point(), value.is_complex()) != (wanted.is_floating_point, wanted.is_complex):
            raise WeightsError(f"{where}: the weights do not fit the config: {name} is {value.dtype}, not {wanted}")
        if not value.isfinite().all():
            raise WeightsError(f"{where}: {name} holds NaN or infinity: the weights of a training that diverged")
    cast = {name: value.to(dtypes.get(name, value.dtype)) for name, value in weights.items()}
    try:
        model.load_state_dict(cast, strict=True, assign=True)
    except RuntimeError as error:
        raise WeightsError(f"{where}: the weights do not fit the config: {error}") from error
