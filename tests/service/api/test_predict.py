import json
from pathlib import Path

import httpx
import pytest

from service.answers.film_answer import answer_film
from tests.support.tiny_model import FILM, REFUSED_FILM, THRESHOLDS, write_model
from xai.explainer import Explainer

PROBABILITIES = (0.471776, 0.211983, 0.316241)  # softmax of 0.4, -0.4, 0


def test_a_film_in_a_form_is_answered(client: httpx.Client):
    answer = client.post("/v1/predict", files={"file": FILM})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["film"] == {"rows": 32, "columns": 48, "format": "png"}


def test_the_answer_has_the_promised_shape(client: httpx.Client):
    answer = client.post("/v1/predict", files={"file": FILM}).json()
    assert list(answer) == [
        "model",
        "film",
        "mask",
        "distance",
        "distance_threshold",
        "novelty",
        "novelty_threshold",
        "in_distribution",
        "refusals",
        "confidence_threshold",
        "is_confident",
        "is_decided",
        "prediction_set",
        "predicted_class",
        "most_probable_class",
        "findings",
        "groups",
    ]
    assert answer["model"] | {"sha256": ""} == {
        "name": "tiny",
        "version": "1.2.3",
        "sha256": "",
        "evidence_scale": 1.2,
    }


def test_findings_are_those_worked_out_by_hand(client: httpx.Client):
    answer = client.post("/v1/predict", files={"file": FILM}).json()
    findings = answer["findings"]
    assert [finding["logit"] for finding in findings] == pytest.approx([0.4, -0.4, 0], abs=1e-4)
    assert [finding["probability"] for finding in findings] == pytest.approx(PROBABILITIES, 1e-4)
    assert [finding["threshold"] for finding in findings] == list(THRESHOLDS)
    assert [finding["decision"] for finding in findings] == [True, False, False]
    assert [finding["excluded_below"] for finding in findings] == [None] * 3
    assert (answer["predicted_class"], answer["most_probable_class"]) == ("normal", "normal")
    assert (answer["is_decided"], answer["prediction_set"]) == (True, None)
    assert answer["distance"] == pytest.approx(4)


def test_a_film_unlike_the_training_films_gets_no_decision(client: httpx.Client):
    answer = client.post("/v1/predict", files={"file": REFUSED_FILM}).json()
    assert (answer["in_distribution"], answer["refusals"]) == (False, ["distance"])
    assert answer["distance"] > answer["distance_threshold"] == 8
    assert [finding["decision"] for finding in answer["findings"]] == [None] * 3
    assert answer["is_decided"] is False
    assert (answer["predicted_class"], answer["most_probable_class"]) == (None, "pneumonia")
    assert sum(finding["probability"] for finding in answer["findings"]) == pytest.approx(1)


def test_a_film_that_leaves_the_model_unsure_gets_no_decision(tmp_path: Path) -> None:
    answers = [
        answer_film(Explainer(write_model(tmp_path, confidence_threshold=limit)), FILM).prediction()
        for limit in (0.47, 0.48)
    ]
    assert [answer.is_confident for answer in answers] == [True, False]
    assert [answer.is_decided for answer in answers] == [True, False]
    assert [finding.decision for finding in answers[0].findings] == [True, False, False]
    assert [finding.decision for finding in answers[1].findings] == [None] * 3
    assert answers[1].predicted_class == "normal"


@pytest.mark.parametrize(
    "content_type",
    ["image/png", "IMAGE/PNG; q=1", "application/octet-stream", "application/dicom", None],
)
def test_a_film_as_the_body_itself_is_answered_alike(client: httpx.Client, content_type):
    headers = {"content-type": content_type} if content_type else {}
    raw = client.post("/v1/predict", content=FILM, headers=headers)
    assert raw.json() == client.post("/v1/predict", files={"file": FILM}).json()


def test_a_model_can_be_asked_by_name(client: httpx.Client):
    by_name = client.post("/v1/predict?model=tiny", content=FILM)
    assert by_name.json()["model"]["name"] == "tiny"


def test_an_unknown_model_is_a_404_that_names_the_known_ones(client: httpx.Client):
    problem = client.post("/v1/predict?model=huge", content=FILM)
    assert problem.status_code == 404
    assert "tiny" in problem.json()["detail"]


def test_predict_has_no_picture(client: httpx.Client):
    problem = client.post("/v1/predict", content=FILM, headers={"accept": "image/png"})
    assert problem.status_code == 406
    assert "application/json" in problem.json()["detail"]


def test_an_answer_about_a_film_is_not_stored(client: httpx.Client):
    assert client.post("/v1/predict", content=FILM).headers["cache-control"] == "no-store"


def test_numbers_are_json_and_never_nan(client: httpx.Client):
    text = client.post("/v1/explain", content=FILM).text
    json.loads(text, parse_constant=lambda name: pytest.fail(name))
