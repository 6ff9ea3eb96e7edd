"""What the hardware supports."""

from __future__ import annotations

from functools import cache

import torch
from torch.distributions import Distribution


@cache
def has_fast_bf16() -> bool:
    """Whether the GPU (without one, the CPU) multiplies bfloat16 in hardware; emulation is many times slower."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    cpu: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # not in older torch
    return bool(cpu.get("avx512_bf16") or cpu.get("amx_bf16"))


@cache
def can_compile() -> bool:
    """Whether ``torch.compile`` works here: it needs a C++ compiler, or Triton on a GPU.

    A process's first compilation turns off argument validation in all distributions; it is turned on again here.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    checked = Distribution._validate_args
    try:
        torch.compile(torch.sin)(torch.zeros(1, device=device))
    except RuntimeError:  # TorchDynamo wraps the compiler's own error
        return False
    finally:
        Distribution.set_default_validate_args(checked)
    return True
