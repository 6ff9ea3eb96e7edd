"""What this machine is good at: bfloat16, and keeping freed memory."""

from __future__ import annotations

import ctypes
import sys

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_FREELY = 1 << 30


def keep_freed_memory() -> None:
    """Let the C library keep freed memory for the next step instead of giving it back to the kernel.

    A training step on a CPU frees and allocates the same megabytes each time; glibc's defaults return them, and to have
    them back, page by page, took a quarter of a step. Does nothing where the C library is not glibc.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_M_MMAP_THRESHOLD, _FREELY)
        libc.mallopt(_M_TRIM_THRESHOLD, _FREELY)


def multiplies_bfloat16() -> bool:
    """Whether the GPU, or without one the CPU, has units for bfloat16; others emulate it, many times slower."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    cpu: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # older torch cannot tell
    return bool(cpu.get("avx512_bf16") or cpu.get("amx_bf16"))
