"""The gate in front of the models: one at a time, and a short line."""

from __future__ import annotations

import threading
from types import TracebackType


class Busy(RuntimeError):
    """The line is full, or moves too slowly: whoever asks again in a moment may be lucky."""


class Gate:
    """A lock that says how many may wait for it and how long; torch's threads are used by one call at a time.

    Args:
        line: how many may wait.
        patience: seconds that each of them waits.
    """

    def __init__(self, line: int = 64, patience: float = 5.0) -> None:
        self.patience = patience
        self._model = threading.Lock()
        self._places = threading.BoundedSemaphore(line + 1)

    def __enter__(self) -> None:
        if not self._places.acquire(blocking=False):
            raise Busy("Too many people are here at once. Please try again in a moment.")
        if not self._model.acquire(timeout=self.patience):
            self._places.release()
            raise Busy(f"The model was busy for {self.patience:g} seconds. Please try again in a moment.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._model.release()
        self._places.release()
