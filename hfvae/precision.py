"""Half precision: networks may compute in it, densities may not."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from typing_extensions import Self

HALF = (torch.float16, torch.bfloat16)


def full_dtype(dtype: torch.dtype) -> torch.dtype:
    """float32 for the half-precision types, else `dtype` itself."""
    return torch.float32 if dtype in HALF else dtype


def full_precision(tensor: Tensor) -> Tensor:
    """Half-precision values (of autocast, or of a model in half precision) as float32, others as they are."""
    return tensor.to(full_dtype(tensor.dtype))


class FullPrecision(nn.Module):
    """A module whose parameters stay in float32 at least when its model is converted to half precision.

    log p and log q are sums and differences of large numbers; in half precision they would lose whole nats.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        def converted(tensor: Tensor) -> Tensor:
            result = fn(tensor)
            return result if result.dtype not in HALF else tensor.to(result.device, full_dtype(result.dtype))

        return super()._apply(converted, recurse)
