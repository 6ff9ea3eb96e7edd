"""Checks of constructor arguments. Only JSON values are accepted, because config.json stores the constructor call."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from .networks import ACTIVATIONS, Shape

# far above any model of this kind, far below what would exhaust a machine
MAX_WIDTH = 1 << 16
MAX_DEPTH = 64
MAX_WEIGHTS = 1 << 27

Entry = TypeVar("Entry")


def validate_integer(name: str, value: Any, most: int, least: int = 1) -> int:
    """`value`, if it is an int between `least` and `most`."""
    if type(value) is not int:
        raise TypeError(f"{name} must be an int, got {value!r} ({type(value).__name__})")
    if not least <= value <= most:
        raise ValueError(f"{name} must be between {least} and {most}, got {value}")
    return value


def validate_widths(name: str, values: Any) -> tuple[int, ...]:
    """`values`, if they are a list of at most MAX_DEPTH layer widths."""
    if not isinstance(values, list | tuple):
        raise TypeError(f"{name} must be a list of ints, got {values!r} ({type(values).__name__})")
    if len(values) > MAX_DEPTH:
        raise ValueError(f"{name} may have at most {MAX_DEPTH} entries, got {len(values)}")
    return tuple(validate_integer(f"{name}[{i}]", value, MAX_WIDTH) for i, value in enumerate(values))


def validate_image_shape(value: Any) -> Shape:
    """`value`, if it is (channels, height, width)."""
    shape = validate_widths("image_shape", value)
    if len(shape) != 3:
        raise ValueError(f"image_shape must be (channels, height, width), got {value!r}")
    return shape


def validate_latent_dim(value: Any) -> int:
    """`value`, if it is a possible number of latents."""
    return validate_integer("latent_dim", value, MAX_WIDTH)


def validate_positive(name: str, value: Any) -> float:
    """`value`, if it is a positive and finite number."""
    if type(value) not in (int, float):
        raise TypeError(f"{name} must be a number, got {value!r} ({type(value).__name__})")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return float(value)


def validate_activation(value: Any) -> str:
    """`value`, if it names an activation function."""
    choose("activation", value, ACTIVATIONS)
    return str(value)


def validate_size(widths: Sequence[int]) -> None:
    """Refuse layers with more than MAX_WEIGHTS weights in all, before they are allocated."""
    weights = sum(a * b for a, b in pairwise(widths))
    if weights > MAX_WEIGHTS:
        raise ValueError(
            f"these sizes make {weights:,} weights in one direction, more than {MAX_WEIGHTS:,}: "
            "use fewer or narrower layers, or smaller images"
        )


def choose(name: str, value: Any, table: Mapping[str, Entry]) -> Entry:
    """The entry of `table` that `value` names.

    Raises:
        ValueError: no such entry; the message lists the entries.
    """
    if not isinstance(value, str) or value not in table:
        raise ValueError(f"{name} must be one of {', '.join(table)}, got {value!r}")
    return table[value]


def build_from_table(
    kind: str, type_name: Any, table: Mapping[str, type[Entry]], latent_dim: int, options: Mapping[str, Any] | None
) -> Entry:
    """Build the prior or posterior (`kind`) of that name for `latent_dim` latents with its own `options`.

    Raises:
        ValueError: an unknown name, or options that its constructor does not accept.
    """
    entry = choose(f"{kind}_type", type_name, table)
    given = {} if options is None else options
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ValueError(f"{kind}_options must map names to values, got {options!r}")
    try:
        inspect.signature(entry).bind(latent_dim, **given)
    except TypeError as error:
        raise ValueError(f"{kind}_options do not fit the {type_name} {kind}: {error}") from error
    return entry(latent_dim, **given)  # type: ignore[call-arg]
