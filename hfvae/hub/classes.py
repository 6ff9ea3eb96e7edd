"""The model classes that a config.json may name, and what a class must be like so that a config.json can name it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

from .errors import ConfigError

RESERVED = ("config", "model_class", "format_version", "data", "sha256")
"""Names that no constructor argument may have: the mixin's own, and the other entries of a config.json."""
_PACKAGE = __name__.partition(".")[0]


def validate_class(cls: type, roots: list[type]) -> None:
    """Refuse a new model class that could not be loaded again.

    Args:
        cls: the class.
        roots: the classes below which all model classes are.

    Raises:
        TypeError: its name is taken by a class of this package, or a constructor argument has a reserved name.
    """
    taken = [kind for kind in _below(roots) if kind.__name__ == cls.__name__ and _is_ours(kind)]
    if taken and not _is_ours(cls):
        raise TypeError(
            f"class {cls.__name__}: {_full_name(taken[0])} has this name already, and config.json tells classes by "
            "their names: give yours another one"
        )
    for name in inspect.signature(cls.__init__).parameters:  # type: ignore[misc]
        if name in RESERVED:
            raise TypeError(
                f"{cls.__name__}.__init__: {name!r} means something else in config.json: rename the argument"
            )


def find_class(name: str, cls: type, roots: list[type], where: str) -> type:
    """The class that a config.json names.

    Args:
        name: the name.
        cls: the class that was asked for; the found one is it, or derives from it.
        roots: the classes below which all model classes are.
        where: the model's name, for error messages.

    Raises:
        ConfigError: no such class, several of that name, or none that is a `cls`.
    """
    known = list(_below(roots))
    named = [kind for kind in known if kind.__name__ == name]
    if not named:
        names = ", ".join(sorted({kind.__name__ for kind in known}))
        raise ConfigError(f"{where} holds a {name!r}; known classes are {names}")
    if cls in named:
        return cls
    ours = [kind for kind in named if _is_ours(kind)]
    importable = {kind for kind in named if _is_importable(kind)}
    if not ours and len(importable) > 1:
        raise ConfigError(
            f"{where} holds a {name}, and there are several ({', '.join(sorted(map(_full_name, importable)))}): "
            "call from_pretrained of the one you mean"
        )
    found = (ours or named)[-1]
    if not issubclass(found, cls):
        raise ConfigError(f"{where} holds a {name}, not a {cls.__name__}: use hfvae.load, or {name}")
    return found


def unsaved_arguments(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any], saved: dict[str, Any]) -> list[str]:
    """Those arguments of a constructor call ``cls(*args, **kwargs)`` that `saved`, from name to value, lacks."""
    signature = inspect.signature(cls)
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError:
        return []  # the constructor itself is about to say so; a copy is made without arguments
    names: list[str] = []
    for name, value in given.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            names += [f"*{name}"]
        else:
            names += value if kind is inspect.Parameter.VAR_KEYWORD else [name]
    return [name for name in names if name not in saved]


def _below(classes: list[type]) -> Iterator[type]:
    """The subclasses, the oldest first."""
    for cls in classes:
        children: list[type] = cls.__subclasses__()
        for child in children:
            yield child
            yield from _below([child])


def _is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == _PACKAGE


def _is_importable(cls: type) -> bool:
    """Whether the class is what its module has under its name; one that was defined again is not."""
    return getattr(sys.modules.get(cls.__module__), cls.__qualname__, None) is cls


def _full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
