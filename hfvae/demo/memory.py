"""Keeps the C library from holding on to memory that many short calls in many threads have freed."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

_M_ARENA_MAX = -8  # of glibc's malloc.h


def share_arenas(count: int = 2) -> None:
    """Let all threads allocate from so many arenas; glibc gives each its own, and a freed answer stays in there.

    Does nothing where the C library is not glibc.
    """
    if (libc := _glibc()) is not None:
        libc.mallopt(_M_ARENA_MAX, count)


def give_back() -> None:
    """Give freed memory back to the system, where the C library is glibc."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def _glibc() -> Any | None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if libc is not None and hasattr(libc, "gnu_get_libc_version") else None
