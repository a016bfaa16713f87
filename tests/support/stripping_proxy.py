"""A small proxy that takes a prefix off the path, as `proxy_pass` of nginx does."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

OWN = ("content-encoding", "content-length", "transfer-encoding", "connection", "date")
"""Headers of an answer that belong to its connection, or to how its body was sent."""


def stripping_proxy(server: httpx.URL, prefix: str, headers: Mapping[str, str]) -> Starlette:
    """Return a proxy that adds these headers; paths without the prefix are a 404 of its own."""

    @asynccontextmanager
    async def lifespan(proxy: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(base_url=server, timeout=60) as proxy.state.client:
            yield

    async def pass_on(request: Request) -> Response:
        path = request.url.path
        if not path.startswith(f"{prefix}/"):
            return Response("The proxy knows no such path.", 404)
        answer = await request.app.state.client.request(
            request.method,
            path.removeprefix(prefix),
            params=request.query_params,
            headers=dict(request.headers) | dict(headers),
            content=await request.body(),
        )
        passed = {name: value for name, value in answer.headers.items() if name not in OWN}
        return Response(answer.content, answer.status_code, passed)

    methods = ["GET", "HEAD", "POST"]
    return Starlette(routes=[Route("/{path:path}", pass_on, methods=methods)], lifespan=lifespan)
