"""Connections on which nothing is asked.

This is the one place that touches uvicorn's insides: `H11Protocol.cycle`, the request of a connection that is being
answered. uvicorn closes a connection that is idle after an answer, but has no timeout for the first request or for the
rest of one that was begun, so that a visitor could hold all connections. Tried with uvicorn 0.54.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


def bounded_protocol(max_silent: int) -> type[H11Protocol]:
    """uvicorn's protocol for a server that keeps at most `max_silent` connections on which no request is under way.

    One more closes the oldest of them, so that others can connect, however many stay silent.
    """
    silent: dict[H11Protocol, None] = {}  # the oldest first

    class BoundedProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            silent[self] = None
            if len(silent) > max_silent:
                oldest = next(iter(silent))
                del silent[oldest]
                oldest.transport.abort()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is None or self.cycle.response_complete:
                silent.setdefault(self)
            else:
                silent.pop(self, None)

        def connection_lost(self, exc: Exception | None) -> None:
            silent.pop(self, None)
            super().connection_lost(exc)

    return BoundedProtocol
