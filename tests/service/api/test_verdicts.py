"""What is decided, refused and forced is told the same everywhere: a contract of all interfaces."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cxr_client import Client
from cxr_client.answers import ExplainedPrediction
from service.answers import examples
from service.app import create_app
from service.settings import Settings
from tests.service.api.test_open_inference import json_films
from tests.support.running_server import serving
from tests.support.tiny_model import CLASS_NAMES, FILM, REFUSED_FILM, write_model

FORCED = "out_of_distribution_forced"
VERDICT = ("predicted_class", "is_decided", "refusals", "prediction_set")


class Verdict(NamedTuple):
    """What every interface must say of a film."""

    predicted_class: str | None
    is_decided: bool
    refusals: list[str]
    prediction_set: list[str]
    statuses: list[str]


MAPS = ["ok", "below_threshold", "no_positive_evidence"]
EXPECTED = {
    ("sure", "film"): Verdict("normal", True, [], ["normal"], MAPS),
    ("open", "film"): Verdict("normal", False, [], ["normal", "effusion"], MAPS),
    ("sure", "refused"): Verdict(None, False, ["distance"], ["pneumonia"], [FORCED] * 3),
}
FILMS = {"film": FILM, "refused": REFUSED_FILM}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("verdicts")
    write_model(folder, name="open", conformal_quantiles=(0.5, 0.5, 0.7))
    write_model(folder, name="sure", conformal_quantiles=(0.5, 0.5, 0.5))
    url = f"sqlite:///{folder}/audit.sqlite"
    with serving(create_app(Settings(models=folder, own_models=False, audit_url=url))) as client:
        yield client


@pytest.fixture(params=EXPECTED, ids=" ".join)
def asked(request: pytest.FixtureRequest) -> tuple[str, bytes, Verdict]:
    model, film = request.param
    return model, FILMS[film], EXPECTED[request.param]


def told(answer: Any, statuses: list[str]) -> Verdict:
    return Verdict(*(getattr(answer, name) for name in VERDICT), statuses)


def counts(server: httpx.Client, model: str) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(server.get("/metrics").text)
    return {
        (sample.name, *(value for name, value in sample.labels.items() if name != "model")): (
            sample.value
        )
        for family in families
        for sample in family.samples
        if sample.labels.get("model") == model and sample.name.endswith("_total")
    }


def test_the_typed_client_reads_it(server: httpx.Client, asked: tuple[str, bytes, Verdict]) -> None:
    model, film, expected = asked
    with Client(str(server.base_url)) as client:
        answer = client.explain(film, model=model, force=True)
    statuses = [one.explanation.status for one in answer.findings]
    assert told(answer, statuses) == expected


def test_open_inference_tells_it_in_columns_that_the_metadata_name(
    server: httpx.Client, asked: tuple[str, bytes, Verdict]
) -> None:
    model, film, expected = asked
    named = server.get(f"/v2/models/{model}").json()["parameters"]
    reasons, statuses = json.loads(named["refusals"]), json.loads(named["map_statuses"])
    body = {"inputs": [json_films(film)]}
    outputs = server.post(f"/v2/models/{model}/infer", json=body).json()["outputs"]
    data = {one["name"]: one["data"] for one in outputs}
    columns = len(statuses)
    maps = [data["map_status"][n * columns :][:columns] for n in range(len(CLASS_NAMES))]

    def true_of(names: list[str], values: list[bool]) -> list[str]:
        return [name for name, value in zip(names, values, strict=True) if value]

    predicted = true_of(CLASS_NAMES, data["predicted_class"])
    assert predicted == [one for one in [expected.predicted_class] if one]
    assert data["is_decided"] == [expected.is_decided]
    assert true_of(reasons, data["refusals"]) == expected.refusals
    assert true_of(CLASS_NAMES, data["prediction_set"]) == expected.prediction_set
    assert [true_of(statuses, values) for values in maps] == [[one] for one in expected.statuses]


def test_the_audit_trail_keeps_it(server: httpx.Client, asked: tuple[str, bytes, Verdict]) -> None:
    model, film, expected = asked
    for path in ("explain?force=true", "batch?explain=true&force=true", "predict"):
        after = server.get("/v1/audit?limit=1000").json()["rows"]
        query = f"after={after[-1]['id']}" if after else ""
        join = "&" if "?" in path else "?"
        files = {"files": [("file", film)]} if "batch" in path else {"content": film}
        assert server.post(f"/v1/{path}{join}model={model}", **files).status_code == 200
        [row] = server.get(f"/v1/audit?{query}").json()["rows"]
        assert [row[name] for name in VERDICT] == list(expected[:4])
        maps = dict(zip(CLASS_NAMES, expected.statuses, strict=True))
        assert row["map_statuses"] == (None if path == "predict" else maps)


def test_a_map_that_is_withheld_is_kept_as_withheld(server: httpx.Client) -> None:
    server.post("/v1/explain?model=sure", content=REFUSED_FILM, headers={"X-Request-ID": "held"})
    rows = server.get("/v1/audit?limit=1000").json()["rows"]
    [row] = [one for one in rows if one["request_id"] == "held"]
    assert set(row["map_statuses"].values()) == {"out_of_distribution"}


def test_metrics_count_it(server: httpx.Client, asked: tuple[str, bytes, Verdict]) -> None:
    model, film, expected = asked
    before = counts(server, model)
    server.post(f"/v1/explain?force=true&model={model}", content=film)
    after = counts(server, model)
    more = {key: value - before.get(key, 0) for key, value in after.items()}
    outcome = "refused" if expected.refusals else "decided" if expected.is_decided else "unsure"
    wanted = {("cxr_films_total", outcome): 1.0}
    if expected.predicted_class:
        wanted["cxr_predicted_total", expected.predicted_class] = 1.0
    wanted |= {("cxr_refusals_total", reason): 1.0 for reason in expected.refusals}
    wanted |= {("cxr_possible_total", name): 1.0 for name in expected.prediction_set}
    for status in expected.statuses:
        key = ("cxr_maps_total", status)
        wanted[key] = wanted.get(key, 0) + 1
    found = {key: value for key, value in more.items() if value and key[0] != "cxr_findings_total"}
    assert found == wanted


def test_the_examples_of_the_openapi_document_show_it() -> None:
    document = create_app(Settings(auth=False)).openapi()["components"]["schemas"]
    shown = document["ExplainedPrediction"]["examples"]
    read = [ExplainedPrediction.model_validate(one) for one in shown]
    assert {one.is_decided for one in read} == {True, False}
    assert {FORCED, "ok"} <= {one.findings[0].explanation.status for one in read}
    [refused] = [one for one in document["Prediction"]["examples"] if one["refusals"]]
    assert (refused["predicted_class"], refused["is_decided"]) == (None, False)
    [row] = document["AuditPage"]["examples"][0]["rows"]
    assert {*VERDICT, "map_statuses"} <= set(row)
    [metadata] = document["ModelMetadata"]["examples"]
    outputs = {one["name"] for one in metadata["outputs"]}
    assert outputs >= {*VERDICT, "map_status"}
    asked = {one["name"] for one in examples.INFERENCE_REQUEST["outputs"]}
    assert {one["name"] for one in document["InferenceResponse"]["examples"][0]["outputs"]} == asked
    assert asked >= set(VERDICT)
