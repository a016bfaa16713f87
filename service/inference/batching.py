"""Run films that wait for the same model together, as batches."""

import asyncio
import math
import time
from collections import deque
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np

from service.observability.metrics import Metrics
from xai.explainer import Answers, Explainer, Floats


@dataclass(frozen=True)
class Waiting:
    """A film in the queue.

    Attributes:
        pixels: [1, rows, columns] in [0, 1].
        answer: Of this film alone; cancelled when it is no longer wanted.
        since: When it came, in seconds of `time.perf_counter`.
        request: The context of its request.
    """

    pixels: Floats
    answer: asyncio.Future[Answers]
    since: float
    request: Context


class Run(NamedTuple):
    """Films that ran together.

    Attributes:
        films: Those whose answers were still wanted.
        begin: When it began, in seconds of `time.perf_counter`.
        answers: Of all of them.
    """

    films: list[Waiting]
    begin: float
    answers: Answers


class Batcher:
    """One model's queue, and the runs that empty it.

    A batch is what waits when a run is free: no film waits for others unless `delay_seconds` says
    so. Where several runs are free, they share what waits.
    """

    def __init__(
        self,
        explainer: Explainer,
        *,
        executor: Executor,
        runs: int,
        metrics: Metrics,
        max_size: int,
        delay_seconds: float = 0,
    ) -> None:
        """Start with an empty queue.

        Args:
            explainer: The model.
            executor: Runs batches off the event loop; shared with other models.
            runs: Batches of this model at the same time. With more than the executor has threads,
                one is ready, and no thread waits for the event loop to make it.
            metrics: Where queue times and batch sizes are counted.
            max_size: Most films in a batch.
            delay_seconds: Longest time that a batch waits to be full.
        """
        self._explainer, self._executor, self._metrics = explainer, executor, metrics
        self._runs, self._max_size, self._delay = runs, max_size, delay_seconds
        self._queue: deque[Waiting] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._is_full = asyncio.Event()

    def __len__(self) -> int:
        """Return how many films wait."""
        return len(self._queue)

    async def __call__(self, pixels: Floats) -> Answers:
        """Return the answers for one film, as a batch of one.

        Cancelling takes the film out of the queue; a batch that runs is not stopped.

        Args:
            pixels: [1, rows, columns] in [0, 1].
        """
        loop = asyncio.get_running_loop()
        film = Waiting(pixels, loop.create_future(), time.perf_counter(), copy_context())
        self._queue.append(film)
        if len(self._queue) >= self._max_size:
            self._is_full.set()
        if len(self._running) < self._runs:
            self._running.add(loop.create_task(self._empty_the_queue()))
        return await film.answer

    async def _empty_the_queue(self) -> None:
        try:
            while self._queue:
                await self._wait_until_full()
                batch = self._taken()
                if batch:  # another run may have taken all of them
                    await self._answer(batch)
        finally:
            # Not when the task is done: a film that comes in between would find no run.
            self._running.remove(cast(asyncio.Task[None], asyncio.current_task()))

    async def _wait_until_full(self) -> None:
        """Wait until the batch is full, or its oldest film has waited long enough."""
        left = self._queue[0].since + self._delay - time.perf_counter()
        if self._delay and left > 0 and len(self._queue) < self._max_size:
            self._is_full.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_full.wait(), left)

    def _taken(self) -> list[Waiting]:
        """Take this run's share of the queue out of it."""
        share = math.ceil(len(self._queue) / (self._runs - len(self._running) + 1))
        return [self._queue.popleft() for _ in range(min(share, self._max_size))]

    async def _answer(self, batch: list[Waiting]) -> None:
        pixels = np.stack([film.pixels for film in batch])
        loop = asyncio.get_running_loop()
        try:
            run = await loop.run_in_executor(self._executor, self._run, batch, pixels)
        except Exception as error:  # whatever it is, each film's request answers for it
            for film in batch:
                _settle(film.answer, error)
        else:
            if run:
                self._settle_all(run)

    def _run(self, batch: list[Waiting], pixels: Floats) -> Run | None:
        """Run those films that are still wanted; return None if there are none.

        It runs in a thread that other batches wait for: all else is done on the event loop.
        """
        begin = time.perf_counter()
        wanted = [film for film in batch if not film.answer.done()]
        if not wanted:
            return None
        if len(wanted) < len(batch):
            pixels = np.stack([film.pixels for film in wanted])
        requests = [film.request for film in wanted]
        with self._metrics.stage("inference", self._explainer.card.name, requests):
            return Run(wanted, begin, self._explainer(pixels))

    def _settle_all(self, run: Run) -> None:
        """Count a run, and hand each film its answer."""
        name = self._explainer.card.name
        self._metrics.batch(name, len(run.films))
        for film in run.films:
            self._metrics.observe("queue", name, run.begin - film.since, [film.request])
        for film, own in zip(run.films, list(run.answers.films()), strict=True):
            _settle(film.answer, own)


def _settle(answer: asyncio.Future[Answers], outcome: Answers | Exception) -> None:
    if answer.done():  # no longer wanted
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
