"""Deadlines, full queues and clients that hang up."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.requests import Request

from service.app import create_app
from service.films.uploads import while_connected
from service.problems import TooSlow, UploadInterrupted
from service.settings import Settings
from tests.support.running_server import serving
from tests.support.tiny_model import FILM
from xai.explainer import Explainer

SLOW_SECONDS = 0.5


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """Make the model slow; the sizes of the batches that it was asked."""
    asked: list[int] = []
    answer = Explainer.__call__

    def slow(self: Explainer, pixels):
        asked.append(len(pixels))
        time.sleep(SLOW_SECONDS)
        return answer(self, pixels)

    monkeypatch.setattr(Explainer, "__call__", slow)
    return asked


@pytest.fixture
def client_of(model_file: Path) -> Iterator[Callable[..., httpx.Client]]:
    """Give a client of a server with these settings."""
    with ExitStack() as stack:

        def client_of(**settings: object) -> httpx.Client:
            chosen = {"models": model_file, "own_models": False, "concurrency": 1} | settings
            return stack.enter_context(serving(create_app(Settings(**chosen))))

        yield client_of


def post(client: httpx.Client) -> httpx.Response:
    return client.post("/v1/predict", content=FILM)


def title(answer: httpx.Response) -> str:
    return answer.json()["title"]


def test_a_full_queue_is_a_503_that_says_when_to_come_back(client_of, asked):
    client = client_of(queue_size=2)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: post(client), range(6)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) == 4
    assert {title(answer) for answer in refused} == {"Overloaded"}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert post(client).status_code == 200


def test_more_bytes_than_allowed_at_once_are_a_503(client_of):
    answer = post(client_of(max_held_bytes=len(FILM) - 1))
    assert (answer.status_code, title(answer)) == (503, "Overloaded")


def test_an_answer_that_takes_too_long_is_a_503(client_of, asked):
    client = client_of(request_seconds=SLOW_SECONDS / 5)
    answer = post(client)
    assert (answer.status_code, title(answer)) == (503, "Too slow")
    assert answer.headers["retry-after"] == "1"


def test_a_film_whose_time_is_over_in_the_queue_is_not_run(client_of, asked):
    client = client_of(request_seconds=SLOW_SECONDS * 0.8, max_batch_size=1)
    with ThreadPoolExecutor(3) as pool:
        assert [answer.status_code for answer in pool.map(lambda _: post(client), range(3))] == [
            503
        ] * 3
    time.sleep(2 * SLOW_SECONDS)
    assert asked == [1]


def test_a_film_that_arrives_too_slowly_is_a_408(client_of):
    def drops() -> Iterator[bytes]:
        for byte in FILM[:10]:
            yield bytes([byte])
            time.sleep(0.1)

    answer = client_of(upload_seconds=0.3).post("/v1/predict", content=drops())
    assert (answer.status_code, title(answer)) == (408, "Slow upload")


def test_a_client_that_hangs_up_is_not_worked_for(client_of, asked):
    client = client_of(max_batch_size=1)
    address = client.base_url.host, client.base_url.port
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, client)
        time.sleep(SLOW_SECONDS / 5)
        with socket.create_connection(address) as connection:
            head = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
            head += f"Content-Length: {len(FILM)}\r\n\r\n"
            connection.sendall(head.encode() + FILM)
            time.sleep(SLOW_SECONDS / 5)
        assert first.result().status_code == 200
    time.sleep(2 * SLOW_SECONDS)
    assert asked == [1]


async def ended(work: float, *, hang_up: float, seconds: float) -> bool:
    """Work for so long for a client that hangs up after so long; return whether it was cancelled.

    Raises:
        ServiceProblem: What became of the request.
    """

    async def receive() -> dict[str, str]:
        await asyncio.sleep(hang_up)
        return {"type": "http.disconnect"}

    cancelled = False
    try:
        async with while_connected(Request({"type": "http"}, receive), seconds=seconds):
            try:
                await asyncio.sleep(work)
            except asyncio.CancelledError:
                cancelled = True
                raise
    finally:
        await asyncio.sleep(0)  # the watch on the client ends
        assert len(asyncio.all_tasks()) == 1
        assert cancelled == (work > min(hang_up, seconds))
    return cancelled


def test_work_that_is_done_in_time_is_not_cancelled():
    assert not anyio.run(lambda: ended(0, hang_up=9, seconds=9))


def test_a_client_that_hangs_up_cancels_the_work():
    with pytest.raises(UploadInterrupted, match="closed before the answer"):
        anyio.run(lambda: ended(9, hang_up=0.01, seconds=9))


def test_a_deadline_that_passes_cancels_the_work():
    with pytest.raises(TooSlow, match=r"within 0\.01 seconds"):
        anyio.run(lambda: ended(9, hang_up=9, seconds=0.01))


def test_a_timeout_of_the_work_itself_is_no_problem_of_the_client():
    async def work() -> None:
        async with while_connected(Request({"type": "http"}, asyncio.Event().wait), seconds=9):
            raise TimeoutError("a database's")

    with pytest.raises(TimeoutError, match="a database's"):
        anyio.run(work)
