"""Add security headers to every answer, and answer a fault of the server as a problem document."""

import logging
import traceback
from urllib.parse import urlsplit
from uuid import uuid4

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import blank_problem_response

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
PERMISSIONS_POLICY = "camera=(), display-capture=(), geolocation=(), microphone=(), usb=()"
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": PERMISSIONS_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PRIVATE = ("/v1/", "/v2/", "/metrics")

FAULT = "The fault is the server's; its log says more."
"""All that a client is told of a fault."""

log = logging.getLogger(__name__)


class SafeAnswers:
    """Middleware that adds security headers, and answers a fault with a problem document.

    Of a fault, its place and type are logged. Its message is left out: a decoder may quote a film's
    header in it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(message, scope["path"])
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:
            if started:
                raise
            log_fault(error)
            answer = blank_problem_response(500, FAULT, scope)
            await answer(scope, receive, send_with_headers)


def unreadable_request() -> bytes:
    """Return the whole answer to a request that is no HTTP, which no middleware sees."""
    request_id = str(uuid4())
    log.warning("a request that is no HTTP was refused, with the id %s", request_id)
    answer = blank_problem_response(
        400,
        "This is no HTTP/1.1 request.",
        {"state": {"request_id": request_id}},
        {"Connection": "close", "X-Request-ID": request_id},
    )
    _add_headers({"headers": answer.raw_headers}, "")
    lines = [b": ".join(header) for header in answer.raw_headers]
    return b"\r\n".join([b"HTTP/1.1 400 Bad Request", *lines, b"", bytes(answer.body)])


def log_fault(error: Exception) -> None:
    """Log the place and the type of a fault, without its message."""
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s at\n%s", type(error).__name__, where)


def _add_headers(message: Message, path: str) -> None:
    headers = MutableHeaders(raw=message["headers"])
    if location := headers.get("location"):
        headers["location"] = _relative(location)
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    # Answers about patients must not be stored; pages are fetched anew after each release.
    headers.setdefault("Cache-Control", "no-store" if path.startswith(PRIVATE) else "no-cache")


def _relative(location: str) -> str:
    """Return a redirect that adds or takes a last slash, relative to the path that was asked.

    Neither host nor prefix is repeated: the client chose the one, and a proxy may hide the other.
    """
    url = urlsplit(location)
    last = url.path.rstrip("/").rpartition("/")[2]
    path = f"./{last}/" if url.path.endswith("/") else f"../{last}"
    return f"{path}?{url.query}" if url.query else path
