import httpx
import pytest

from service.api.dependencies import negotiated
from service.problems import NotAcceptable
from tests.support.tiny_model import FILM

OFFERS = ("application/json", "image/png")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/json"),
        ("", "application/json"),
        (",", "application/json"),
        (" , ,", "application/json"),
        ("*/*", "application/json"),
        ("image/png", "image/png"),
        ("IMAGE/PNG", "image/png"),
        ("image/*", "image/png"),
        ("image/png, */*", "image/png"),
        ("text/html, image/png;q=0.9, */*;q=0.8", "image/png"),
        ("image/png;q=0.5, application/json;q=0.6", "application/json"),
        ("*/*, application/json;q=0", "image/png"),
        ("image/png;q=nonsense, */*;q=0.1", "application/json"),
        ("image/png;q=nan, */*;q=0.1", "application/json"),
    ],
)
def test_the_client_gets_what_it_likes_best(accept, media_type):
    assert negotiated(accept if accept is None else [accept], OFFERS) == media_type


DICOM = 'multipart/related; type="application/dicom"'


@pytest.mark.parametrize(
    "accept",
    [
        DICOM,
        "multipart/related;type=application/dicom;transfer-syntax=*",
        "multipart/related",
        "multipart/*, image/png;q=0.5",
        f"image/png;q=0.9, {DICOM}",
    ],
)
def test_parts_are_asked_for_by_what_they_are(accept):
    assert negotiated([accept], (*OFFERS, DICOM)) == DICOM


def test_parts_of_another_kind_are_not_had():
    with pytest.raises(NotAcceptable):
        negotiated(['multipart/related; type="application/dicom+xml"'], (*OFFERS, DICOM))


@pytest.mark.parametrize("accept", ["text/html", "image/webp", "*/*;q=0", "nonsense"])
def test_a_client_that_likes_nothing_is_told_what_there_is(accept):
    with pytest.raises(NotAcceptable, match="application/json or image/png"):
        negotiated([accept], OFFERS)


def test_several_lines_are_one_list():
    assert negotiated(["application/json;q=0.5", "image/png"], OFFERS) == "image/png"
    with pytest.raises(NotAcceptable):
        negotiated(["text/html", ",", "image/webp"], OFFERS)


NDJSON = "application/x-ndjson"


@pytest.mark.parametrize(
    ("method", "path", "media_type"),
    [
        ("GET", "/v1/models", OFFERS[0]),
        ("GET", "/v1/models/tiny", OFFERS[0]),
        ("POST", "/v1/models/tiny/reload", OFFERS[0]),
        ("GET", "/v1/colour-map", OFFERS[0]),
        ("GET", "/v1/colour-maps", OFFERS[0]),
        ("POST", "/v1/batch", NDJSON),
    ],
)
def test_what_comes_in_one_media_type_only_is_refused_in_others(
    client: httpx.Client, method: str, path: str, media_type: str
):
    files = {"file": FILM} if path == "/v1/batch" else None
    problem = client.request(method, path, files=files, headers={"accept": "text/html"})
    assert (problem.status_code, problem.json()["title"]) == (406, "Not acceptable")
    assert media_type in problem.json()["detail"]
    lines = [("accept", "text/html"), ("accept", media_type)]
    answer = client.request(method, path, files=files, headers=lines)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
