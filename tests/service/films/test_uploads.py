from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import SpooledTemporaryFile

import anyio
import httpx
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.settings import Settings
from tests.support.tiny_model import FILM

LIMIT = 100_000


@pytest.fixture(scope="module")
def small(model_file: Path) -> FastAPI:
    """An application that takes no more than LIMIT bytes."""
    return create_app(Settings(models=model_file, own_models=False, max_upload_bytes=LIMIT))


class Body:
    """A body sent in pieces without saying how long it is; counts what was taken of it."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.taken += 1
            yield piece


def post(app: FastAPI, body: Body | bytes, content_type: str) -> httpx.Response:
    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://server") as client,
        ):
            return await client.post(
                "/v1/predict", content=body, headers={"content-type": content_type}
            )

    return anyio.run(answer)


def problem_name(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == answer.status_code
    return document["type"].rpartition(":")[2]


@pytest.mark.parametrize("content_type", ["image/png", "multipart/form-data; boundary=x"])
def test_a_body_of_unknown_length_is_not_read_past_the_limit(small: FastAPI, content_type):
    start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body = Body(start, *[b"0" * 1000] * 10_000)
    answer = post(small, body, content_type)
    assert (answer.status_code, problem_name(answer)) == (413, "upload-too-large")
    assert body.taken <= LIMIT // 1000 + 1


def answered(app: FastAPI, headers: dict[str, str], received: list[dict]) -> int:
    """Return the status of the answer to a request whose messages are these."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/predict",
        "query_string": b"",
        "headers": [
            (name.encode(), value.encode())
            for name, value in ({"host": "localhost"} | headers).items()
        ],
    }
    sent: list[dict] = []

    async def receive() -> dict:
        return received.pop(0)

    async def send(message: dict) -> None:
        sent.append(message)

    async def answer() -> None:
        async with app.router.lifespan_context(app):
            await app(scope, receive, send)

    anyio.run(answer)
    return sent[0]["status"]


def test_an_announced_length_above_the_limit_is_refused_unread(small: FastAPI):
    assert answered(small, {"content-length": str(LIMIT + 1)}, received=[]) == 413


@pytest.mark.parametrize("content_type", ["image/png", "multipart/form-data; boundary=x"])
def test_a_client_that_goes_away_is_no_fault_of_ours(small: FastAPI, content_type: str):
    messages = [
        {"type": "http.request", "body": b"--x\r\n", "more_body": True},
        {"type": "http.disconnect"},
    ]
    assert answered(small, {"content-type": content_type}, messages) == 400


def test_a_long_upload_is_answered_by_a_real_server(client: httpx.Client):
    answer = client.post("/v1/predict", content=(b"0" * 2**20 for _ in range(33)))
    assert (answer.status_code, problem_name(answer)) == (413, "upload-too-large")


def test_a_film_is_never_spooled_to_disk(client: httpx.Client, monkeypatch):
    monkeypatch.setattr(SpooledTemporaryFile, "rollover", lambda _: pytest.fail("on disk"))
    answer = client.post("/v1/predict", files={"file": FILM + b"\0" * 5 * 2**20})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "image/webp", "nonsense"]
)
def test_another_content_type_is_a_415_that_names_the_allowed(client: httpx.Client, content_type):
    answer = client.post("/v1/predict", content=FILM, headers={"content-type": content_type})
    assert (answer.status_code, problem_name(answer)) == (415, "unsupported-media-type")
    assert "application/dicom" in answer.json()["detail"]


def test_a_compressed_body_is_a_415(client: httpx.Client):
    answer = client.post("/v1/predict", content=FILM, headers={"content-encoding": "gzip"})
    assert problem_name(answer) == "unsupported-media-type"


def test_bytes_that_are_no_image_are_a_415_whatever_their_type_says(client: httpx.Client):
    answer = client.post("/v1/predict", content=b"hello", headers={"content-type": "image/png"})
    assert (answer.status_code, problem_name(answer)) == (415, "not-an-image")


@pytest.mark.parametrize(
    "form", [{"files": {"film": FILM}}, {"data": {"a": "b"}, "files": {"": b""}}]
)
def test_a_form_without_the_field_is_told_its_name(client: httpx.Client, form):
    answer = client.post("/v1/predict", **form)
    assert answer.status_code in (400, 422)
    assert "field `file`" in answer.json()["detail"]


def test_a_field_that_is_no_file_is_a_422(client: httpx.Client):
    answer = client.post("/v1/predict", files={"file": (None, "text")})
    assert (answer.status_code, problem_name(answer)) == (422, "missing-file")


def test_two_films_in_one_form_are_refused(client: httpx.Client):
    answer = client.post("/v1/predict", files=[("file", FILM), ("file", FILM)])
    assert (answer.status_code, problem_name(answer)) == (400, "malformed-form")


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_a_form_that_cannot_be_parsed_is_a_400(client: httpx.Client, content_type):
    answer = client.post(
        "/v1/predict", content=b"--y\r\nnonsense", headers={"content-type": content_type}
    )
    assert (answer.status_code, problem_name(answer)) == (400, "malformed-form")


@pytest.mark.parametrize("upload", [{"content": b""}, {"files": {"file": b""}}])
def test_an_empty_film_is_a_422(client: httpx.Client, upload):
    answer = client.post("/v1/predict", **upload)
    assert (answer.status_code, problem_name(answer)) == (422, "empty-upload")


def test_a_truncated_film_is_a_422(client: httpx.Client):
    answer = client.post("/v1/predict", content=FILM[: len(FILM) // 2])
    assert (answer.status_code, problem_name(answer)) == (422, "unreadable-film")
