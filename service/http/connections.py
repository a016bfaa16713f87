"""Bound the connections of a server: how many there are, and how long a client may dawdle.

uvicorn has no such limits: it would wait indefinitely for a head, and for an answer to be read.
"""

import asyncio
import logging
import math
import sys
from typing import cast

from fastapi import FastAPI
from prometheus_client import Gauge
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.http.headers import unreadable_request
from service.settings import Settings

HEAD_SECONDS = 10.0
"""Longest time for a request's line and headers to arrive, while no other request is answered."""

MAX_HEAD_BYTES = 64 * 2**10

MOST_CONNECTIONS = 1000
"""Most connections where no setting says how many; fewer where the system allows few files."""

BODY_SHARE = 0.2
"""Share of the time to finish that bodies have to arrive once the server is told to stop."""

LOG_SECONDS = 60.0
"""Shortest time between two lines of the log that there are too many connections."""

log = logging.getLogger(__name__)


class Connections:
    """The open connections of one server, and the bounds on them.

    Used on the event loop alone, so that nothing needs a lock.

    Attributes:
        answer_seconds: Longest time that a client may leave an answer unread.
        grace_seconds: Longest time in which a server that is told to stop finishes.
    """

    def __init__(self, settings: Settings, gauge: Gauge) -> None:
        """Start without a connection.

        Args:
            settings: The bounds.
            gauge: Shows how many there are.
        """
        self.answer_seconds, self.grace_seconds = settings.answer_seconds, settings.grace_seconds
        self._most = settings.max_connections or usual_connections()
        self._gauge = gauge
        self._open: set[BoundedProtocol] = set()
        self._quiet_until = -math.inf

    def add(self, connection: "BoundedProtocol") -> None:
        """Count a new connection.

        If there are too many, close the one that has waited longest for a request: of those whose
        request is being answered, none.
        """
        self._open.add(connection)
        if len(self._open) > self._most:
            self._log(connection.loop.time())
            longest = min(self._open, key=lambda one: one.waits_until)
            self._open.discard(longest)
            longest.transport.abort()
        self._gauge.set(len(self._open))

    def remove(self, connection: "BoundedProtocol") -> None:
        """Count a connection no longer, if it was."""
        self._open.discard(connection)
        self._gauge.set(len(self._open))

    def _log(self, now: float) -> None:
        if now >= self._quiet_until:
            self._quiet_until = now + LOG_SECONDS
            log.warning(
                "%d connections are open, the most allowed (CXR_MAX_CONNECTIONS): each new one "
                "closes that which has waited longest for a request.",
                self._most,
            )


def usual_connections() -> int:
    """Return half the number of files that this process may have open, or 1000 if that is fewer.

    The other half is for decoders, which are processes, and for the audit trail.
    """
    if sys.platform == "win32":
        return MOST_CONNECTIONS
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, soft // 2)


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 that closes connections whose clients are too slow, or too many.

    A request's head must arrive in time and be short, and an answer must be read in time. Bodies
    are bounded where they are read, in `service.films.uploads`. The application's
    `state.connections` has the bounds.
    """

    _late: asyncio.TimerHandle | None = None
    """Closes the connection; runs while no request is answered."""
    _unread: asyncio.TimerHandle | None = None
    """Closes it too; runs while bytes wait for the client to read."""
    _in_head = True
    _head_bytes = 0

    @property
    def waits_until(self) -> float:
        """When the head of the next request must be here; infinity while a request is answered."""
        return self._late.when() if self._late else math.inf

    @property
    def _bounds(self) -> Connections:
        app = cast(FastAPI, self.config.app)
        return cast(Connections, app.state.connections)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection and start the clock for the first request's head."""
        super().connection_made(transport)
        # Every byte that the system does not take waits for the client: by default 64 KiB would
        # wait for ever.
        transport.set_write_buffer_limits(high=0)
        self._wait()
        self._bounds.add(self)

    def on_message_begin(self) -> None:
        """Restart the clock with the first byte of a request, unless one is being answered."""
        self._in_head, self._head_bytes = True, 0
        if self._late:
            self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop the clock: the head is complete."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Start the clock for the next request's head, unless that is here already."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self._wait()

    def data_received(self, data: bytes) -> None:
        """Take in data; close the connection if a head is too long."""
        was_in_head = self._in_head
        super().data_received(data)
        if was_in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.transport.close()

    def pause_writing(self) -> None:
        """Start the clock for the client to read what it was sent."""
        super().pause_writing()
        self._unread = self.loop.call_later(self._bounds.answer_seconds, self._give_up)

    def resume_writing(self) -> None:
        """Stop it: the client has read that."""
        self._stop_reading_clock()
        super().resume_writing()

    def shutdown(self) -> None:
        """Finish what has begun: for a while, and a body that is not here yet for a fifth of it."""
        super().shutdown()
        grace = self._bounds.grace_seconds
        self.loop.call_later(grace * BODY_SHARE, self._end_half_sent)
        self.loop.call_later(grace, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a problem document, and close the connection."""
        self.transport.write(unreadable_request())
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks, and count the connection no longer."""
        self._stop_waiting()
        self._stop_reading_clock()
        self._bounds.remove(self)
        super().connection_lost(exc)

    def _should_upgrade_to_ws(self) -> bool:
        return False  # another protocol would take the connection out of these bounds

    def _wait(self) -> None:
        self._stop_waiting()
        self._late = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._late:
            self._late.cancel()
        self._late = None

    def _stop_reading_clock(self) -> None:
        if self._unread:
            self._unread.cancel()
        self._unread = None

    def _give_up(self) -> None:
        log.warning(
            "An answer was not read within %g s; it ends here.", self._bounds.answer_seconds
        )
        self.transport.abort()

    def _end_half_sent(self) -> None:
        # Of requests in a row on one connection, only the last has a body that is not here yet.
        if self.cycle and self.cycle.more_body and not self.pipeline:
            self.transport.abort()
