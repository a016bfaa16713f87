"""Clients that dawdle with the head of a request."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.support.tiny_model import FILM


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
        received += connection.recv(2000)
    return received


def test_a_head_that_is_too_long_ends_the_connection(client: httpx.Client):
    head = b"GET /health/live HTTP/1.1\r\nX: " + b"x" * 2**24
    with connection_to(client) as connection, pytest.raises(ConnectionError):
        connection.sendall(head)


def test_a_long_body_that_comes_with_its_head_is_no_long_head(client: httpx.Client):
    film = FILM + b"\0" * 2**18
    assert client.post("/v1/predict", content=film).status_code == 200
