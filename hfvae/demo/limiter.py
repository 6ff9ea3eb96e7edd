"""Access to the models: one call at a time, and a bounded number of waiting ones."""

from __future__ import annotations

import threading
from types import TracebackType


class Busy(RuntimeError):
    """Too many calls are waiting, or this one has waited too long; the caller may try again."""


class ConcurrencyLimiter:
    """A lock for the models, since torch's threads are used by one call at a time; a context manager.

    Args:
        max_waiting: number of calls that may wait.
        timeout: seconds that each of them waits.
    """

    def __init__(self, max_waiting: int = 64, timeout: float = 5.0) -> None:
        self.timeout = timeout
        self._model = threading.Lock()
        self._places = threading.BoundedSemaphore(max_waiting + 1)

    def __enter__(self) -> None:
        if not self._places.acquire(blocking=False):
            raise Busy("Too many people are here at once. Please try again in a moment.")
        if not self._model.acquire(timeout=self.timeout):
            self._places.release()
            raise Busy(f"The model was busy for {self.timeout:g} seconds. Please try again in a moment.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._model.release()
        self._places.release()
