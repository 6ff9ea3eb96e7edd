"""Checks of model inputs, and the precision of densities.

Value checks are skipped under tracing and vmap. Networks may run in half precision; densities stay in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

HALF = (torch.float16, torch.bfloat16)
_unchecked: ContextVar[bool] = ContextVar("unchecked", default=False)


@contextmanager
def unchecked_values() -> Iterator[None]:
    """Skip value checks: on a GPU each one forces a sync."""
    token = _unchecked.set(True)
    try:
        yield
    finally:
        _unchecked.reset(token)


def transformed(tensor: Tensor) -> bool:
    """Whether a tensor is inside `torch.vmap` or another transform of `torch.func`; torch has no public test for it."""
    return not torch.compiler.is_compiling() and torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def values_known(tensor: Tensor) -> bool:
    """Whether Python may branch on the values of a tensor.

    It may not while `torch.compile`, `torch.export` or `torch.onnx.export` trace, inside a transform of `torch.func`,
    or on the meta device. Inside `unchecked_values` it should not.
    """
    if torch.compiler.is_compiling() or tensor.is_meta or _unchecked.get():
        return False
    return not transformed(tensor)


def validate_args(tensor: Tensor) -> bool | None:
    """`validate_args` for a distribution with this parameter: torch's default, or False where values are unknown."""
    return None if values_known(tensor) else False


def validate_tensor(name: str, value: Tensor, shape: Sequence[int], dtypes: Sequence[torch.dtype]) -> None:
    """Require a batch of the given shape and of one of the dtypes.

    Raises:
        TypeError: not a tensor, or of another dtype.
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


def full_dtype(dtype: torch.dtype) -> torch.dtype:
    """float32 for the half-precision types, else `dtype` itself."""
    return torch.float32 if dtype in HALF else dtype


def full_precision(tensor: Tensor) -> Tensor:
    """Half-precision values as float32, others unchanged."""
    return tensor.to(full_dtype(tensor.dtype))


class FullPrecision(nn.Module):
    """A module whose parameters stay in float32 when its model is converted to half precision.

    Log densities are sums and differences of large numbers: in half precision they would be off by whole nats.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        def converted(tensor: Tensor) -> Tensor:
            result = fn(tensor)
            return result if result.dtype not in HALF else tensor.to(result.device, full_dtype(result.dtype))

        return super()._apply(converted, recurse)
