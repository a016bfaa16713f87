"""The story of a network that sees only the lungs: tempted by a marker, it finds the opacity.

Every film with an opacity that it learns from bears a letter in its corner, and no other film does.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Bool
from starlette.testclient import TestClient
from torch.nn.functional import adaptive_max_pool2d

import cxr
from benchmarks.corner_marker import (
    COLUMNS,
    UNSEEN,
    larger_lungs_middle,
    swapped_lungs,
    write_marked_films,
)
from models.card import ModelCard
from models.lungs.region import cropped
from models.radiograph import Radiograph
from service.app import create_app
from service.settings import Settings
from tests.test_story import explained, hottest_pixel
from training.data.dataset import seen_by
from training.data.phantom import PhantomFilm, draw_film
from xai.explainer import Answers, Explainer

pytestmark = pytest.mark.slow

RECIPE = Path(__file__).parents[1] / "training/configs/phantom_lungs.toml"
PATIENTS = range(UNSEEN, UNSEEN + 20)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the recipe's network, learnt and exported."""
    folder = tmp_path_factory.mktemp("lungs")
    manifest = write_marked_films(folder / "phantom", patients=40)
    config = folder / "config.toml"
    config.write_text(RECIPE.read_text().replace("artifacts/phantom/manifest.csv", str(manifest)))
    assert cxr.main(["train", str(config), "--run", str(folder / "run")]) == 0
    assert cxr.main(["export", str(folder / "run"), "-o", str(folder / "lungs.onnx")]) == 0
    return folder / "lungs.onnx"


@pytest.fixture(scope="module")
def client(model: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(models=model, own_models=False))) as client:
        yield client


def ill_film(patient: int) -> PhantomFilm:
    """Return a film with an opacity, and without the marker."""
    return draw_film("opacity", seed=patient, columns=COLUMNS)


def test_the_server_finds_the_opacity_where_the_middle_of_the_lung_does_not(
    client: TestClient,
) -> None:
    hits, middles = [], []
    for patient in PATIENTS:
        film = ill_film(patient)
        answer = explained(client, film.pixels)
        column, row = hottest_pixel(answer, "opacity")
        hits.append(film.mask[int(row), int(column)])
        middles.append(film.mask[larger_lungs_middle(film.lungs)])
    assert np.mean(hits) >= 0.9
    assert np.mean(middles) <= 0.5


def test_evidence_is_exactly_0_outside_the_lungs_and_not_inside(
    client: TestClient, model: Path
) -> None:
    explainer = Explainer(model)
    for patient in PATIENTS[:5]:
        film = ill_film(patient)
        seen = seen_by(explainer.card, Radiograph(film.pixels / np.float32(255), "png"))
        outside = without_lung(explainer.card, explainer(seen.pixels[None, None]))
        assert 0.1 < outside.mean() < 0.6
        for finding in explained(client, film.pixels)["findings"]:
            evidence = np.array(finding["explanation"]["evidence"])
            assert np.all(evidence[outside] == 0)
            assert np.all(evidence[~outside] != 0)


def without_lung(card: ModelCard, answers: Answers) -> Bool[np.ndarray, "grid_rows grid_columns"]:
    """Return the cells of a film's map in which no lung was found."""
    assert card.lungs
    lungs, region = (torch.from_numpy(answers.outputs()[name]) for name in ("lungs", "region"))
    inside = cropped(lungs[:, None], region, card.lungs.size)
    return adaptive_max_pool2d(inside, card.activation_grid)[0, 0].numpy() == 0


def test_the_class_follows_the_lungs_and_not_the_frame(model: Path) -> None:
    found = swapped_lungs(model, PATIENTS)
    assert found.opacity.low > 0.9
    assert found.marker.low > 0.45
    assert found.marker.high < 0.55
    assert found.marker_shift < 0.02 * found.opacity_shift
