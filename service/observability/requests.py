"""Give every request an id and a place in a trace; time, count and log it."""

import logging
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.observability.logs import FIELDS
from service.observability.metrics import Metrics
from service.observability.trace_context import (
    RequestIdentity,
    Span,
    callers_span,
    current_request,
    own_span,
    request_id,
)
from service.observability.tracing import Tracing

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
PAGE = "/{page}"
"""Route label of requests that match no route: the viewer's files."""
CLIENT_CLOSED_REQUEST = 499
"""Status, as nginx has it, of a request that ended without an answer."""
QUIET = ("/health/", "/v2/health/", "/metrics")
"""Routes that machines ask every few seconds; logged at DEBUG."""

FIRST_FAILURE = 400

log = logging.getLogger(__name__)


class RequestRecorder:
    """Middleware that gives each request an id and a span, and records its outcome.

    Of the values that a client chose only its request and trace ids are recorded: a path may
    contain anything, and so may a query or a file's name.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, tracing: Tracing | None = None) -> None:
        self.app, self._metrics, self._tracing = app, metrics, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        with self._span(callers_span(headers)) as span:
            request = RequestIdentity(request_id(headers), span)
            token = current_request.set(request)
            exchange = Exchange(scope, receive, send, request)
            try:
                await self.app(scope, exchange.receive, exchange.send)
            finally:
                self._record(exchange)
                current_request.reset(token)

    def _span(self, caller: Span | None) -> AbstractContextManager[Span]:
        if self._tracing is None:
            return nullcontext(own_span(caller))
        return self._tracing.request(caller)

    def _record(self, exchange: "Exchange") -> None:
        method, route, status = exchange.method, exchange.route, exchange.status
        seconds = time.perf_counter() - exchange.start
        self._metrics.answered(method, route, status, seconds)
        if exchange.problem:
            self._metrics.problem(exchange.model, exchange.problem)
        if self._tracing:
            self._tracing.answered(method, route, status)
        exchange.log(seconds)


def answering_route(scope: Scope) -> Any:
    """Return the route that answers a request, None before there is one."""
    # Newer FastAPI keeps here what nested routers add: prefixes, and dependencies.
    return scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")


class Exchange:
    """Read what is recorded of a request and its answer while they pass through.

    Attributes:
        method: Of HTTP; `other` for a client's own word.
        status: Of the answer.
        bytes_in: Of the request's body, as far as it was read.
        start: When it came, in seconds of `time.perf_counter`.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, request: RequestIdentity
    ) -> None:
        self._scope, self._receive, self._send, self._request = scope, receive, send, request
        self._state = scope.setdefault("state", {})
        self._state["request_id"] = request.request_id
        self.method = scope["method"] if scope["method"] in METHODS else "other"
        self.status = CLIENT_CLOSED_REQUEST
        self.bytes_in = 0
        self.start = time.perf_counter()

    @property
    def route(self) -> str:
        """The template of the route that answered."""
        return getattr(answering_route(self._scope), "path_format", PAGE)

    async def receive(self) -> Message:
        """Return the next message of the client."""
        message = await self._receive()
        self.bytes_in += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        """Send a message to the client."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._request.request_id
            headers["traceparent"] = self._request.span.traceparent
        await self._send(message)

    def log(self, seconds: float) -> None:
        """Log the request and its answer, which took this many seconds."""
        quiet = self.route.startswith(QUIET) and self.status < FIRST_FAILURE
        fields = {
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "seconds": round(seconds, 6),
            "bytes_in": self.bytes_in,
            "model": self.model,
            "problem": self.problem,
            "key_id": self._state.get("key_id"),
        }
        log.log(
            logging.DEBUG if quiet else logging.INFO,
            "%(method)s %(route)s %(status)d in %(seconds).3f s",
            fields,
            extra={FIELDS: fields},
        )

    @property
    def model(self) -> str:
        """Name of the model that was asked; empty where none was."""
        return self._state.get("model", "")

    @property
    def problem(self) -> str:
        """The kind of problem that was the answer; empty where there was none."""
        return self._state.get("problem", "")
