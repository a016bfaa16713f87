"""Real and odd films: each gets an answer or a problem, never a server error."""

import io
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.tiny_model import FILM, picture, quadrants


def assert_answered(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 5000), (5000, 1), (2, 3), (3000, 20)])
@pytest.mark.parametrize("accept", ["application/json", "image/png"])
def test_films_of_absurd_shape_are_answered(client: httpx.Client, rows, columns, accept):
    noise = np.random.default_rng(0).integers(0, 200, (rows, columns), dtype=np.uint8)
    answer = client.post("/v1/explain", content=picture(noise), headers={"accept": accept})
    assert answer.status_code == 200


def test_a_film_can_be_had_as_a_grey_picture(client: httpx.Client):
    answer = client.post("/v1/film", files={"file": FILM})
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as film:
        assert film.mode == "L"
        np.testing.assert_array_equal(np.asarray(film), quadrants([0.8, 0.2, 0.2, 0.4]))


def test_what_is_no_film_cannot_be_had_as_a_picture(client: httpx.Client):
    assert client.post("/v1/film", content=b"hello").status_code == 415


@pytest.mark.parametrize("folder", ["dicom", "ood"])
def test_every_shared_film_is_answered(client: httpx.Client, shared: Path, folder: str):
    for film in sorted((shared / "data" / folder).iterdir()):
        with film.open("rb") as file:
            assert_answered(client.post("/v1/explain", files={"file": file}))


def test_a_dicom_film_and_its_uncompressed_twin_get_the_same_answer(
    client: httpx.Client, shared: Path
):
    answers = [
        client.post(
            "/v1/explain",
            content=(shared / "data/dicom" / f"cr_chest_pa_mono1_{name}.dcm").read_bytes(),
            headers={"content-type": "application/dicom"},
        )
        for name in ("j2k_lossless", "explicit_le")
    ]
    assert answers[0].status_code == 200
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["film"] == {"rows": 1955, "columns": 1841, "format": "dicom"}
