"""A film acquired in a way that training never saw is refused with that reason, whoever asks."""

import io
from pathlib import Path

import httpx
import pytest
import torch
from PIL import Image, ImageFilter

from models.card import Histogram
from models.radiograph import read_radiograph
from service.answers.film_answer import answer_film
from service.audit.rows import audit_row
from service.batch.scoring import score_films
from tests.service.api.test_open_inference import json_films
from tests.support.lung_model import LUNGS, film_file, write_lung_model
from tests.support.lung_networks import films
from training.evaluation.refusal import reaction
from xai.explainer import Explainer

pytestmark = pytest.mark.slow

JSON = {"Accept": "application/json"}


def smoothed(film: bytes) -> bytes:
    """Return the film as another machine might have made it: without its fine grain."""
    file = io.BytesIO()
    Image.open(io.BytesIO(film)).filter(ImageFilter.GaussianBlur(3)).save(file, "PNG")
    return file.getvalue()


NOVEL = smoothed(LUNGS)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model that knows the acquisition of drawn films, and films of its kind pass."""
    folder = tmp_path_factory.mktemp("novelty")
    known = films(40).float()
    return write_lung_model(
        folder,
        known=known[:30],
        novelty_threshold=6.0,
        novelty_histogram=Histogram(edges=(0, 2, 4), counts=(8, 2)),
    )


def test_the_file_answers_as_pytorch_does(explainer: Explainer) -> None:
    limit = explainer.card.novelty_threshold
    assert limit is not None
    drawn = films(40).float()
    novelty = explainer(drawn.numpy()).novelty
    assert novelty is not None
    assert (novelty[:30] < 0.05).all()
    assert (novelty[30:] < limit).all()


def test_a_film_acquired_like_others_is_answered(client: httpx.Client) -> None:
    said = client.post("/v1/explain", content=LUNGS, headers=JSON).json()
    assert (said["in_distribution"], said["refusals"]) == (True, [])
    assert said["novelty"] < said["novelty_threshold"] == 6.0


def test_a_film_acquired_otherwise_is_refused(client: httpx.Client) -> None:
    said = client.post("/v1/explain", content=NOVEL, headers=JSON).json()
    assert (said["in_distribution"], said["refusals"]) == (False, ["novelty"])
    assert said["novelty"] > said["novelty_threshold"]
    for finding in said["findings"]:
        assert finding["decision"] is None
        assert finding["explanation"]["status"] == "out_of_distribution"
        assert finding["explanation"]["evidence"] is None


def test_it_is_explained_on_demand(client: httpx.Client) -> None:
    said = client.post("/v1/explain?force=true", content=NOVEL, headers=JSON).json()
    assert said["refusals"] == ["novelty"]
    assert all(finding["explanation"]["evidence"] for finding in said["findings"])


def test_the_overlay_is_refused_with_the_figure_and_its_limit(client: httpx.Client) -> None:
    answer = client.post("/v1/explain", content=NOVEL, headers={"Accept": "image/png"})
    assert answer.status_code == 409
    detail = answer.json()["detail"]
    assert detail.startswith("It was acquired in a way that training never saw: its novelty is ")
    assert "the model's limit is 6. Ask for JSON" in detail


def test_the_reason_is_counted_and_novelties_stand_beside_the_card_s(client: httpx.Client) -> None:
    client.post("/v1/predict", content=NOVEL)
    lines = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines())
    assert float(lines['cxr_refusals_total{model="lungs",reason="novelty"}']) >= 1
    assert float(lines['cxr_novelty_bucket{le="+Inf",model="lungs"}']) >= 1
    assert lines['cxr_expected_novelty{at_most="2.0",model="lungs"}'] == "8.0"


def test_open_inference_tells_it(client: httpx.Client) -> None:
    body = {"inputs": [json_films(LUNGS, NOVEL)]}
    answer = client.post("/v2/models/lungs/infer", json=body).json()
    data = {one["name"]: (one["shape"], one["data"]) for one in answer["outputs"]}
    assert data["in_distribution"] == ([2], [True, False])
    assert data["refusals"] == ([2, 3], [False, False, False, False, False, True])
    (shape, (known, novel)) = data["novelty"]
    assert shape == [2]
    assert known < answer["parameters"]["novelty_threshold"] < novel


def test_a_batch_the_audit_trail_and_the_measures_tell_it(
    explainer: Explainer, tmp_path: Path
) -> None:
    (tmp_path / "novel.png").write_bytes(NOVEL)
    [row] = score_films(explainer, tmp_path, ["novel.png"], batch_size=4)
    assert (row["in_distribution"], row["refusals"]) == (False, ["novelty"])
    answers = answer_film(explainer, NOVEL).answers
    about = {"verb": "infer", "request_id": "r1", "key_id": None, "film_sha256": 64 * "b"}
    kept = audit_row(explainer, answers, **about)
    assert kept.refusals == ["novelty"]
    assert kept.novelty == row["novelty"] == answers.novelty_of(0)
    measured = reaction(explainer, read_radiograph(NOVEL), "film")
    assert (measured.outcome, measured.refusals) == ("refused", ("novelty",))
    assert measured.novelty == kept.novelty


def test_a_model_without_a_limit_refuses_no_film_for_its_acquisition(explainer: Explainer) -> None:
    card = explainer.card.model_copy(update={"novelty_threshold": None})
    assert answer_film(explainer, NOVEL).answers.refusals(card) == [()]


def test_a_mirrored_film_is_as_novel(explainer: Explainer) -> None:
    film = films(1)[0, 0]
    novelties = [
        answer_film(explainer, film_file(one)).novelty for one in (film, torch.fliplr(film))
    ]
    assert novelties[1] == pytest.approx(novelties[0], abs=0.5)
