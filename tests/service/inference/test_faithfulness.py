"""The test of one answer's map, asked of a real server."""

import io
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image

from service.client import Client
from service.inference.faithfulness import sentence
from tests.support.tiny_model import FILM, REFUSED_FILM
from tests.support.waiting import wait_until
from xai.explainer import Explainer, Floats
from xai.measures.faithfulness import TenthTest, tenth_films, tenth_test

PNEUMONIA = 1


def asked_test(client: httpx.Client, query: str = "&class=pneumonia", film: bytes = FILM) -> Any:
    answer = client.post(f"/v1/explain?faithfulness=true{query}", content=film)
    assert answer.status_code == 200, answer.text
    return answer.json()["faithfulness"]


def offline(app: FastAPI) -> TenthTest:
    """Return the test as `cxr faithfulness` makes it."""
    explainer = app.state.engine.registry.explainer(None)
    pixels = np.asarray(Image.open(io.BytesIO(FILM)), np.float32) / 255
    answers = explainer(pixels[None, None])
    films = tenth_films(pixels, answers.evidence[0, PNEUMONIA], explainer.card.cell_centres)
    found = explainer(films).probabilities[:, PNEUMONIA]
    return tenth_test(float(answers.probabilities[0, PNEUMONIA]), found)


def test_the_figures_are_the_offline_ones(client: httpx.Client, app: FastAPI):
    found, expected = asked_test(client), offline(app)
    assert found["probability_masked"] == pytest.approx(expected.masked, abs=1e-6)
    assert found["probability_elsewhere"] == pytest.approx(expected.mean_elsewhere, abs=1e-6)
    assert found["gap"] == pytest.approx(expected.gap, abs=1e-6)
    assert found["verdict"] == expected.verdict
    assert found["sentence"] == sentence("pneumonia", expected)


def test_masking_what_is_hot_costs_more_than_masking_elsewhere(client: httpx.Client):
    found = asked_test(client)
    assert found["probability_masked"] < found["probability_elsewhere"] <= found["probability"]
    assert found["random_masks"] == 24


def test_the_foremost_class_is_tested_unless_another_is_named(client: httpx.Client):
    assert asked_test(client, "")["class_name"] == "normal"
    assert asked_test(client)["class_name"] == "pneumonia"


def test_nobody_pays_for_a_test_that_was_not_asked_for(client: httpx.Client):
    assert client.post("/v1/explain", content=FILM).json()["faithfulness"] is None


def test_a_refused_film_is_not_tested_and_the_sentence_says_why(client: httpx.Client):
    found = asked_test(client, film=REFUSED_FILM)
    assert (found["verdict"], found["gap"]) == ("not_tested", None)
    assert "unlike the training films" in found["sentence"]
    assert asked_test(client, "&class=pneumonia&force=true", REFUSED_FILM)["gap"] is not None


def test_where_nothing_argues_there_is_nothing_to_mask(client: httpx.Client):
    found = asked_test(client, "&class=effusion")
    assert found["verdict"] == "not_tested"
    assert found["sentence"] == "No position argues for effusion, so that there is nothing to mask."


def test_a_test_runs_25_films_in_one_batch_through_the_queue(
    client: httpx.Client, app: FastAPI, monkeypatch: pytest.MonkeyPatch
):
    engine, asked = app.state.engine, []
    infer = engine.infer

    async def counted(explainer: Explainer, pixels: Floats) -> Any:
        asked.append((len(pixels), engine.admission.taken("tiny")))
        return await infer(explainer, pixels)

    monkeypatch.setattr(engine, "infer", counted)
    asked_test(client)
    assert asked == [(1, 26), (25, 26)]
    wait_until(lambda: not engine.admission.taken("tiny"), 60)


def test_there_is_no_picture_of_a_test(client: httpx.Client):
    headers = {"accept": "image/png"}
    answer = client.post("/v1/explain?faithfulness=true", content=FILM, headers=headers)
    assert answer.status_code == 406


def test_every_model_can_be_tested_at_once(client: httpx.Client):
    answer = client.post("/v1/explain?faithfulness=true&model=all", content=FILM).json()
    tests = [one["faithfulness"] for one in answer.get("models", [answer])]
    assert all(test["gap"] is not None for test in tests)


def test_the_client_asks_for_a_test(client: httpx.Client):
    with Client(str(client.base_url)) as server:
        answer = server.explain(FILM, faithfulness=True, class_name="pneumonia")
        assert answer.faithfulness is not None
        assert answer.faithfulness.model_dump() == asked_test(client)
        assert server.explain(FILM).faithfulness is None
