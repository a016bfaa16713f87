"""How long work goes on: until it is done, the client hangs up, or its time is over."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from service.problems import TooSlow, UploadInterrupted

T = TypeVar("T")


async def while_wanted(request: Request, work: Coroutine[Any, Any, T], *, seconds: float) -> T:
    """Return what the work returns; it is cancelled when nobody waits for it any more.

    Args:
        request: Its body has been read.
        work: What answers it.
        seconds: Longest time it may take.

    Raises:
        UploadInterrupted: The client hung up.
        TooSlow: The time is over.
    """
    working = asyncio.ensure_future(work)
    hung_up = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait((working, hung_up), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if hung_up.done():
            raise UploadInterrupted("The connection was closed before the answer.")
        raise TooSlow(f"There was no answer within {seconds:g} seconds; send the film later.")
    finally:
        working.cancel()
        hung_up.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
