"""What a model says about a film of which it does not see a part."""

import httpx
import numpy as np
import pytest

from service.app import create_app
from service.settings import Settings
from tests.support.running_server import serving
from tests.support.tiny_model import FILM, picture, quadrants, write_model

QUARTERS = [0.8, 0.2, 0.2, 0.4]  # of 24 columns and 16 rows each; the median is 0.3


def ask(client: httpx.Client, mask: str, film: bytes = FILM, **query: str) -> httpx.Response:
    return client.post("/v1/predict", params={"mask": mask, **query}, content=film)


def logits(answer: dict) -> list[float]:
    return [finding["logit"] for finding in answer["findings"]]


def test_what_is_masked_has_the_median_of_the_film(client: httpx.Client):
    answer = ask(client, "0,0,24,16").json()
    expected = client.post("/v1/predict", content=picture(quadrants([0.3, 0.2, 0.2, 0.4]))).json()
    assert logits(answer) == pytest.approx(logits(expected), abs=0.01)
    assert answer["distance"] == pytest.approx(2.75, abs=0.02)


@pytest.mark.parametrize(
    ("mask", "pixels"),
    [
        ("0,0,24,16", [0, 0, 24, 16]),
        ("-5,-5.5,3,4", [0, 0, 3, 4]),
        ("40,30,1000,1000", [40, 30, 48, 32]),
        ("1.5,2.000001,3.25,4.9", [1, 2, 4, 5]),
        ("47.99,31.99,48,32", [47, 31, 48, 32]),
    ],
)
def test_the_answer_says_which_pixels_were_masked(client: httpx.Client, mask, pixels):
    assert ask(client, mask).json()["mask"] == pixels


def test_an_answer_about_the_whole_film_says_so(client: httpx.Client):
    for path in ("/v1/predict", "/v1/explain"):
        assert client.post(path, content=FILM).json()["mask"] is None


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        ("", "four"),
        ("1,2,3", "3 numbers"),
        ("1,2,3,4,5", "5 numbers"),
        ("1,2,3,Doe", "y1"),
        ("nan,2,3,4", "x0"),
        ("1,1e9,3,4", "y0"),
        ("1,2,inf,4", "x1"),
        ("1,2, 3,4", "x1"),
        ("3,2,3,4", "x0 must be less than x1"),
        ("1,4,3,2", "y0 less than y1"),
        ("48,0,50,9", "48 columns (x) and 32 rows (y)"),
        ("-9,0,0,9", "outside the film"),
    ],
)
def test_a_mask_that_is_none_is_a_problem_that_says_why(client: httpx.Client, mask, says):
    problem = ask(client, mask)
    assert (problem.status_code, problem.json()["title"]) == (422, "Malformed mask")
    assert says in problem.json()["detail"]
    assert "Doe" not in problem.text


def test_the_borders_are_trimmed_as_if_there_were_no_mask(client: httpx.Client):
    film = picture(np.pad(quadrants(QUARTERS), 8))  # the median is 0.1
    # Quarters of 0.8, 0.2, 0.1, 0.1; trimmed after masking, some of the uniform rows would go.
    answer = ask(client, "0,24,64,48", film).json()
    assert logits(answer) == pytest.approx([0.8, -0.8, 0], abs=0.01)


def test_all_models_see_the_same_mask(tmp_path):
    for name in ("first", "second"):
        write_model(tmp_path, name=name)
    with serving(create_app(Settings(models=tmp_path, own_models=False))) as client:
        answers = ask(client, "0,0,24,16", model="all").json()["models"]
        one = ask(client, "0,0,24,16", model="second").json()
        outside = ask(client, "90,90,99,99", model="all")
    assert [answer["mask"] for answer in answers] == [[0, 0, 24, 16]] * 2
    assert answers[1] == one
    assert outside.json()["title"] == "Malformed mask"
