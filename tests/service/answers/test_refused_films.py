"""A film without plausible lungs is refused with that reason, whoever asks."""

from pathlib import Path

import httpx
import pytest

from models.radiograph import read_radiograph
from service.answers.film_answer import answer_film
from service.audit.rows import audit_row
from service.batch.scoring import score_films
from tests.service.api.test_open_inference import json_films
from tests.support.drawn_lungs import MASK
from tests.support.lung_model import CLASS_NAMES, LUNGS, WITHOUT_LUNGS, write_lung_model
from tests.support.lung_networks import FILM
from training.evaluation.refusal import reaction
from xai.explainer import Explainer

pytestmark = pytest.mark.slow

WITHOUT = pytest.mark.parametrize("film", WITHOUT_LUNGS.values(), ids=WITHOUT_LUNGS.keys())
JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lung_model(tmp_path_factory.mktemp("lungs"))


def test_a_film_with_lungs_is_answered(client: httpx.Client) -> None:
    said = client.post("/v1/explain", content=LUNGS, headers=JSON).json()
    assert (said["in_distribution"], said["refusals"]) == (True, [])
    assert all(finding["decision"] is not None for finding in said["findings"])


@WITHOUT
def test_a_film_without_lungs_is_refused(client: httpx.Client, film: bytes) -> None:
    said = client.post("/v1/explain", content=film, headers=JSON).json()
    assert (said["in_distribution"], said["refusals"]) == (False, ["lungs"])
    assert said["distance"] < said["distance_threshold"]
    for finding in said["findings"]:
        assert finding["decision"] is None
        assert finding["explanation"]["status"] == "out_of_distribution"
        assert finding["explanation"]["evidence"] is None


@WITHOUT
def test_the_overlay_is_refused_with_the_figure_and_its_limit(
    client: httpx.Client, explainer: Explainer, film: bytes
) -> None:
    answer = client.post("/v1/explain", content=film, headers={"Accept": "image/png"})
    assert answer.status_code == 409
    detail = answer.json()["detail"]
    assert detail.startswith("No plausible lungs: ")
    limits = explainer.card.lung_limits
    assert limits is not None
    assert any(f"{limit:.2g}" in detail for limit in (*limits.area, limits.balance))


def test_the_reason_is_counted(client: httpx.Client) -> None:
    client.post("/v1/predict", content=WITHOUT_LUNGS["blank"])
    lines = client.get("/metrics").text.splitlines()
    name = 'cxr_refusals_total{model="lungs",reason="lungs"} '
    assert any(line.startswith(name) and float(line.split()[1]) >= 1 for line in lines)


def test_open_inference_tells_the_lungs_and_the_reasons(client: httpx.Client) -> None:
    metadata = client.get("/v2/models/lungs").json()
    shapes = {one["name"]: one["shape"] for one in metadata["inputs"] + metadata["outputs"]}
    assert shapes["pixels"] == [-1, 1, *FILM]
    assert shapes["lungs"] == [-1, *MASK]
    assert (shapes["region"], shapes["lung_figures"]) == ([-1, 4], [-1, 3])
    assert metadata["parameters"]["refusals"] == '["lungs", "distance", "novelty"]'
    assert shapes["refusals"] == [-1, 3]
    assert shapes["novelty"] == [-1]


@WITHOUT
def test_open_inference_tells_why_a_film_is_refused(client: httpx.Client, film: bytes) -> None:
    body = {"inputs": [json_films(LUNGS, film)]}
    outputs = client.post("/v2/models/lungs/infer", json=body).json()["outputs"]
    data = {one["name"]: (one["shape"], one["data"]) for one in outputs}
    assert data["in_distribution"] == ([2], [True, False])
    assert data["refusals"] == ([2, 3], [False, False, False, True, False, False])
    assert data["lungs"][0] == [2, *MASK]
    assert data["region"][0] == [2, 4]
    assert data["lung_figures"][0] == [2, 3]


def test_a_batch_tells_it(explainer: Explainer, tmp_path: Path) -> None:
    films = {"lungs.png": LUNGS} | {f"{name}.png": film for name, film in WITHOUT_LUNGS.items()}
    for name, film in films.items():
        (tmp_path / name).write_bytes(film)
    rows = score_films(explainer, tmp_path, list(films), batch_size=4)
    assert [row["in_distribution"] for row in rows] == [True, False, False, False]
    assert [row["refusals"] for row in rows] == [[], ["lungs"], ["lungs"], ["lungs"]]
    assert {row[f"decision:{CLASS_NAMES[0]}"] for row in rows[1:]} == {None}


@WITHOUT
def test_the_audit_trail_and_the_measures_tell_it(explainer: Explainer, film: bytes) -> None:
    answers = answer_film(explainer, film).answers
    about = {"verb": "infer", "request_id": "r1", "key_id": None, "film_sha256": 64 * "b"}
    kept = audit_row(explainer, answers, **about)
    assert (kept.in_distribution, kept.refusals) == (False, ["lungs"])
    assert set(kept.decisions.values()) == {None}
    measured = reaction(explainer, read_radiograph(film), "film")
    assert (measured.outcome, measured.refusals) == ("refused", ("lungs",))


def test_a_model_without_limits_refuses_nothing_for_its_lungs(explainer: Explainer) -> None:
    card = explainer.card.model_copy(update={"lung_limits": None})
    answers = answer_film(explainer, WITHOUT_LUNGS["blank"]).answers
    assert answers.refusals(card) == [()]
