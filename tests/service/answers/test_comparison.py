"""`?model=all`: every model's answer about one film."""

from collections.abc import Iterator

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from tests.support.running_server import serving
from tests.support.tiny_model import CLASS_NAMES, FILM, REFUSED_FILM, write_model


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server of three models; `c` has another name for a class."""
    folder = tmp_path_factory.mktemp("three")
    for name in ("a", "b"):
        write_model(folder, name=name)
    write_model(folder, name="c", class_names=("normal", "pneumonia", "mass"))
    with serving(create_app(Settings(models=folder, own_models=False))) as client:
        yield client


def test_all_models_answer_side_by_side(three: httpx.Client):
    together = three.post("/v1/explain?model=all", content=FILM).json()
    alone = [three.post(f"/v1/explain?model={name}", content=FILM).json() for name in "abc"]
    assert together["models"] == alone


def test_equal_maps_agree(three: httpx.Client):
    agreement = three.post("/v1/explain?model=all", content=FILM).json()["agreement"]
    found = {(*one["models"], one["class_name"]): one for one in agreement}
    assert len(found) == 3 + 2 + 2  # classes that each two share
    assert found["a", "b", "pneumonia"]["rank_correlation"] == pytest.approx(1)
    assert found["a", "c", "normal"]["top_tenth_overlap"] == 1
    assert found["a", "b", "effusion"]["rank_correlation"] is None  # its map is zero
    assert ("a", "c", "mass") not in found


def test_a_refused_films_maps_agree_only_if_forced(three: httpx.Client):
    for query, known in (("", False), ("&force=true", True)):
        answer = three.post(f"/v1/explain?model=all{query}", content=REFUSED_FILM).json()
        pneumonia = next(one for one in answer["agreement"] if one["class_name"] == "pneumonia")
        assert (pneumonia["rank_correlation"] is not None) is known


def test_predictions_come_side_by_side_as_well(three: httpx.Client):
    answer = three.post("/v1/predict?model=all", content=FILM).json()
    assert [one["model"]["name"] for one in answer["models"]] == ["a", "b", "c"]
    assert list(answer) == ["models", "ensemble", "left_out"]


def test_there_is_no_picture_of_all_of_them(three: httpx.Client):
    answer = three.post("/v1/explain?model=all", content=FILM, headers={"accept": "image/png"})
    assert answer.status_code == 406


def test_a_class_must_be_known_to_all(three: httpx.Client):
    answer = three.post(f"/v1/explain?model=all&class={CLASS_NAMES[2]}", content=FILM)
    assert (answer.status_code, answer.json()["title"]) == (422, "Unknown class")
