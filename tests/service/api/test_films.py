"""Real and odd films: each gets an answer or a problem, never a server error."""

import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.models.film_files.test_dicom import RAMP, dicom
from tests.support.tiny_model import FILM, picture, quadrants

PNG = {"accept": "image/png"}


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


def grey(client: httpx.Client, film: bytes, side: int | None = None) -> np.ndarray:
    """Return a film as a grey picture."""
    options = {"params": {"side": side} if side else {}, "headers": PNG}
    answer = client.post("/v1/film", content=film, **options)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert "x-film" not in answer.headers
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.mode == "L"
        return np.asarray(picture)


def raw(client: httpx.Client, film: bytes) -> tuple[np.ndarray, dict[str, Any]]:
    """Return a film's raw pixels and what they mean."""
    answer = client.post("/v1/film", content=film)
    assert (answer.status_code, answer.headers["vary"]) == (200, "Accept")
    facts = json.loads(answer.headers["x-film"])
    pixels = np.frombuffer(answer.content, "<u2").reshape(facts["rows"], facts["columns"])
    return pixels, facts


def windowed(pixels: np.ndarray, facts: dict[str, Any]) -> np.ndarray:
    """Return what a page makes of raw pixels with their first window: 8-bit grey."""
    window = facts["windows"][0]
    values = pixels * facts["slope"] + facts["intercept"]
    shown = (values - (window["centre"] - 0.5)) / max(window["width"] - 1, 1e-6) + 0.5
    return np.rint(255 * shown.clip(0, 1))


def test_a_film_can_be_had_as_a_grey_picture(client: httpx.Client):
    assert np.array_equal(grey(client, FILM), quadrants([0.8, 0.2, 0.2, 0.4]))


@pytest.mark.parametrize("accept", [None, "*/*", "application/octet-stream", "image/png;q=0.1,*/*"])
def test_a_film_is_raw_unless_a_picture_is_asked_for(client: httpx.Client, accept):
    headers = {"accept": accept} if accept else {}
    answer = client.post("/v1/film", files={"file": FILM}, headers=headers)
    assert answer.headers["content-type"] == "application/octet-stream"
    expected = quadrants([0.8, 0.2, 0.2, 0.4]).astype("<u2").tobytes()
    assert answer.content == expected


def test_the_header_of_raw_pixels_says_what_they_mean(client: httpx.Client):
    header = client.post("/v1/film", content=FILM).headers["x-film"]
    assert json.loads(header) == {
        "rows": 32,
        "columns": 48,
        "format": "png",
        "slope": 1,
        "intercept": 0,
        "spacing": None,
        "windows": [{"name": None, "centre": 128, "width": 256}],
        "low": 51,
        "high": 204,
    }
    assert header.isascii()
    assert ": " not in header


def test_a_dicom_film_has_its_real_values_and_none_of_its_words(client: httpx.Client):
    film = dicom(
        RAMP,
        RescaleSlope=0.5,
        RescaleIntercept=-1000,
        WindowCenter=[200, 40],
        WindowWidth=[300, 50],
        WindowCenterWidthExplanation=["LUNG", "DOE^JANE"],
        PixelSpacing=[0.2, 0.3],
    )
    pixels, facts = raw(client, film)
    assert np.array_equal(pixels * facts["slope"] + facts["intercept"], RAMP * 0.5 - 1000)
    assert facts["windows"][0] == {"name": "LUNG", "centre": 200, "width": 300}
    assert facts["windows"][1]["name"] is None
    assert facts["spacing"] == [0.2, 0.3]
    assert np.abs(windowed(pixels, facts) - grey(client, film)).max() <= 1


@pytest.mark.parametrize(("size", "small"), [((300, 600), (32, 64)), ((600, 20), (64, 2))])
def test_a_thumbnail_is_the_average_of_what_it_stands_for(client: httpx.Client, size, small):
    noise = np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8)
    thumbnail = grey(client, picture(noise), side=64)
    assert thumbnail.shape == small
    assert thumbnail.mean() == pytest.approx(noise.mean(), abs=1)
    assert thumbnail.std() < noise.std() / 2


def test_a_thumbnail_is_never_larger_than_the_film(client: httpx.Client):
    assert np.array_equal(grey(client, FILM, side=1024), grey(client, FILM))


@pytest.mark.parametrize("side", [15, 1025, "wide"])
def test_a_thumbnail_has_a_size_that_is_allowed(client: httpx.Client, side):
    answer = client.post("/v1/film", params={"side": side}, content=FILM, headers=PNG)
    assert answer.status_code == 422
    assert "side" in answer.json()["detail"]


def test_raw_pixels_have_no_thumbnail(client: httpx.Client):
    problem = client.post("/v1/film?side=64", content=FILM)
    assert (problem.status_code, problem.json()["title"]) == (422, "Side without picture")
    assert "image/png" in problem.json()["detail"]


def test_every_readable_dicom_film_looks_the_same_raw_and_as_a_picture(
    client: httpx.Client, shared: Path
):
    films = [path.read_bytes() for path in sorted((shared / "data/dicom").glob("*.dcm"))]
    readable = [film for film in films if client.post("/v1/film", content=film).is_success]
    assert len(readable) >= 19
    for film in readable:
        assert np.abs(windowed(*raw(client, film)) - grey(client, film)).max() <= 1


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
