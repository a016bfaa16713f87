"""DICOM files are decoded in processes of their own, which may die."""

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest
from PIL import Image

from service.app import create_app
from service.settings import Settings
from tests.support.decoder_doings import (
    LONG,
    dying,
    dying_once,
    long_files,
    own_process,
    sleeping,
)
from tests.support.dicom_films import chest_film
from tests.support.own_processes import children, descriptors
from tests.support.published import dicom
from tests.support.running_server import serving
from tests.support.tiny_model import FILM, quadrants
from tests.support.waiting import wait_until

DICOM_FILM = dicom(Image.fromarray(quadrants([0.8, 0.2, 0.2, 0.4])))


def test_a_dicom_film_gets_the_same_answer_as_its_picture(client: httpx.Client):
    answers = [client.post("/v1/explain", content=film).json() for film in (DICOM_FILM, FILM)]
    assert [answer["film"].pop("format") for answer in answers] == ["dicom", "png"]
    assert [finding["decision"] for finding in answers[0]["findings"]] == [
        finding["decision"] for finding in answers[1]["findings"]
    ]


@pytest.mark.parametrize("accept", ["application/json", "image/png"])
def test_a_dicom_film_is_explained_and_painted(client: httpx.Client, accept: str):
    answer = client.post("/v1/explain", content=DICOM_FILM, headers={"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, accept)


@pytest.mark.parametrize("film", [DICOM_FILM, FILM])
def test_only_dicom_is_decoded_in_another_process(client: httpx.Client, monkeypatch, film: bytes):
    monkeypatch.setattr("service.inference.engine.grey_png", own_process)
    answer = client.post("/v1/film", content=film, headers={"accept": "image/png"})
    pid = int(answer.content)
    assert (pid != os.getpid()) is (film is DICOM_FILM)


def test_a_decoder_that_crashes_on_a_film_is_a_422_and_the_server_goes_on(
    client: httpx.Client, monkeypatch
):
    with monkeypatch.context() as patched:
        patched.setattr("service.inference.engine.seen_film", dying)
        answer = client.post("/v1/predict", content=DICOM_FILM)
        assert (answer.status_code, answer.json()["title"]) == (422, "Unreadable film")
    assert client.post("/v1/predict", content=DICOM_FILM).status_code == 200


def test_a_film_whose_decoder_was_killed_is_decoded_again(
    client: httpx.Client, monkeypatch, tmp_path: Path
):
    dying = partial(dying_once, tmp_path / "mark")
    monkeypatch.setattr("service.inference.engine.seen_film", dying)
    assert client.post("/v1/predict", content=DICOM_FILM).status_code == 200
    assert (tmp_path / "mark").exists()


def length_of_result(client: httpx.Client) -> int:
    """Return how long the body is that holds the answer about a film as DICOM files."""
    headers = {"accept": 'multipart/related; type="application/dicom"'}
    with client.stream("POST", "/v1/explain", content=chest_film(), headers=headers) as answer:
        assert answer.status_code == 200
        return sum(len(chunk) for chunk in answer.iter_raw(2**20))


def test_a_long_dicom_result_does_not_keep_other_requests(client: httpx.Client, monkeypatch):
    monkeypatch.setattr("service.inference.engine.result_files", long_files)
    with ThreadPoolExecutor(1) as pool:
        result, slowest = pool.submit(length_of_result, client), 0.0
        while not result.done():
            start = time.monotonic()
            assert client.get("/health/live").status_code == 200
            slowest = max(slowest, time.monotonic() - start)
        assert result.result() > LONG
    assert slowest < 1  # so long that it holds on a busy machine too


def test_clients_that_hang_up_while_a_process_starts_leave_none(model_file: Path, monkeypatch):
    monkeypatch.setattr("service.inference.engine.seen_film", sleeping)
    with serving(create_app(Settings(models=model_file, own_models=False))) as fresh:
        before = children(), descriptors()
        start = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
        head = f"{start}Content-Length: {len(DICOM_FILM)}\r\n\r\n"
        for _ in range(5):
            with socket.create_connection((fresh.base_url.host, fresh.base_url.port)) as connection:
                connection.sendall(head.encode() + DICOM_FILM)
                wait_until(lambda: children() > before[0])
            wait_until(lambda: children() <= before[0] and descriptors() <= before[1], 20)
