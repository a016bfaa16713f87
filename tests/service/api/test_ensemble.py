"""The models' answer together can be asked for, alone or beside theirs."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.app import create_app
from service.inference.registry import Registry
from service.settings import Settings
from tests.support.running_server import serving
from tests.support.tiny_ensemble import NAMES, TEMPERATURE, write_ensemble
from tests.support.tiny_groups import GROUPS, write_group_model
from tests.support.tiny_model import CLASS_NAMES, FILM, REFUSED_FILM, write_model

POWERS = np.exp(np.array([0.4, -0.4, 0.0]) / TEMPERATURE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ensemble")
    write_ensemble(folder)
    return folder


@pytest.fixture(scope="module")
def together(folder: Path) -> Iterator[httpx.Client]:
    url = f"sqlite:///{folder}/audit.sqlite"
    settings = Settings(models=folder, own_models=False, audit_url=url)
    with serving(create_app(settings)) as client:
        yield client


def test_it_answers_as_a_model_does_at_its_own_thresholds(together: httpx.Client) -> None:
    answer = together.post("/v1/predict?model=ensemble", content=FILM).json()
    assert (answer["model"]["name"], answer["model"]["version"]) == ("ensemble", "3.0.0")
    found = {one["class_name"]: one for one in answer["findings"]}
    assert list(found) == list(CLASS_NAMES)
    probabilities = [one["probability"] for one in found.values()]
    assert probabilities == pytest.approx((POWERS / POWERS.sum()).tolist(), abs=1e-5)
    assert {one["threshold"] for one in found.values()} == {0.3}
    assert answer["predicted_class"] == "normal"
    assert [group["name"] for group in answer["groups"]] == list(GROUPS)
    assert (answer["distance"], answer["distance_threshold"]) == (pytest.approx(0.5, abs=0.01), 1)


def test_all_models_say_it_beside_their_own_answers(together: httpx.Client) -> None:
    alone = together.post("/v1/predict?model=ensemble", content=FILM).json()
    for verb in ("predict", "explain"):
        answer = together.post(f"/v1/{verb}?model=all", content=FILM).json()
        assert [one["model"]["name"] for one in answer["models"]] == list(NAMES)
        assert answer["ensemble"] == alone


def test_a_film_that_a_member_refuses_is_not_decided(together: httpx.Client) -> None:
    answer = together.post("/v1/predict?model=ensemble", content=REFUSED_FILM).json()
    assert answer["refusals"] == ["distance"]
    assert {one["decision"] for one in (*answer["findings"], *answer["groups"])} == {None}


def test_it_has_no_map_and_says_where_there_are_some(together: httpx.Client) -> None:
    for path in ("/v1/explain?model=ensemble", "/v1/batch?model=ensemble&explain=true"):
        problem = together.post(path, content=FILM)
        assert problem.status_code == 422
        assert problem.json()["type"].endswith(":no-map")
        assert "?model=all" in problem.json()["detail"]


def test_the_list_of_models_says_what_it_is_made_of_and_how_it_decides(
    together: httpx.Client, folder: Path
) -> None:
    found = together.get("/v1/models").json()
    assert [model["name"] for model in found["models"]] == list(NAMES)
    said = found["ensemble"]
    own = json.loads((folder / "ensemble.json").read_text())
    assert {key: said[key] for key in own} == own
    assert [member["name"] for member in said["members"]] == list(NAMES)
    assert (said["name"], said["class_names"]) == ("ensemble", list(CLASS_NAMES))
    answer = together.post("/v1/predict?model=ensemble", content=FILM).json()
    assert said["sha256"] == answer["model"]["sha256"]


@pytest.mark.parametrize("path", ["/v1/models/ensemble", "/v2/models/ensemble"])
def test_where_only_a_model_can_be_asked_it_is_refused_by_name(
    together: httpx.Client, path: str
) -> None:
    problem = together.get(path)
    assert problem.status_code == 404
    said = problem.text
    assert "The ensemble is no model" in said
    assert "/v1/predict?model=ensemble" in said


def test_it_answers_batches(together: httpx.Client) -> None:
    files = [("file", FILM), ("file", REFUSED_FILM)]
    lines = together.post("/v1/batch?model=ensemble", files=files).text.splitlines()
    names = [json.loads(line)["answer"]["model"]["name"] for line in lines]
    assert names == ["ensemble"] * 2


def test_its_answer_is_kept_beside_those_of_its_members(together: httpx.Client) -> None:
    answer = together.post("/v1/predict?model=ensemble", content=FILM).json()
    rows = together.get("/v1/audit?limit=1000").json()["rows"][-3:]
    assert {row["model"] for row in rows[:2]} == set(NAMES)
    assert (rows[2]["model"], rows[2]["model_sha256"]) == ("ensemble", answer["model"]["sha256"])
    assert rows[2]["refusals"] == []


def test_without_its_file_or_with_other_models_there_is_none(tmp_path: Path) -> None:
    write_ensemble(tmp_path)
    write_group_model(tmp_path, name="other", version="2.0.0")
    with serving(create_app(Settings(models=tmp_path, own_models=False))) as client:
        problem = client.post("/v1/predict?model=ensemble", content=FILM)
        assert problem.status_code == 404
        assert "no ensemble" in problem.json()["detail"]
        assert client.get("/v1/models").json()["ensemble"] is None
        assert "The models here are" in client.get("/v1/models/ensemble").text
        assert client.post("/v1/predict?model=all", content=FILM).json()["ensemble"] is None


def test_without_one_of_its_members_there_is_none(tmp_path: Path) -> None:
    write_ensemble(tmp_path)
    app = create_app(Settings(models=tmp_path, own_models=False))
    with serving(app) as client:
        app.state.engine.registry.explainer(NAMES[1]).fault = "it was found to be unsound"
        problem = client.post("/v1/predict?model=ensemble", content=FILM)
        assert (problem.status_code, problem.json()["title"]) == (500, "Unsound model")
        answer = client.post("/v1/predict?model=all", content=FILM).json()
        assert answer["ensemble"] is None
        assert [one["name"] for one in answer["left_out"]] == [NAMES[1]]


def test_no_model_may_bear_its_name(tmp_path: Path) -> None:
    model = write_model(tmp_path, name="ensemble")
    with pytest.raises(ValueError, match="no model may be called 'ensemble'"):
        Registry(Settings(models=model, own_models=False))
