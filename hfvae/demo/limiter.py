"""Access to the models: one call at a time, visitors in turn, and a bounded number of waiting calls."""

from __future__ import annotations

import threading
from collections import deque
from contextvars import ContextVar
from types import TracebackType

visitor: ContextVar[str] = ContextVar("visitor", default="")
"""The client address of the current request; empty outside a request."""


class Busy(RuntimeError):
    """Too many calls are waiting, or this one has waited too long; the caller may try again."""


class ConcurrencyLimiter:
    """A lock for the models, since torch's threads are used by one call at a time; a context manager.

    Visitors take turns: one who calls again and again waits behind each of the others, not before them.

    Args:
        max_waiting: number of calls that may wait.
        timeout: seconds that each of them waits.
        max_waiting_per_visitor: number of them that may be one visitor's.
    """

    def __init__(self, max_waiting: int = 64, timeout: float = 5.0, max_waiting_per_visitor: int = 32) -> None:
        self.max_waiting = max_waiting
        self.timeout = timeout
        self.max_waiting_per_visitor = max_waiting_per_visitor
        self._changed = threading.Condition()
        self._taken = False
        self._waiting: dict[str, deque[object]] = {}  # by visitor, whose turn is next first

    def __enter__(self) -> None:
        who, ticket = visitor.get(), object()
        with self._changed:
            waiting, own = sum(map(len, self._waiting.values())), len(self._waiting.get(who, ()))
            if self.busy and (waiting >= self.max_waiting or own >= self.max_waiting_per_visitor):
                raise Busy("Too many people are here at once. Please try again in a moment.")
            self._waiting.setdefault(who, deque()).append(ticket)
            admitted = self._changed.wait_for(lambda: not self._taken and self._next() is ticket, self.timeout)
            line = self._waiting.pop(who)
            line.remove(ticket)
            if line:
                self._waiting[who] = line  # behind the others
            if not admitted:
                self._changed.notify_all()
                raise Busy(f"The model was busy for {self.timeout:g} seconds. Please try again in a moment.")
            self._taken = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._taken = False
            self._changed.notify_all()

    @property
    def busy(self) -> bool:
        """Whether a call runs or waits."""
        return self._taken or bool(self._waiting)

    def _next(self) -> object:
        """The first ticket of the visitor whose turn it is."""
        return next(iter(self._waiting.values()))[0]
