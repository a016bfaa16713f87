"""A film is decided for one class or for none, and every answer says which classes are left."""

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import pydicom
import pytest

from models.radiograph import read_radiograph
from service.answers.film_answer import answer_film
from service.app import create_app
from service.audit.rows import audit_row
from service.batch.scoring import score_films
from service.client import Client
from service.dicom.results import result_objects
from service.films.decoding import Limits
from service.settings import Settings
from tests.service.api.test_open_inference import json_films
from tests.service.dicom.test_results import comments, groups
from tests.support.dicom_films import chest_film
from tests.support.running_server import serving
from tests.support.tiny_model import CLASS_NAMES, FILM, REFUSED_FILM, first_schema, write_model
from training.evaluation.refusal import reaction
from xai.explainer import Explainer

LEFT = {"open": ["normal", "effusion"], "sure": ["normal"]}
"""What each model cannot exclude on the film, whose probabilities are 0.47, 0.21 and 0.32."""
DECISIONS = {"open": [None] * 3, "sure": [True, False, False]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decided")
    write_model(folder, name="open", conformal_quantiles=(0.5, 0.5, 0.7))
    write_model(folder, name="sure", conformal_quantiles=(0.5, 0.5, 0.5))
    return folder


@pytest.fixture(scope="module", params=["open", "sure"])
def explainer(request: pytest.FixtureRequest, folder: Path) -> Explainer:
    return Explainer(folder / f"{request.param}.onnx")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    with serving(create_app(Settings(models=folder, own_models=False))) as client:
        yield client


@pytest.mark.parametrize("model", ["open", "sure"])
def test_a_film_is_decided_when_one_class_is_left(client: httpx.Client, model: str) -> None:
    said = client.post(f"/v1/explain?model={model}", content=FILM).json()
    assert said["prediction_set"] == LEFT[model]
    assert said["is_decided"] is (model == "sure")
    assert (said["predicted_class"], said["most_probable_class"]) == ("normal", "normal")
    assert [one["decision"] for one in said["findings"]] == DECISIONS[model]
    assert said["findings"][1]["excluded_below"] == 0.5
    statuses = [one["explanation"]["status"] for one in said["findings"]]
    assert statuses == ["ok", "below_threshold", "no_positive_evidence"]


def test_a_refused_film_is_undecided_and_predicts_nothing(client: httpx.Client) -> None:
    said = client.post("/v1/predict?model=sure", content=REFUSED_FILM).json()
    assert (said["is_decided"], said["predicted_class"]) == (False, None)
    assert said["most_probable_class"] in said["prediction_set"]
    assert [one["decision"] for one in said["findings"]] == [None] * 3


def test_the_client_reads_the_set(client: httpx.Client) -> None:
    with Client(str(client.base_url)) as asked:
        said = asked.predict(FILM, model="open")
    assert (said.is_decided, said.prediction_set) == (False, LEFT["open"])


def test_open_inference_tells_the_set_class_by_class(client: httpx.Client) -> None:
    described = client.get("/v2/models/open").json()
    shapes = {one["name"]: one["shape"] for one in described["outputs"]}
    assert (shapes["is_decided"], shapes["prediction_set"]) == ([-1], [-1, 3])
    assert described["parameters"]["conformal_quantiles"] == "[0.5, 0.5, 0.7]"
    body = {"inputs": [json_films(FILM)]}
    outputs = client.post("/v2/models/open/infer", json=body).json()["outputs"]
    data = {one["name"]: one["data"] for one in outputs}
    assert data["is_decided"] == [False]
    assert data["prediction_set"] == [name in LEFT["open"] for name in CLASS_NAMES]


def test_undecided_films_are_counted(client: httpx.Client) -> None:
    client.post("/v1/predict?model=open", content=FILM)
    lines = client.get("/metrics").text.splitlines()
    assert any(line.startswith('cxr_films_total{model="open",outcome="unsure"}') for line in lines)


def test_batches_audit_and_measures_tell_the_same(explainer: Explainer, tmp_path: Path) -> None:
    name = explainer.card.name
    (tmp_path / "film.png").write_bytes(FILM)
    [row] = score_films(explainer, tmp_path, ["film.png"], batch_size=1)
    assert (row["is_decided"], row["prediction_set"]) == (name == "sure", LEFT[name])
    answers = answer_film(explainer, FILM).answers
    about = {"verb": "infer", "request_id": "r1", "key_id": None, "film_sha256": 64 * "b"}
    kept = audit_row(explainer, answers, **about)
    assert (kept.is_decided, kept.prediction_set) == (name == "sure", LEFT[name])
    assert list(kept.decisions.values()) == DECISIONS[name]
    measured = reaction(explainer, read_radiograph(FILM), "film")
    assert measured.outcome == ("answered" if name == "sure" else "undecided")


def test_the_dicom_report_names_what_is_not_excluded(explainer: Explainer) -> None:
    name, film = explainer.card.name, chest_film()
    prediction = answer_film(explainer, film).explained_prediction()
    file = result_objects(film, prediction, "normal", Limits())[0]
    report = pydicom.dcmread(io.BytesIO(file))
    of_film, *_ = groups(report)
    status, *left = [one.value.meaning for one in of_film.get_qualitative_evaluations()]
    assert left == prediction.prediction_set
    assert status == ("decided" if len(left) == 1 else "unsure")
    assert ("Undecided: more than one" in comments(report)) is (name == "open")


@pytest.mark.parametrize("film", [FILM, REFUSED_FILM])
def test_a_file_from_before_there_were_sets_decides_for_the_most_probable_class(
    tmp_path: Path, film: bytes
) -> None:
    model = write_model(tmp_path, card_json=first_schema())
    said = answer_film(Explainer(model), film).prediction()
    assert said.prediction_set is None
    assert said.is_decided is (said.in_distribution and said.is_confident)
    called = [one.class_name for one in said.findings if one.decision]
    assert called == ([said.predicted_class] if said.is_decided else [])
