"""Checks of the tensors that a model is given. Those of values step aside where values are not known: under tracing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_unchecked: ContextVar[bool] = ContextVar("unchecked", default=False)


@contextmanager
def unchecked_values() -> Iterator[None]:
    """Take values as valid inside: on a GPU each check waits for all that was asked of it before."""
    token = _unchecked.set(True)
    try:
        yield
    finally:
        _unchecked.reset(token)


def transformed(tensor: Tensor) -> bool:
    """Whether a tensor is under `torch.vmap` or another transform of `torch.func`."""
    return not torch.compiler.is_compiling() and torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def values_known(tensor: Tensor) -> bool:
    """Whether Python may branch on the values of a tensor.

    It may not while `torch.compile`, `torch.export` or `torch.onnx.export` trace it, under `torch.vmap` and the other
    transforms of `torch.func`, or on the meta device, and it need not in `unchecked_values`.
    """
    if torch.compiler.is_compiling() or tensor.is_meta or _unchecked.get():
        return False
    return not transformed(tensor)


def validate_args(tensor: Tensor) -> bool | None:
    """`validate_args` of a distribution with this parameter: torch's default, or False where values are not known."""
    return None if values_known(tensor) else False


def validate_tensor(name: str, value: Tensor, shape: Sequence[int], dtypes: Sequence[torch.dtype]) -> None:
    """Refuse anything but a batch of tensors of the given shape and of one of the dtypes.

    Raises:
        TypeError: no tensor, or one of another dtype.
        ValueError: another shape, or an empty batch.
    """
    if not isinstance(value, Tensor) or value.dtype not in dtypes:
        got = f"a tensor of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"{name} must be a tensor of {dtypes[0]}, as the model is; got {got}")
    if value.shape[1:] != tuple(shape) or value.ndim != len(shape) + 1:
        wanted = ", ".join(map(str, ("B", *shape)))
        raise ValueError(f"{name} must have shape ({wanted}), got {tuple(value.shape)}")
    if value.shape[0] == 0:  # len() would fix the size of the batch under export
        raise ValueError(f"{name} is an empty batch")
