"""A model of findings decides each for itself, and predicts no class."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

import cxr
from service.app import create_app
from service.settings import Settings
from tests.support.tiny_model import DISTANCE_THRESHOLD, FILM, REFUSED_FILM, write_model

SIGMOIDS = (0.598688, 0.401312, 0.5)  # of 0.4, -0.4, 0


@pytest.fixture(scope="module")
def findings_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models"), task="multilabel")


@pytest.fixture(scope="module")
def findings_client(findings_model: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(models=findings_model, own_models=False))) as client:
        yield client


def test_probabilities_are_sigmoids_that_do_not_add_up_to_one(findings_client: TestClient) -> None:
    answer = findings_client.post("/v1/predict", content=FILM).json()
    probabilities = [finding["probability"] for finding in answer["findings"]]
    assert probabilities == pytest.approx(SIGMOIDS, abs=1e-4)
    assert [finding["decision"] for finding in answer["findings"]] == [False, True, True]
    assert (answer["is_decided"], answer["prediction_set"]) == (True, None)


@pytest.mark.parametrize("verb", ["predict", "explain"])
def test_no_class_is_predicted(findings_client: TestClient, verb: str) -> None:
    answer = findings_client.post(f"/v1/{verb}", content=FILM).json()
    assert answer["predicted_class"] is None
    assert answer["most_probable_class"] == "normal"


@pytest.mark.parametrize(
    ("film", "query", "foremost"),
    [(FILM, "", "effusion"), (REFUSED_FILM, "?force=true", "pneumonia")],
)
def test_the_overlay_shows_the_most_probable_finding_of_those_called(
    findings_client: TestClient, film: bytes, query: str, foremost: str
) -> None:
    answer = findings_client.post(
        f"/v1/explain{query}", content=film, headers={"accept": "image/png"}
    )
    assert answer.headers["explanation-class"] == foremost


def test_every_finding_has_its_map(findings_client: TestClient) -> None:
    answer = findings_client.post("/v1/explain", content=FILM).json()
    statuses = [finding["explanation"]["status"] for finding in answer["findings"]]
    assert statuses == ["below_threshold", "ok", "no_positive_evidence"]


def test_a_refused_film_gets_no_decision(findings_client: TestClient) -> None:
    answer = findings_client.post("/v1/predict", content=REFUSED_FILM).json()
    assert answer["distance"] > DISTANCE_THRESHOLD
    assert [finding["decision"] for finding in answer["findings"]] == [None] * 3


def test_the_command_explains_the_foremost_finding(
    findings_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "film.png").write_bytes(FILM)
    asked = [str(tmp_path / "film.png"), "-o", str(tmp_path / "out.png")]
    assert cxr.main(["explain", *asked, "--model", str(findings_model)]) == 0
    assert "effusion: no_positive_evidence" in capsys.readouterr().err


def test_the_interface_says_that_there_may_be_no_predicted_class(client: httpx.Client) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for name in ("Prediction", "ExplainedPrediction"):
        predicted = schemas[name]["properties"]["predicted_class"]
        assert predicted["anyOf"] == [{"type": "string"}, {"type": "null"}]
        assert "multi-label" in predicted["description"]
