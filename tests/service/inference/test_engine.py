"""DICOM files are decoded in processes of their own, which may die."""

import os
import signal
from pathlib import Path

import httpx
import pytest
from PIL import Image

from service.app import create_app
from service.films.decoding import Limits, SeenFilm, View, seen_film
from service.films.masks import Mask
from service.settings import Settings
from tests.support.published import dicom
from tests.support.running_server import serving
from tests.support.tiny_model import FILM, quadrants

DICOM_FILM = dicom(Image.fromarray(quadrants([0.8, 0.2, 0.2, 0.4])))


def dying(film: bytes, view: View, limits: Limits, _mask: Mask | None) -> SeenFilm:
    """Die as a decoder does that crashes on a film."""
    os.kill(os.getpid(), signal.SIGKILL)
    return seen_film(film, view, limits)


def dying_once(film: bytes, view: View, limits: Limits, _mask: Mask | None) -> SeenFilm:
    """Die the first time, as a process does that the system kills to save memory."""
    mark = Path(os.environ["CXR_TEST_MARK"])
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return seen_film(film, view, limits)


def own_process(*_: object) -> bytes:
    """Return which process decodes."""
    return str(os.getpid()).encode()


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
    monkeypatch.setattr("service.inference.engine.seen_film", dying_once)
    monkeypatch.setenv("CXR_TEST_MARK", str(tmp_path / "mark"))
    with serving(create_app(Settings())) as fresh:
        assert fresh.post("/v1/predict", content=DICOM_FILM).status_code == 200
    assert (tmp_path / "mark").exists()
