"""Keep what a request holds until its answer is sent, and count long answers as held memory."""

from contextlib import AsyncExitStack
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import Overloaded, problem_response

LONG_BYTES = 2**18
"""Longer answers are counted. Others never fail for want of memory: `/metrics` is one of them."""


class KeptUntilSent:
    """Middleware that keeps a request's places and bytes until the client has taken the answer.

    `request.state.until_sent` is a stack (`contextlib.AsyncExitStack`) of what ends then, or when
    the connection is lost: `service.http.connections` closes it if the client does not read.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        async with AsyncExitStack() as until_sent:
            scope.setdefault("state", {})["until_sent"] = until_sent
            await self.app(scope, receive, _Answer(scope, receive, send, until_sent).send)


class _Answer:
    """An answer on its way: it is counted before its first byte, and 503 if it does not fit."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, until_sent: AsyncExitStack
    ) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._until_sent = until_sent
        self._is_refused = False

    async def send(self, message: Message) -> None:
        """Send a message to the client; return from the last when it has the ones before."""
        if message["type"] == "http.response.start":
            try:
                self._hold(Headers(scope=message))
            except Overloaded as problem:
                await self._refuse(problem)
        if self._is_refused:
            return
        if message.get("body") and not message.get("more_body", False):
            # A server takes the next message when the client has taken this one.
            await self._send({**message, "more_body": True})
            message = {**message, "body": b""}
        await self._send(message)

    def _hold(self, headers: Headers) -> None:
        """Count the bytes of a long answer.

        Raises:
            Overloaded: There is no memory left for them.
        """
        count = int(headers.get("content-length", 0))
        engine: Any = getattr(self._scope["app"].state, "engine", None)
        if count > LONG_BYTES and engine:
            engine.admission.hold(count)
            self._until_sent.callback(engine.admission.give_free, count)

    async def _refuse(self, problem: Overloaded) -> None:
        self._is_refused = True
        self._scope["state"]["problem"] = problem.name()
        answer = problem_response(problem, self._scope)
        await answer(self._scope, self._receive, self._send)
