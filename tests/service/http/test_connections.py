"""Clients that dawdle with the head of a request, and clients without number."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from tests.support.running_server import serving
from tests.support.tiny_model import FILM
from tests.support.waiting import wait_until
from xai.explainer import Explainer

HEAD = (
    f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(FILM)}\r\n\r\n".encode()
)
SLOW_SECONDS = 1.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch) -> None:
    monkeypatch.setattr("service.http.connections.HEAD_SECONDS", 0.3)


@contextmanager
def connection_to(client: httpx.Client) -> Iterator[socket.socket]:
    address = client.base_url.host, client.base_url.port
    with socket.create_connection(address, timeout=5) as connection:
        yield connection


@pytest.mark.parametrize("start", [b"", b"G", b"GET /health/live HTTP/1.1\r\nX: "])
def test_a_head_that_does_not_end_in_time_ends_the_connection(client: httpx.Client, start: bytes):
    with connection_to(client) as connection:
        connection.sendall(start)
        assert connection.recv(1000) == b""


def test_so_does_the_next_head_on_a_kept_connection(client: httpx.Client):
    with connection_to(client) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer(connection).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /")
        assert connection.recv(1000) == b""


def answer(connection: socket.socket) -> bytes:
    """Return the answer of /health/live, whose head and body may come apart."""
    received = b""
    while not received.endswith(b"}"):
        piece = connection.recv(2000)
        assert piece, "the connection ended before the answer"
        received += piece
    return received


def test_a_head_that_is_too_long_ends_the_connection(client: httpx.Client):
    head = b"GET /health/live HTTP/1.1\r\nX: " + b"x" * 2**24
    with connection_to(client) as connection, pytest.raises(ConnectionError):
        connection.sendall(head)


def test_a_long_body_that_comes_with_its_head_is_no_long_head(client: httpx.Client):
    film = FILM + b"\0" * 2**18
    assert client.post("/v1/predict", content=film).status_code == 200


@pytest.fixture
def slow_model(monkeypatch) -> None:
    answer = Explainer.__call__

    def slow(self: Explainer, pixels):
        time.sleep(SLOW_SECONDS)
        return answer(self, pixels)

    monkeypatch.setattr(Explainer, "__call__", slow)


@pytest.mark.usefixtures("slow_model")
def test_a_second_request_that_dawdles_does_not_cut_the_first(client: httpx.Client):
    with connection_to(client) as connection:
        connection.sendall(HEAD + FILM + b"GET /health/live HTTP/1.1\r\n")
        assert answer(connection).startswith(b"HTTP/1.1 200")
        assert connection.recv(1000) == b""


@pytest.mark.usefixtures("slow_model")
def test_a_second_head_that_is_too_long_ends_the_connection_all_the_same(client: httpx.Client):
    head = b"GET /health/live HTTP/1.1\r\nX: " + b"x" * 2**24
    with connection_to(client) as connection, pytest.raises(ConnectionError):
        connection.sendall(HEAD + FILM + head)


def test_a_body_that_comes_after_its_answer_ends_the_connection(client: httpx.Client):
    head = b"POST /health/live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    with connection_to(client) as connection:
        connection.sendall(head)

        def is_ended() -> bool:
            try:
                return not connection.send(b"x")
            except ConnectionError:
                return True

        wait_until(is_ended, 30)


@pytest.mark.usefixtures("slow_model")
def test_connections_beyond_the_limit_close_the_idle_ones(model_file: Path, caplog, monkeypatch):
    monkeypatch.setattr("service.http.connections.HEAD_SECONDS", 60)
    app = create_app(Settings(models=model_file, own_models=False, max_connections=20))

    def open_now() -> float:
        return app.state.metrics.registry.get_sample_value("cxr_connections")

    with serving(app) as client, ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        asked = pool.submit(client.post, "/v1/predict", content=FILM)
        wait_until(lambda: app.state.engine.admission.taken("tiny"), 60)
        idle = [stack.enter_context(connection_to(client)) for _ in range(150)]
        assert httpx.get(f"{client.base_url}/health/live", timeout=60).status_code == 200
        assert open_now() <= 20
        assert all(connection.recv(1) == b"" for connection in idle[:100])
        idle[-1].sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer(idle[-1]).startswith(b"HTTP/1.1 200")
        assert asked.result().status_code == 200
    assert [one.levelname for one in caplog.records if "connections are open" in one.message] == [
        "WARNING"
    ]
    assert open_now() == 0
