"""Identify a request in logs and traces: its own id, and its place in a W3C trace."""

import re
from contextvars import ContextVar
from secrets import token_hex
from typing import NamedTuple
from uuid import uuid4

from starlette.datastructures import Headers

TRACEPARENT = re.compile(
    r"(?!ff|00.{54})"  # version ff is not allowed, and version 00 has nothing behind the flags
    r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
REQUEST_ID = re.compile(r"[A-Za-z0-9._:=-]{1,64}")
"""Form of a request id from a client; anything else might forge lines in a log."""


class Span(NamedTuple):
    """One step of a trace.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        is_sampled: True if it is recorded somewhere.
    """

    trace_id: str
    span_id: str
    is_sampled: bool

    @property
    def traceparent(self) -> str:
        """The header that makes the receiver's step a child of this one."""
        return f"00-{self.trace_id}-{self.span_id}-{self.is_sampled:02x}"


class RequestIdentity(NamedTuple):
    """The id of a request, and its place in a trace.

    Attributes:
        request_id: The client's, if it sent a well-formed one.
        span: The request as a step of its trace.
    """

    request_id: str
    span: Span


current_request: ContextVar[RequestIdentity | None] = ContextVar("current_request", default=None)


def callers_span(headers: Headers) -> Span | None:
    """Return the step that a request is part of; None if `traceparent` is absent or ill-formed.

    Source:
        W3C Trace Context, level 1, section 3.2 and, for versions to come, 4.3.
    """
    values = headers.getlist("traceparent")
    found = TRACEPARENT.fullmatch(values[0].strip(" \t")) if len(values) == 1 else None
    if found is None:
        return None
    trace_id, span_id, flags = found.groups()
    return Span(trace_id, span_id, bool(int(flags, 16) & 1))


def own_span(caller: Span | None) -> Span:
    """Return a new step below the caller's, or the first of a new trace."""
    if caller is None:
        return Span(token_hex(16), token_hex(8), False)
    return caller._replace(span_id=token_hex(8))


def request_id(headers: Headers) -> str:
    """Return the client's `X-Request-ID` if it is well-formed, else a new UUID."""
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else str(uuid4())
