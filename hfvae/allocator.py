"""Settings of glibc's memory allocator; no effect with other C libraries."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
_FREELY = 1 << 30
_LARGE = 128 << 10


def keep_freed_memory() -> None:
    """Keep freed memory for the next step instead of returning it to the kernel.

    Each training step on a CPU frees and allocates the same megabytes. With glibc's defaults they go back to the
    kernel, and faulting them in again, page by page, took a quarter of a step.
    """
    if (libc := _glibc()) is not None:
        libc.mallopt(_M_MMAP_THRESHOLD, _FREELY)
        libc.mallopt(_M_TRIM_THRESHOLD, _FREELY)


def return_freed_memory(arenas: int = 2) -> None:
    """Return freed memory to the kernel, for a long-running server.

    All threads share `arenas` arenas; by default each thread has its own, which keeps its freed memory. Large blocks
    are always mapped separately; by default that threshold grows until they end up in arenas too.
    """
    if (libc := _glibc()) is not None:
        libc.mallopt(_M_ARENA_MAX, arenas)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)


def release_freed_memory() -> None:
    """Return freed memory to the kernel now."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def _glibc() -> Any | None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if libc is not None and hasattr(libc, "gnu_get_libc_version") else None
