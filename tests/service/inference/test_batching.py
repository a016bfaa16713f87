"""The queue of one model: who runs together, and what becomes of those who leave."""

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from service.inference.batching import Batcher
from service.observability.metrics import Metrics
from tests.support.tiny_model import IMAGE_SIZE
from xai.explainer import Answers, Explainer, Floats


def film(grey: float) -> Floats:
    return np.full((1, *IMAGE_SIZE), grey, np.float32)


class Watched(Explainer):
    """The tiny model, which notes the sizes of its batches and waits to be let go."""

    def __init__(self, model: Path) -> None:
        super().__init__(model)
        self.sizes: list[int] = []
        self.may_run = threading.Event()
        self.may_run.set()

    def __call__(self, pixels: Floats) -> Answers:
        self.may_run.wait(10)
        self.sizes.append(len(pixels))
        return super().__call__(pixels)


@pytest.fixture
def explainer(model_file: Path) -> Watched:
    return Watched(model_file)


def queue_of(
    explainer: Explainer, *, threads: int = 2, metrics: Metrics | None = None, **options: float
) -> Batcher:
    chosen = {"runs": 1, "max_size": 4} | options
    executor = ThreadPoolExecutor(threads)
    return Batcher(explainer, executor=executor, metrics=metrics or Metrics(), **chosen)


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 10))


def test_each_film_gets_its_own_answer(explainer: Watched):
    async def work() -> None:
        queue = queue_of(explainer)
        greys = [number / 20 for number in range(20)]
        answers = await asyncio.gather(*(queue(film(grey)) for grey in greys))
        distances = [float(answer.distance[0]) for answer in answers]
        np.testing.assert_allclose(distances, [10 * grey for grey in greys], atol=1e-4)

    run(work)


def test_films_that_wait_for_a_run_go_together(explainer: Watched):
    async def work() -> None:
        queue = queue_of(explainer)
        explainer.may_run.clear()
        first = asyncio.create_task(queue(film(0)))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(queue(film(0))) for _ in range(6)]
        await asyncio.sleep(0.05)
        explainer.may_run.set()
        await asyncio.gather(first, *others)

    run(work)
    assert explainer.sizes == [1, 4, 2]


def test_free_runs_share_what_waits(explainer: Watched):
    async def work() -> None:
        queue = queue_of(explainer, runs=2, max_size=8)
        explainer.may_run.clear()
        first = [asyncio.create_task(queue(film(0))) for _ in range(2)]
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(queue(film(0))) for _ in range(6)]
        await asyncio.sleep(0.05)
        explainer.may_run.set()
        await asyncio.gather(*first, *others)

    run(work)
    assert sum(explainer.sizes) == 8
    assert max(explainer.sizes) <= 6


def test_a_batch_lies_ready_for_the_next_free_thread_and_waits_until_then(explainer: Watched):
    metrics = Metrics()

    async def work() -> None:
        queue = queue_of(explainer, threads=1, runs=2, metrics=metrics)
        explainer.may_run.clear()
        first = asyncio.create_task(queue(film(0)))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(queue(film(0)))
        await asyncio.sleep(0.05)
        assert len(queue) == 0
        await asyncio.sleep(0.3)
        explainer.may_run.set()
        await asyncio.gather(first, second)

    run(work)
    assert explainer.sizes == [1, 1]
    waited = {"stage": "queue", "model": explainer.card.name}
    seconds = metrics.registry.get_sample_value("cxr_stage_duration_seconds_sum", waited)
    assert seconds is not None
    assert seconds >= 0.3


def test_a_batch_waits_for_company_only_as_long_as_it_is_told_to(explainer: Watched):
    async def work() -> None:
        queue = queue_of(explainer, delay_seconds=0.2)
        early = asyncio.create_task(queue(film(0)))
        await asyncio.sleep(0.05)
        await asyncio.gather(early, queue(film(0)))

    run(work)
    assert explainer.sizes == [2]


def test_a_run_whose_company_another_took_ends_quietly(explainer: Watched):
    faults: list[dict[str, object]] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, fault: faults.append(fault))
        queue = queue_of(explainer, runs=2, delay_seconds=0.1)
        await asyncio.gather(queue(film(0)), queue(film(0)))
        await asyncio.gather(queue(film(0)), queue(film(0)))
        await asyncio.sleep(0.05)
        gc.collect()  # a task says only then that nobody has heard of its fault

    run(work)
    assert explainer.sizes == [2, 2]
    assert faults == []


def test_a_full_batch_does_not_wait(explainer: Watched):
    async def work() -> None:
        queue = queue_of(explainer, delay_seconds=9, max_size=2)
        await asyncio.gather(*(queue(film(0)) for _ in range(4)))

    run(work)
    assert explainer.sizes == [2, 2]


def test_a_film_that_nobody_wants_any_more_is_not_run(explainer: Watched):
    async def work() -> None:
        queue = queue_of(explainer)
        explainer.may_run.clear()
        wanted = asyncio.create_task(queue(film(0)))
        await asyncio.sleep(0.05)
        unwanted = asyncio.create_task(queue(film(0)))
        await asyncio.sleep(0.05)
        unwanted.cancel()
        explainer.may_run.set()
        await wanted
        await asyncio.sleep(0.05)
        assert len(queue) == 0

    run(work)
    assert explainer.sizes == [1]


def test_a_film_is_taken_out_of_a_batch_that_lies_ready(explainer: Watched):
    async def work() -> None:
        queue = queue_of(explainer, threads=1, runs=2)
        explainer.may_run.clear()
        films = [asyncio.create_task(queue(film(0)))]
        await asyncio.sleep(0.05)
        films += [asyncio.create_task(queue(film(grey))) for grey in (0.1, 0.2, 0.3)]
        await asyncio.sleep(0.05)
        assert len(queue) == 0
        films.pop(2).cancel()
        explainer.may_run.set()
        answers = await asyncio.gather(*films)
        distances = [float(answer.distance[0]) for answer in answers]
        np.testing.assert_allclose(distances, [0, 1, 3], atol=1e-4)

    run(work)
    assert explainer.sizes == [1, 2]


def test_a_run_that_fails_fails_for_its_films_alone(explainer: Watched):
    async def work() -> None:
        queue = queue_of(explainer)
        with pytest.raises(ValueError, match="pixels must be"):
            await queue(np.zeros((1, 3, 3), np.float32))
        assert (await queue(film(0.5))).distance == pytest.approx(5)

    run(work)
