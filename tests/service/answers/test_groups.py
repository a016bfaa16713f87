"""Groups of classes are answered beside the classes, by every door of the server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.app import create_app
from service.batch.scoring import score_films
from service.client import Client
from service.settings import Settings
from tests.service.dicom.test_answers import DICOM, parts
from tests.support.dicom_films import chest_film
from tests.support.running_server import serving
from tests.support.tiny_groups import GROUPS, SCALE, THRESHOLDS, group_evidence, write_group_model
from tests.support.tiny_model import CLASS_NAMES, FILM, REFUSED_FILM, quadrants, write_model
from xai.explainer import Explainer

# Logits 0.4, -0.4, 0 (normal, pneumonia, effusion).
POWERS = dict(zip(CLASS_NAMES, np.exp([0.4, -0.4, 0.0]), strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("groups")
    write_group_model(folder)
    write_group_model(folder, name="twin")
    write_group_model(folder, name="sets", conformal_quantiles=(0.5, 0.5, 0.7))
    write_model(folder, name="without")
    return folder


@pytest.fixture(scope="module")
def grouped(folder: Path) -> Iterator[httpx.Client]:
    url = f"sqlite:///{folder}/audit.sqlite"
    settings = Settings(models=folder, own_models=False, default_model="tiny", audit_url=url)
    with serving(create_app(settings)) as client:
        yield client


def groups(client: httpx.Client, query: str = "", film: bytes = FILM) -> dict[str, dict[str, Any]]:
    answer = client.post(f"/v1/explain{query}", content=film).json()
    return {group["name"]: group for group in answer["groups"]}


def test_a_groups_probability_is_the_sum_of_its_classes_and_decided_at_its_own_threshold(
    grouped: httpx.Client,
) -> None:
    found = groups(grouped)
    assert list(found) == list(GROUPS)
    for (name, members), threshold in zip(GROUPS.items(), THRESHOLDS, strict=True):
        probability = sum(POWERS[one] for one in members) / sum(POWERS.values())
        group = found[name]
        assert tuple(group["class_names"]) == members
        assert group["probability"] == pytest.approx(probability, abs=1e-5)
        odds = np.log(probability / (1 - probability))
        assert group["log_odds"] == pytest.approx(odds, abs=1e-5)
        assert (group["threshold"], group["evidence_scale"]) == (threshold, SCALE)
        assert group["decision"] is bool(probability >= threshold)


def test_its_evidence_is_that_worked_out_by_hand(grouped: httpx.Client) -> None:
    expected = group_evidence(quadrants([0.8, 0.2, 0.2, 0.4]))
    for number, group in enumerate(groups(grouped).values()):
        explanation = group["explanation"]
        np.testing.assert_allclose(explanation["evidence"], expected[number], atol=1e-5)
        assert explanation["status"] == ("ok", "below_threshold")[number]
        assert explanation["method"] == "grad_cam"


def test_a_refused_film_has_no_decision_about_a_group_and_no_map(grouped: httpx.Client) -> None:
    for group in groups(grouped, film=REFUSED_FILM).values():
        assert group["decision"] is None
        assert group["explanation"]["evidence"] is None
        assert group["explanation"]["status"] == "out_of_distribution"
    forced = groups(grouped, "?force=true", REFUSED_FILM)["abnormal"]
    assert forced["decision"] is None
    assert forced["explanation"]["status"] == "out_of_distribution_forced"


def test_a_model_without_groups_answers_with_none(grouped: httpx.Client) -> None:
    assert groups(grouped, "?model=without") == {}


def test_predict_says_the_same_without_the_maps(grouped: httpx.Client) -> None:
    said = grouped.post("/v1/predict", content=FILM).json()["groups"]
    expected = list(groups(grouped).values())
    for group in expected:
        del group["explanation"]
    assert said == expected


def test_a_groups_map_can_be_painted_and_tested_by_its_name(grouped: httpx.Client) -> None:
    png = {"accept": "image/png"}
    asked = "/v1/explain?class=abnormal&force=true"
    painted = grouped.post(asked, content=REFUSED_FILM, headers=png)
    assert painted.headers["explanation-class"] == "abnormal"
    assert painted.headers["explanation-status"] == "out_of_distribution_forced"
    tested = grouped.post(f"{asked}&faithfulness=true", content=FILM).json()["faithfulness"]
    assert tested["class_name"] == "abnormal"
    assert tested["probability"] == pytest.approx(groups(grouped)["abnormal"]["probability"])
    unknown = grouped.post("/v1/explain?class=mass", content=FILM)
    assert unknown.status_code == 422
    assert "abnormal, harmless" in unknown.json()["detail"]


def test_models_are_compared_in_the_groups_that_both_have(grouped: httpx.Client) -> None:
    answer = grouped.post("/v1/explain?model=all", content=FILM).json()
    agreed = {tuple(one["models"]): [] for one in answer["agreement"]}
    for one in answer["agreement"]:
        agreed[tuple(one["models"])].append(one["class_name"])
    assert agreed["tiny", "twin"] == [*CLASS_NAMES, *GROUPS]
    assert agreed["tiny", "without"] == list(CLASS_NAMES)


def test_the_audit_trail_keeps_them(grouped: httpx.Client) -> None:
    found = groups(grouped)
    row = grouped.get("/v1/audit?limit=1000").json()["rows"][-1]
    assert list(row["probabilities"]) == [*CLASS_NAMES, *GROUPS]
    for name, group in found.items():
        assert row["probabilities"][name] == group["probability"]
        assert row["decisions"][name] == group["decision"]


def test_a_row_of_a_batch_has_them(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "film.png").write_bytes(FILM)
    [row] = score_films(Explainer(folder / "tiny.onnx"), tmp_path, ["film.png"], batch_size=1)
    assert {name for name in row if "harmless" in name} == {
        "probability:harmless",
        "log_odds:harmless",
        "decision:harmless",
    }


def test_the_tensors_have_their_evidence_and_the_metadata_their_classes(
    grouped: httpx.Client,
) -> None:
    metadata = grouped.get("/v2/models/tiny").json()
    [shape] = [one["shape"] for one in metadata["outputs"] if one["name"] == "group_evidence"]
    assert shape == [-1, 2, 2, 4]
    said = json.loads(metadata["parameters"]["groups"])
    assert {one["name"]: tuple(one["class_names"]) for one in said} == GROUPS
    film = {"name": "pixels", "datatype": "FP32", "shape": [1, 1, 32, 48]}
    pixels = (quadrants([0.8, 0.2, 0.2, 0.4]) / 255).ravel().tolist()
    asked = {"inputs": [film | {"data": pixels}], "outputs": [{"name": "group_evidence"}]}
    [output] = grouped.post("/v2/models/tiny/infer", json=asked).json()["outputs"]
    expected = group_evidence(quadrants([0.8, 0.2, 0.2, 0.4])).ravel()
    np.testing.assert_allclose(output["data"], expected, atol=1e-5)
    assert "groups" not in grouped.get("/v2/models/without").json()["parameters"]


def test_of_a_model_with_sets_too_the_tensors_have_the_set_of_its_classes(
    grouped: httpx.Client,
) -> None:
    film = {"name": "pixels", "datatype": "FP32", "shape": [1, 1, 32, 48]}
    pixels = (quadrants([0.8, 0.2, 0.2, 0.4]) / 255).ravel().tolist()
    asked = {"inputs": [film | {"data": pixels}], "outputs": [{"name": "prediction_set"}]}
    [output] = grouped.post("/v2/models/sets/infer", json=asked).json()["outputs"]
    assert output["data"] == [True, False, True]


def test_the_client_reads_them(grouped: httpx.Client) -> None:
    with Client(str(grouped.base_url)) as client:
        answer = client.explain(FILM)
    assert [group.name for group in answer.groups] == list(GROUPS)
    assert answer.groups[0].explanation.evidence is not None


def test_the_dicom_report_has_them_and_the_map_is_on_their_scale(grouped: httpx.Client) -> None:
    answer = grouped.post("/v1/explain?class=abnormal", content=chest_film(), headers=DICOM)
    report, map_, _ = parts(answer)
    assert "harmless" in str(report)
    assert "abnormal" in str(map_)
    windows = [one.WindowWidth for one in map_.iterall() if hasattr(one, "WindowWidth")]
    assert f"{SCALE}" in str(map_) or SCALE in windows
