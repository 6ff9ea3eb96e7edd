"""What a download may look like on the wire: its size, its pace, and the names that the endpoint gives to its files.

huggingface_hub compares sizes only after a download, waits for any line that is not silent for ten seconds, and names
files in its cache after the headers ``ETag`` and ``X-Repo-Commit``. A `Transfer` checks every request and response of
one download through the event hooks of huggingface_hub's own HTTP client (`huggingface_hub.get_session`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any

import huggingface_hub
from huggingface_hub import get_session

from .errors import DownloadError

httpx: Any = import_module("httpx2" if int(huggingface_hub.__version__.split(".")[0]) >= 2 else "httpx")
"""The HTTP library of the installed huggingface_hub, whose errors it raises: httpx2, or httpx before version 2."""
WINDOW = 10.0
"""Seconds over which the pace of a download is measured, the client's own time-out for a silent line."""
SLOWEST = 1_000
"""Bytes a second; a line that is slower for a whole `WINDOW` is dead."""
_TOKEN = r"\w+([.-]\w+)*"
_ETAG = re.compile(rf'(W/)?"?({_TOKEN})"?', re.ASCII)
_COMMIT = re.compile(_TOKEN, re.ASCII)
_LONGEST_TOKEN = 128


class NoAnswer(TimeoutError):
    """The endpoint cannot be reached, or is silent."""


class Transfer:
    """One download of one file.

    Args:
        subject: the model and the file, for error messages.
        most_bytes: the largest size that is fetched; None is any.
    """

    def __init__(self, subject: str, most_bytes: int | None) -> None:
        self.subject = subject
        self.most_bytes = most_bytes
        self._unanswered: tuple[str, str] | None = None
        self._received = 0
        self._window_start: float | None = None
        self._window_bytes = 0

    def request(self, request: Any) -> None:
        """Check a request before it is sent.

        Raises:
            NoAnswer: the client repeats a request that brought no answer, as it would for minutes.
        """
        self._require_pace()
        asked = (request.method, str(request.url))
        if asked == self._unanswered:
            raise NoAnswer("no answer")
        self._unanswered = asked

    def response(self, response: Any) -> None:
        """Check the headers of a response, and watch its body.

        Raises:
            DownloadError: unsafe names, compression that was not asked for, or too large a size.
        """
        request, headers, status = response.request, response.headers, response.status_code
        if request.method == "HEAD":
            self._require_safe_names(headers)
        if status < 400:
            self._require_known_size(headers)
        if request.method == "HEAD" or status not in (200, 206):
            self._unanswered = None  # other answers count once bytes arrive
        resumed = re.search(r"\d+", request.headers.get("Range", "")) if status == 206 else None
        self._received = int(resumed.group()) if resumed else 0
        response.stream = _Body(response.stream, self)

    def received(self, count: int) -> None:
        """Count bytes of a body.

        Raises:
            DownloadError: more than the size limit arrive.
            TimeoutError: they arrive too slowly.
        """
        self._unanswered = None
        self._received += count
        self._require_size(self._received)
        if self._window_start is None:
            self._window_start = time.monotonic()
        self._require_pace()
        self._window_bytes += count

    def _require_known_size(self, headers: Any) -> None:
        encoding = headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise DownloadError(
                f"{self.subject} was sent compressed ({encoding}), unasked: its size is unknown. Not downloaded"
            )
        for header in ("X-Linked-Size", "Content-Length"):
            size = headers.get(header, "")
            if size.isdecimal():
                self._require_size(int(size))

    def _require_size(self, size: int) -> None:
        if self.most_bytes is not None and size > self.most_bytes:
            raise DownloadError(
                f"{self.subject} has {size:,} bytes or more, over the limit of {self.most_bytes:,}: not downloaded"
            )

    def _require_pace(self) -> None:
        now = time.monotonic()
        if self._window_start is None or now - self._window_start < WINDOW:
            return
        if self._window_bytes < SLOWEST * WINDOW:
            raise TimeoutError(f"less than {SLOWEST:,} bytes a second arrived for {WINDOW:.0f} seconds")
        self._window_start, self._window_bytes = now, 0

    def _require_safe_names(self, headers: Any) -> None:
        """The client joins both headers to the path of its cache: an ETag of /etc/x would be written there."""
        names = {"ETag": _ETAG, "X-Repo-Commit": _COMMIT}
        given = {
            "ETag": headers.get("X-Linked-Etag") or headers.get("ETag"),
            "X-Repo-Commit": headers.get("X-Repo-Commit"),
        }
        for header, value in given.items():
            if value is not None and (len(value) > _LONGEST_TOKEN or not names[header].fullmatch(value)):
                raise DownloadError(
                    f"{self.subject}: the endpoint sent the {header} {value[:80]!r}, which is not a plain name "
                    "and could lead out of the cache: not downloaded. Check HF_ENDPOINT"
                )


class _Body(httpx.SyncByteStream):
    """The body of a response, whose bytes a `Transfer` counts."""

    def __init__(self, stream: Any, transfer: Transfer) -> None:
        self.stream = stream
        self.transfer = transfer

    def __iter__(self) -> Iterator[bytes]:
        for block in self.stream:
            self.transfer.received(len(block))
            yield block

    def close(self) -> None:
        self.stream.close()


_transfer: ContextVar[Transfer | None] = ContextVar("_transfer", default=None)


@contextmanager
def watching(transfer: Transfer) -> Iterator[None]:
    """Check what huggingface_hub sends and receives within the block, in this thread."""
    hooks = get_session().event_hooks
    for kind, hook in (("request", _check_request), ("response", _check_response)):
        if hook not in hooks[kind]:
            hooks[kind] = [*hooks[kind], hook]
    before = _transfer.set(transfer)
    try:
        yield
    finally:
        _transfer.reset(before)


def _check_request(request: Any) -> None:
    transfer = _transfer.get()
    if transfer is not None:
        transfer.request(request)


def _check_response(response: Any) -> None:
    transfer = _transfer.get()
    if transfer is not None:
        transfer.response(response)
