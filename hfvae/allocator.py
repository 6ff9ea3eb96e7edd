"""Settings of glibc's memory allocator. They do nothing where the C library is another one."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
_FREELY = 1 << 30
_LARGE = 128 << 10


def keep_freed_memory() -> None:
    """Let the C library keep freed memory for the next step instead of giving it back to the kernel.

    A training step on a CPU frees and allocates the same megabytes each time; glibc's defaults return them, and to have
    them back, page by page, took a quarter of a step.
    """
    if (libc := _glibc()) is not None:
        libc.mallopt(_M_MMAP_THRESHOLD, _FREELY)
        libc.mallopt(_M_TRIM_THRESHOLD, _FREELY)


def return_freed_memory(arenas: int = 2) -> None:
    """Let freed memory go back to the kernel, for a server that runs for long.

    All threads share `arenas` arenas; by default each thread's own keeps what is freed in it. Large blocks are mapped,
    each by itself; by default the size from which they are grows as they come, and they end up in arenas too.
    """
    if (libc := _glibc()) is not None:
        libc.mallopt(_M_ARENA_MAX, arenas)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)


def release_freed_memory() -> None:
    """Give freed memory back to the kernel."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def _glibc() -> Any | None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if libc is not None and hasattr(libc, "gnu_get_libc_version") else None
