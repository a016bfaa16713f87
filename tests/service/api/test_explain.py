import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import cxr
from service.app import create_app
from service.settings import Settings
from tests.support.running_server import serving
from tests.support.tiny_lungs import write_lung_model
from tests.support.tiny_model import CLASS_NAMES, FILM, REFUSED_FILM, evidence, picture, quadrants

PNG = {"accept": "image/png"}


def explanations(client: httpx.Client, film: bytes, query: str = "") -> dict[str, dict]:
    answer = client.post(f"/v1/explain{query}", files={"file": film}).json()
    return {finding["class_name"]: finding["explanation"] for finding in answer["findings"]}


def colours(answer: httpx.Response) -> NDArray[np.int16]:
    """Return how far each pixel of a PNG answer is from grey."""
    picture = np.asarray(Image.open(io.BytesIO(answer.content))).astype(np.int16)
    return picture.max(axis=2) - picture.min(axis=2)


def test_evidence_is_that_worked_out_by_hand(client: httpx.Client):
    expected = evidence(quadrants([0.8, 0.2, 0.2, 0.4]))
    found = explanations(client, FILM)
    for index, class_name in enumerate(CLASS_NAMES):
        np.testing.assert_allclose(found[class_name]["evidence"], expected[index], atol=1e-5)
    assert found["normal"]["method"] == "grad_cam"
    assert found["normal"]["target_layer"] == "stages.3"


def test_each_class_has_its_own_status(client: httpx.Client):
    found = explanations(client, FILM)
    assert {name: explanation["status"] for name, explanation in found.items()} == {
        "normal": "below_threshold",
        "pneumonia": "ok",
        "effusion": "no_positive_evidence",
    }


def test_explain_says_all_that_predict_says(client: httpx.Client):
    explained = client.post("/v1/explain", content=FILM).json()
    assert explained.pop("faithfulness") is None
    assert explained.pop("lung_outline") is None
    for finding in explained["findings"]:
        del finding["explanation"]
    assert explained == client.post("/v1/predict", content=FILM).json()


def test_the_affine_leads_to_the_films_own_pixels(client: httpx.Client):
    large = picture(quadrants([0.8, 0.2, 0.2, 0.4], size=(320, 960)))
    a, b, c, d, e, f = explanations(client, large)["pneumonia"]["affine"]
    assert (b, d) == (0, 0)
    assert (4 * a + c, 2 * e + f) == pytest.approx((960, 320))
    assert (c, f) == pytest.approx((0, 0))


def test_the_extent_is_the_part_of_the_film_that_the_model_saw(client: httpx.Client):
    inner = quadrants([0.8, 0.2, 0.2, 0.4], size=(320, 960))
    bordered = picture(np.pad(inner, ((30, 10), (20, 40))))
    extent = explanations(client, bordered)["pneumonia"]["extent"]
    assert extent == pytest.approx([20, 30, 980, 350])


def test_a_refused_film_has_no_evidence(client: httpx.Client):
    for explanation in explanations(client, REFUSED_FILM).values():
        assert explanation["status"] == "out_of_distribution"
        assert explanation["evidence"] is None
        assert len(explanation["affine"]) == 6


def test_force_explains_a_refused_film_but_decides_nothing(client: httpx.Client):
    answer = client.post("/v1/explain?force=true", content=REFUSED_FILM).json()
    statuses = [finding["explanation"]["status"] for finding in answer["findings"]]
    assert statuses == ["out_of_distribution_forced"] * 3
    assert all(finding["explanation"]["evidence"] for finding in answer["findings"])
    assert [finding["decision"] for finding in answer["findings"]] == [None] * 3


def test_the_overlay_has_the_films_own_size(client: httpx.Client):
    large = picture(quadrants([0.8, 0.2, 0.2, 0.4], size=(320, 960)))
    answer = client.post("/v1/explain?class=pneumonia", content=large, headers=PNG)
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).size == (960, 320)


def test_the_overlay_is_coloured_where_the_evidence_is(client: httpx.Client):
    answer = client.post("/v1/explain?class=pneumonia", content=FILM, headers=PNG)
    assert answer.headers["explanation-status"] == "ok"
    coloured = colours(answer)
    assert coloured[:10, :16].min() > 30
    assert coloured[24:].max() == 0


@pytest.mark.parametrize(
    ("class_name", "status"),
    [("normal", "below_threshold"), ("effusion", "no_positive_evidence")],
)
def test_a_class_without_ok_comes_uncoloured(client: httpx.Client, class_name, status):
    answer = client.post(f"/v1/explain?class={class_name}", content=FILM, headers=PNG)
    assert answer.headers["explanation-status"] == status
    assert colours(answer).max() == 0


def test_the_overlay_shows_the_predicted_class_unless_told(client: httpx.Client):
    answer = client.post("/v1/explain", content=FILM, headers=PNG)
    assert answer.headers["explanation-class"] == "normal"


