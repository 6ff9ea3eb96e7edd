"""What this machine is good at."""

from __future__ import annotations

from functools import cache

import torch


def multiplies_bfloat16() -> bool:
    """Whether the GPU, or without one the CPU, has units for bfloat16; others emulate it, many times slower."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    cpu: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # older torch cannot tell
    return bool(cpu.get("avx512_bf16") or cpu.get("amx_bf16"))


@cache
def can_compile() -> bool:
    """Whether ``torch.compile`` works here; it needs a C++ compiler, or Triton for a GPU."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.compile(torch.sin)(torch.zeros(1, device=device))
    except RuntimeError:  # of TorchDynamo, whatever the compiler's own was
        return False
    return True
