"""Calls of the named endpoints: how many wait and run, and a bound on the answers that nobody has read.

This is the one place that touches Gradio's queue, `Blocks._queue`, which has no public interface:

- `pending_messages_per_session` is replaced by `UnreadAnswers`. Gradio holds an answer until it is read, and 2,000 of
  them for as long as the app runs: 1,000 unread answers of 100 images each take 3.4 GB.
- `event_queue_per_concurrency_id` and `active_jobs` are read, to give each visitor a share of the waiting calls and to
  let running calls end when the app is stopped.
- `sleep_when_free` is lengthened: by default an idle app keeps a twelfth of a core busy.

Tried with Gradio 6.31.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from typing import Any

import orjson
from gradio.queueing import Queue
from gradio.utils import LRUCache

from ...allocator import release_freed_memory
from ..limiter import visitor
from .blocks import ModelBlocks

MAX_SESSIONS = 256
MAX_UNREAD_BYTES = 8 << 20
"""Of all unread answers together, as JSON: one of 100 images has 0.6 MB, and takes five times as much in memory."""
MAX_AGE = 30.0
"""Seconds after which an answer that nobody reads is dropped."""
POLL = 0.02
"""Seconds between two looks for new calls."""


class Calls:
    """The calls of an app's named endpoints.

    Args:
        demo: the app, whose unread answers are bounded from now on.
    """

    def __init__(self, demo: ModelBlocks) -> None:
        self._limiter = demo.registry.limiter
        self._queue = demo._queue
        self._queue.pending_messages_per_session = UnreadAnswers(self._queue)
        self._queue.sleep_when_free = POLL

    @property
    def busy(self) -> bool:
        """Whether a call runs or waits, the page's own calls included."""
        return self._limiter.busy or len(self._queue) > 0 or any(self._queue.active_jobs)

    def waiting(self, who: str) -> int:
        """The number of calls that a visitor has in the queue."""
        queues = list(self._queue.event_queue_per_concurrency_id.values())
        clients = (event.request.client for queue in queues for event in queue.queue)
        return sum(client is not None and client.host == who for client in clients)


class Mailbox(asyncio.Queue[Any]):
    """The messages to one session."""

    def __init__(self, table: UnreadAnswers) -> None:
        super().__init__()
        self.table = table
        self.visitor = visitor.get()
        self.sizes: deque[int] = deque()
        self.touched = time.monotonic()

    def _put(self, item: Any) -> None:
        output = getattr(item, "output", None)
        self.sizes.append(len(orjson.dumps(output, default=str)) if output else 0)
        if self.qsize() == 0:
            self.touched = time.monotonic()
        super()._put(item)
        self.table.bound()

    def _get(self) -> Any:
        self.sizes.popleft()
        self.touched = time.monotonic()
        return super()._get()


class UnreadAnswers(LRUCache[str, Any]):
    """The mailboxes by session.

    Args:
        queue: Gradio's queue, whose own records of a session go with its mailbox.
    """

    def __init__(self, queue: Queue) -> None:
        super().__init__(MAX_SESSIONS)
        self.queue = queue
        self._sweeping = False

    def __setitem__(self, session: str, _: Any) -> None:
        if session not in self and len(self) >= self.max_size:
            self._drop(self._victim())
        super().__setitem__(session, Mailbox(self))
        self._sweep_later()

    def __missing__(self, session: str) -> Mailbox:
        return Mailbox(self)  # for the answer to a call whose mailbox was dropped: nobody will read it

    def bound(self) -> None:
        """Drop mailboxes until all unread answers together are within the limit."""
        while sum(sum(box.sizes) for box in self.values()) > MAX_UNREAD_BYTES:
            self._drop(self._victim())

    def _victim(self) -> str:
        """The oldest mailbox of the visitor who has most unread."""
        unread: Counter[str] = Counter()
        for box in self.values():
            unread[box.visitor] += 1 + sum(box.sizes)
        most = unread.most_common(1)[0][0]
        filled = [session for session, box in self.items() if box.visitor == most and sum(box.sizes)]
        return filled[0] if filled else next(session for session, box in self.items() if box.visitor == most)

    def _drop(self, session: str) -> None:
        self.pop(session, None)
        self.queue.pending_event_ids_session.pop(session, None)

    def _sweep_later(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(MAX_AGE / 2, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = False
        running = {event.session_hash for event in self.queue.event_ids_to_events.values()}
        for session, box in list(self.items()):
            if time.monotonic() - box.touched > MAX_AGE and (box.qsize() or session not in running):
                self._drop(session)
        release_freed_memory()
        if self:
            self._sweep_later()
