"""The client for programs on asyncio; `client.py` has the same for others."""

import asyncio
from asyncio import sleep
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, ParamSpec

import httpx

from cxr_client import calls
from cxr_client.answers import (
    EnsembleSummary,
    ExplainedComparison,
    ExplainedPrediction,
    ModelDescription,
    ModelSummary,
    Prediction,
)
from cxr_client.calls import Call, Film, Mask, RawFilm, T
from cxr_client.problem import Problem, problem_of

P = ParamSpec("P")


class AsyncClient:
    """Client of one server, for asyncio; `Client` says what each method does.

    A film that is given by its path is read in a thread.
    """

    def __init__(
        self,
        address: str,
        *,
        key: str | None = None,
        timeout: float = 60,
        retries: int = 3,
        longest_wait: float = 30,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Set up a client, with the arguments of `Client`."""
        self._retries, self._longest_wait = retries, longest_wait
        self._http = httpx.AsyncClient(
            base_url=address,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=timeout,
            transport=transport,
        )

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def predict(
        self, film: Film, *, model: str | None = None, mask: Mask | None = None
    ) -> Prediction:
        """Return the probability of each finding."""
        return await self._ask(calls.predict, film, model=model, mask=mask)

    async def film(self, film: Film) -> RawFilm:
        """Return the film as the models' reader decodes it, before any window."""
        return await self._ask(calls.raw_film, film)

    async def explain(
        self,
        film: Film,
        *,
        model: str | None = None,
        force: bool = False,
        faithfulness: bool = False,
        class_name: str | None = None,
    ) -> ExplainedPrediction:
        """Return the probability of each finding, and the evidence for it on the film."""
        return await self._ask(
            calls.explain,
            film,
            model=model,
            force=force,
            faithfulness=faithfulness,
            class_name=class_name,
        )

    async def compare(self, film: Film, *, force: bool = False) -> ExplainedComparison:
        """Return every model's answer side by side, and how far their maps agree."""
        return await self._ask(calls.compare, film, force=force)

    async def overlay(
        self,
        film: Film,
        *,
        class_name: str | None = None,
        model: str | None = None,
        force: bool = False,
        outline: bool = False,
    ) -> bytes:
        """Return the film with a class's evidence painted over it, as PNG."""
        return await self._ask(
            calls.overlay, film, class_name=class_name, model=model, force=force, outline=outline
        )

    async def batch(
        self, films: Iterable[Film], *, model: str | None = None
    ) -> AsyncIterator[Prediction | Problem]:
        """Yield the answer or the problem of each film, in order."""
        films, lines = list(films), 0
        call = await asyncio.to_thread(calls.batch, films, model=model)
        async with self._answer(call) as answer:
            async for line in answer.aiter_lines():
                yield calls.outcome(line, answer)
                lines += 1
        calls.check_complete(lines, films)

    async def models(self) -> list[ModelSummary]:
        """Return the models that can be asked."""
        return (await self._ask(calls.model_list)).models

    async def ensemble(self) -> EnsembleSummary | None:
        """Return what the models answer together by; None where the server has no ensemble."""
        return (await self._ask(calls.model_list)).ensemble

    async def model(self, name: str) -> ModelDescription:
        """Return a model's card."""
        return await self._ask(calls.model, name)

    async def ready(self) -> bool:
        """Return whether the server answers, with its default model loaded."""
        try:
            return (await self._http.get("/health/ready")).is_success
        except httpx.TransportError:
            return False

    async def _ask(self, make: Callable[P, Call[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        call = await asyncio.to_thread(make, *args, **kwargs)  # it reads the film's file
        async with self._answer(call) as answer:
            await answer.aread()
            return call.read(answer)

    @asynccontextmanager
    async def _answer(self, call: Call[Any]) -> AsyncIterator[httpx.Response]:
        """Yield a successful answer, its body not read; ask again while the server is busy."""
        for left in reversed(range(self._retries + 1)):
            async with self._http.stream(call.method, call.path, **call.sent) as answer:
                wait = calls.wait(answer)
                if answer.is_success:
                    yield answer
                    return
                if wait is None or not left:
                    await answer.aread()
                    raise problem_of(answer)
            await sleep(min(wait, self._longest_wait))
