"""Where a covered patch changes a map, that map is drawn: on drawn films and on real ones."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.registration import of_file, of_random_weights, offsets, own_cells
from models.card import CellCentres, ModelCard
from models.radiograph import Radiograph, read_radiograph
from service.settings import OWN_MODELS
from training.data.phantom import draw_film
from xai.explainer import Explainer

pytestmark = pytest.mark.slow

FILMS = 6


@pytest.fixture(scope="module")
def chest_cnn() -> Explainer:
    return Explainer(OWN_MODELS / "chest_cnn.onnx")


@pytest.fixture
def drawn_films() -> list[Radiograph]:
    films = (draw_film("opacity", seed=seed).pixels for seed in range(FILMS))
    return [Radiograph(film / np.float32(255), "png") for film in films]


@pytest.fixture
def real_films(shared: Path) -> list[Radiograph]:
    files = sorted((shared / "data/localisation/images").iterdir())[:: 160 // FILMS][:FILMS]
    return [read_radiograph(file.read_bytes()) for file in files]


@pytest.fixture(scope="module")
def whole_film_card(chest_cnn: Explainer) -> ModelCard:
    """The card of a chest_cnn that sees the whole film, whose cells do not fill it evenly."""
    changes = {
        **{"lungs": None, "receptive_field": None, "image_size": (224, 224)},
        **{"activation_grid": (14, 14), "target_layer": "stages.3"},
        "cell_centres": CellCentres(origin=(0.5, 0.5), step=(16, 16)),
    }
    return chest_cnn.card.model_copy(update=changes)


@pytest.mark.parametrize("kind", ["drawn_films", "real_films"])
def test_a_network_that_learnt_nothing_is_drawn_where_a_patch_was(
    whole_film_card: ModelCard, kind: str, request: pytest.FixtureRequest
) -> None:
    card, films = whole_film_card, request.getfixturevalue(kind)
    placings = (None, card.cell_centres)
    found = [
        offsets(of_random_weights(card, seed), card, film, placings)
        for seed, film in enumerate(films)
    ]
    even, own = np.mean(found, axis=(0, 2))
    assert np.hypot(*own) < 2
    assert even.min() > 5


def test_on_real_films_the_model_in_the_box_is_drawn_nearer_to_the_patch_than_with_even_cells(
    chest_cnn: Explainer, real_films: list[Radiograph]
) -> None:
    found = [
        offsets(of_file(chest_cnn), chest_cnn.card, film, (None, own_cells(chest_cnn, film)))
        for film in real_films
    ]
    even, own = np.concatenate(found, axis=1)
    assert np.hypot(*own.T).mean() < 0.75 * np.hypot(*even.T).mean()
    assert np.abs(np.median(own, axis=0)).max() < 16 / 3
