"""From a model folder to a model and back. Knows no model class: the known ones are the subclasses of a root."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .checkpoint import read_checkpoint
from .classes import find_class
from .download import ModelSource, parse_record
from .errors import ConfigError, WeightsError
from .layout import Config, write_model


def save_model(folder: Path, model: Any, dtype: torch.dtype | None = None) -> None:
    """Write a model's weights and config into `folder`, made if missing.

    Args:
        folder: where to.
        model: the model.
        dtype: what the weights are stored in; None keeps the model's own.

    Raises:
        ConfigError: config.json cannot hold a constructor argument.
    """
    if model.unsaved_arguments:
        names = ", ".join(model.unsaved_arguments)
        raise ConfigError(
            f"{type(model).__name__} was built with {names}, which config.json cannot hold: "
            "pass plain JSON values, by name"
        )
    folder.mkdir(parents=True, exist_ok=True)
    record = model.training_record
    config = Config(type(model).__name__, model.config, None if record is None else record.to_json(), {})
    state = distinct_weights(model)
    if dtype is not None:
        state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}
    write_model(folder, config, state)


def load_model(source: ModelSource, cls: type, roots: list[type], overrides: Mapping[str, Any] | None = None) -> Any:
    """The model that `source` holds, on the CPU, in train mode.

    Args:
        source: where config and weights come from.
        cls: the class that the model must be of.
        roots: the classes below which are all that a config may name.
        overrides: constructor arguments instead of the config's.

    Raises:
        HubError: it cannot be had, or is not a `cls`.
        TypeError: an override that the class's constructor does not know.
    """
    config = source.config()
    kind = find_class(config.model_class, cls, roots, str(source))
    known = inspect.signature(kind).parameters
    for name in overrides or {}:
        if name not in known:
            raise TypeError(f"from_pretrained() and {config.model_class} take no keyword argument {name!r}")
    model = build(kind, {**config.arguments, **(overrides or {})}, str(source))
    load_weights(model, source.weights(most_bytes=max_weights_bytes(model)), str(source))
    model.training_record = source.training_record()
    return model


def load_checkpoint(path: str | Path, cls: type, roots: list[type]) -> Any:
    """The model in a training checkpoint, likewise.

    Raises:
        HubError: no such checkpoint, or its model is not a `cls`.
    """
    checkpoint = read_checkpoint(path)
    model = build(find_class(checkpoint.model_class, cls, roots, str(path)), checkpoint.arguments, str(path))
    load_weights(model, checkpoint.weights, str(path))
    model.training_record = parse_record(checkpoint.data, str(path))
    return model


def build(kind: type, arguments: Mapping[str, Any], where: str) -> Any:
    """The model that a config describes, on the meta device.

    Raises:
        ConfigError: arguments that the class's constructor refuses.
    """
    try:
        with torch.device("meta"):  # no memory, no initialisation that the weights would replace, no random numbers
            return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {kind.__name__} cannot be built from its config: {error}") from error


def distinct_weights(model: nn.Module) -> dict[str, Tensor]:
    """The state_dict with each tensor once, under the first of its names: how safetensors stores tied layers."""
    state = model.state_dict()
    return {name: state[name] for name, first in _first_names(model).items() if name == first}


def _first_names(model: nn.Module) -> dict[str, str]:
    """From each name in a state_dict to the first name of the same tensor."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(value), name) for name, value in model.state_dict(keep_vars=True).items()}


def max_weights_bytes(model: nn.Module) -> int:
    """The size that a weights file of this model can have, in the widest type and with a generous header."""
    state = model.state_dict()
    return sum(8 * value.numel() + 1024 for value in state.values()) + (1 << 16)


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Give a model on the meta device its weights, strictly, in the model's own dtypes; tied layers stay tied.

    Raises:
        WeightsError: missing or unexpected weights, wrong shapes, other kinds of numbers, or NaN and infinity.
    """
    own, first = model.state_dict(keep_vars=True), _first_names(model)
    given: dict[str, Tensor] = {}
    for name, value in weights.items():
        wanted = own[name].dtype if name in own else value.dtype
        if (value.is_floating_point(), value.is_complex()) != (wanted.is_floating_point, wanted.is_complex):
            raise WeightsError(f"{where}: the weights do not fit the config: {name} is {value.dtype}, not {wanted}")
        if not value.isfinite().all():
            raise WeightsError(f"{where}: {name} holds NaN or infinity: the weights of a training that diverged")
        kept = given.setdefault(first.get(name, name), value)
        if kept is not value and not torch.equal(kept, value):
            raise WeightsError(f"{where}: {name} and {first[name]} are one tensor in the model and differ in the file")
    assigned = {name: _like(own[name], value) if name in own else value for name, value in given.items()}
    tied = {name: assigned[kept] for name, kept in first.items() if kept in assigned}
    try:
        model.load_state_dict({**assigned, **tied}, strict=True, assign=True)
    except RuntimeError as error:
        raise WeightsError(f"{where}: the weights do not fit the config: {error}") from error


def _like(own: Tensor, value: Tensor) -> Tensor:
    """A value in the dtype of the model's own tensor, and a parameter if that is one."""
    value = value.to(own.dtype)
    return nn.Parameter(value, requires_grad=own.requires_grad) if isinstance(own, nn.Parameter) else value
