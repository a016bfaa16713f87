"""Clients that ask and do not read the answer."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.films.uploads import NO_MODEL, Admission
from service.http.connections import BoundedProtocol
from service.settings import Settings
from tests.support.dicom_films import chest_film
from tests.support.running_server import serving
from tests.support.tiny_model import FILM, picture
from tests.support.waiting import wait_until

CLIENTS = 16
MAX_HELD_BYTES = 2 * 2**20
GRAIN = np.random.default_rng(0).integers(0, 256, (400, 400), np.uint8)
NOISE = picture(GRAIN)
FILMS = 100
FORM = httpx.Request("POST", "http://server/", files=[("file", FILM)] * FILMS)
BATCH = FORM.read()
BATCH_TYPE = FORM.headers["content-type"]
DICOM = 'multipart/related; type="application/dicom"'
ENDPOINTS = pytest.mark.parametrize(
    ("path", "accept", "kind", "body"),
    [
        ("/v1/film", "*/*", "image/png", NOISE),
        ("/v1/film", "image/png", "image/png", NOISE),
        ("/v1/explain?class=pneumonia", "image/png", "image/png", NOISE),
        ("/v1/explain", DICOM, "application/dicom", chest_film(GRAIN)),
        ("/v1/batch?explain=true", "*/*", BATCH_TYPE, BATCH),
    ],
    ids=["film", "film as a picture", "overlay", "DICOM objects", "batch"],
)


@pytest.fixture(scope="module", autouse=True)
def narrow() -> Iterator[None]:
    """Let the system take no more than some kilobytes of an answer from the server."""
    made = BoundedProtocol.connection_made

    def made_narrow(self: BoundedProtocol, transport) -> None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        made(self, transport)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BoundedProtocol, "connection_made", made_narrow)
        yield


@pytest.fixture(scope="module")
def app(model_file: Path) -> FastAPI:
    return create_app(
        Settings(
            models=model_file,
            own_models=False,
            concurrency=1,
            answer_seconds=600,
            request_seconds=600,
            max_held_bytes=MAX_HELD_BYTES,
        )
    )


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[httpx.Client]:
    with serving(app) as client:
        yield client


@pytest.fixture
def admission(client: httpx.Client, app: FastAPI) -> Admission:
    return app.state.engine.admission


def asking(client: httpx.Client, path: str, accept: str, kind: str, body: bytes) -> socket.socket:
    """Return a connection on which the question was sent; it takes in a few kilobytes at once."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(120)
    connection.connect((client.base_url.host, client.base_url.port))
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nContent-Type: {kind}\r\n"
    )
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def status(connection: socket.socket) -> int:
    """Return the status of an answer, of which nothing more is read."""
    return int(connection.recv(12).split()[1])


def all_of(connection: socket.socket) -> bytes:
    """Return what comes until the connection ends."""
    received = b""
    try:
        while piece := connection.recv(2**16):
            received += piece
    except ConnectionError:
        pass
    return received


@ENDPOINTS
def test_sixteen_clients_that_do_not_read_hold_no_more_than_is_allowed(
    client: httpx.Client, admission: Admission, path, accept, kind, body
):
    queue = NO_MODEL if path == "/v1/film" else "tiny"
    with ExitStack() as stack:
        asked = [
            stack.enter_context(asking(client, path, accept, kind, body)) for _ in range(CLIENTS)
        ]
        statuses = [status(connection) for connection in asked]
        assert set(statuses) <= {200, 503}
        assert statuses.count(200) > 0
        wait_until(lambda: admission.taken(queue) == statuses.count(200), 60)
        assert 0 < admission.held_bytes <= MAX_HELD_BYTES
        assert client.get("/health/live").status_code == 200
    wait_until(lambda: not (admission.taken(queue) or admission.held_bytes), 60)


@ENDPOINTS
def test_a_client_that_does_not_read_in_time_holds_nothing_any_more(
    client: httpx.Client, app: FastAPI, admission: Admission, monkeypatch, path, accept, kind, body
):
    headers = {"accept": accept, "content-type": kind}
    whole = client.post(path, content=body, headers=headers).content
    monkeypatch.setattr(app.state.connections, "answer_seconds", 0.2)
    with asking(client, path, accept, kind, body) as connection:
        assert status(connection) == 200
        wait_until(lambda: not admission.held_bytes, 60)
        assert len(all_of(connection)) < len(whole)


def test_an_answer_that_does_not_fit_into_the_memory_allowed_is_a_503(
    client: httpx.Client, admission: Admission
):
    room = 2 * GRAIN.size + len(NOISE) - 1
    admission.hold(MAX_HELD_BYTES - room)
    try:
        answer = client.post("/v1/film", content=NOISE)
        assert (answer.status_code, answer.json()["title"]) == (503, "Overloaded")
        assert answer.headers["retry-after"] == "1"
        assert client.post("/v1/film", content=FILM).status_code == 200
    finally:
        admission.give_free(MAX_HELD_BYTES - room)
    assert len(client.post("/v1/film", content=NOISE).content) == 2 * GRAIN.size
    wait_until(lambda: not admission.held_bytes, 60)


def test_a_form_gives_its_films_free_as_their_lines_are_read(
    client: httpx.Client, admission: Admission
):
    headers = {"content-type": BATCH_TYPE}
    path = "/v1/batch?explain=true"
    with client.stream("POST", path, content=BATCH, headers=headers) as stream:
        for number, line in enumerate(stream.iter_lines()):
            assert json.loads(line)["status"] == 200
            assert admission.held_bytes <= len(BATCH) - number * len(FILM)
    assert number == FILMS - 1
    wait_until(lambda: not admission.held_bytes, 60)
