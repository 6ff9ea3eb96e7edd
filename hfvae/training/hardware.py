"""What this machine is good at."""

from __future__ import annotations

from functools import cache

import torch
from torch.distributions import Distribution


def multiplies_bfloat16() -> bool:
    """Whether the GPU, or without one the CPU, has units for bfloat16; others emulate it, many times slower."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    cpu: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # older torch cannot tell
    return bool(cpu.get("avx512_bf16") or cpu.get("amx_bf16"))


@cache
def can_compile() -> bool:
    """Whether ``torch.compile`` works here; it needs a C++ compiler, or Triton for a GPU.

    The first compilation of a process ends the checks of all its distributions; here they are taken up again.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    checked = Distribution._validate_args
    try:
        torch.compile(torch.sin)(torch.zeros(1, device=device))
    except RuntimeError:  # of TorchDynamo, whatever the compiler's own was
        return False
    finally:
        Distribution.set_default_validate_args(checked)
    return True
