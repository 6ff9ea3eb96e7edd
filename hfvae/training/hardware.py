"""What this machine is good at."""

from __future__ import annotations

import torch


def multiplies_bfloat16() -> bool:
    """Whether the GPU, or without one the CPU, has units for bfloat16; others emulate it, many times slower."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    cpu: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # older torch cannot tell
    return bool(cpu.get("avx512_bf16") or cpu.get("amx_bf16"))