def test_a_refused_film_has_no_overlay(client: httpx.Client):
    problem = client.post("/v1/explain", content=REFUSED_FILM, headers=PNG)
    assert problem.status_code == 409
    assert problem.headers["vary"] == "Accept"
    assert problem.json()["type"].endswith(":film-refused")
    assert "force=true" in problem.json()["detail"]


def test_force_paints_a_refused_film(client: httpx.Client):
    answer = client.post(
        "/v1/explain?class=pneumonia&force=true", content=REFUSED_FILM, headers=PNG
    )
    assert answer.status_code == 200
    assert colours(answer).max() > 30


@pytest.mark.parametrize("accept", ["image/png", "application/json"])
def test_an_unknown_class_is_a_422_that_names_the_known_ones(client: httpx.Client, accept):
    problem = client.post("/v1/explain?class=broken_rib", content=FILM, headers={"accept": accept})
    assert problem.status_code == 422
    assert "normal, pneumonia, effusion" in problem.json()["detail"]


@pytest.mark.parametrize("accept", ["image/png", "application/json"])
def test_answers_say_that_they_vary_with_accept(client: httpx.Client, accept):
    answer = client.post("/v1/explain", content=FILM, headers={"accept": accept})
    assert answer.headers["vary"] == "Accept"
    assert answer.headers["content-type"] == accept


def test_an_answer_in_no_media_type_asked_for_is_a_406(client: httpx.Client):
    problem = client.post("/v1/explain", content=FILM, headers={"accept": "text/html"})
    assert problem.status_code == 406
    assert "application/json or image/png" in problem.json()["detail"]


@pytest.mark.parametrize("film", [b"no film", REFUSED_FILM])
def test_the_command_names_the_film_it_cannot_explain(model_file, tmp_path: Path, capsys, film):
    path, overlay = tmp_path / "film.png", tmp_path / "overlay.png"
    path.write_bytes(film)
    assert cxr.main(["explain", str(path), "-o", str(overlay), "--model", str(model_file)]) == 1
    assert capsys.readouterr().err.startswith(f"cxr explain: {path}: ")
    assert not overlay.exists()


@pytest.fixture(scope="module")
def lung_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lung_model(tmp_path_factory.mktemp("lungs"))


@pytest.fixture(scope="module")
def lung_client(lung_model: Path) -> Iterator[httpx.Client]:
    with serving(create_app(Settings(models=lung_model, own_models=False))) as client:
        yield client


def painted(client: httpx.Client, query: str = "") -> NDArray[np.int16]:
    large = picture(quadrants([0.8, 0.2, 0.2, 0.4], size=(320, 480)))
    answer = client.post(f"/v1/explain?class=pneumonia{query}", content=large, headers=PNG)
    return np.asarray(Image.open(io.BytesIO(answer.content))).astype(np.int16)


def test_the_outline_of_the_lungs_is_drawn_on_demand(lung_client: httpx.Client):
    plain, outlined = painted(lung_client), painted(lung_client, "&outline=true")
    changed = (plain != outlined).any(axis=-1)
    assert 0.005 < changed.mean() < 0.1
    assert (outlined[changed] == 255).all(axis=-1).any()
    assert (outlined[changed] == 0).all(axis=-1).any()


def test_where_the_whole_film_is_seen_there_is_no_outline_to_draw(client: httpx.Client):
    assert np.array_equal(painted(client), painted(client, "&outline=true"))


def test_the_outline_of_the_answer_is_that_of_the_overlay(lung_client: httpx.Client):
    large = picture(quadrants([0.8, 0.2, 0.2, 0.4], size=(320, 480)))
    rings = lung_client.post("/v1/explain", content=large).json()["lung_outline"]
    x, y = np.concatenate([np.array(ring) for ring in rings]).T
    rows, columns = np.nonzero(
        (painted(lung_client) != painted(lung_client, "&outline=true"))[..., 0]
    )
    assert (columns.min(), columns.max()) == pytest.approx((x.min(), x.max()), abs=3)
    assert (rows.min(), rows.max()) == pytest.approx((y.min(), y.max()), abs=3)


def test_the_command_draws_the_outline_on_demand(lung_model: Path, tmp_path: Path):
    (tmp_path / "film.png").write_bytes(FILM)
    asked = ["explain", str(tmp_path / "film.png"), "--model", str(lung_model)]
    for name, more in (("plain", []), ("outlined", ["--outline"])):
        assert cxr.main([*asked, "-o", str(tmp_path / f"{name}.png"), *more]) == 0
    plain, outlined = (Image.open(tmp_path / f"{name}.png") for name in ("plain", "outlined"))
    assert (np.asarray(plain) != np.asarray(outlined)).any()
