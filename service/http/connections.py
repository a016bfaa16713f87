"""Close connections whose request headers come too slowly or are too long.

uvicorn has no such limit: it would wait for them indefinitely.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.http.headers import unreadable_request

HEAD_SECONDS = 10.0
"""Longest time for a request's line and headers to arrive."""

MAX_HEAD_BYTES = 64 * 2**10


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 that closes a connection whose request headers are too slow or too long.

    Bodies are bounded where they are read, in `service.films.uploads`.
    """

    _late: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock for the first request's headers."""
        super().connection_made(transport)
        self._wait()

    def on_message_begin(self) -> None:
        """Restart the clock with the first byte of a request."""
        self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop the clock: the headers are complete."""
        self._stop_waiting()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Take in data; close the connection if headers are too long."""
        super().data_received(data)
        if self._late is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a problem document, and close the connection."""
        self.transport.write(unreadable_request())
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop_waiting()
        self._late = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late, self._head_bytes = None, 0
