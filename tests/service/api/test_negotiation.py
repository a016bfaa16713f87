import pytest

from service.api.dependencies import negotiated
from service.problems import NotAcceptable

OFFERS = ("application/json", "image/png")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/json"),
        ("", "application/json"),
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
    assert negotiated(accept, OFFERS) == media_type


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
    assert negotiated(accept, (*OFFERS, DICOM)) == DICOM


def test_parts_of_another_kind_are_not_had():
    with pytest.raises(NotAcceptable):
        negotiated('multipart/related; type="application/dicom+xml"', (*OFFERS, DICOM))


@pytest.mark.parametrize("accept", ["text/html", "image/webp", "*/*;q=0", "nonsense"])
def test_a_client_that_likes_nothing_is_told_what_there_is(accept):
    with pytest.raises(NotAcceptable, match="application/json or image/png"):
        negotiated(accept, OFFERS)
