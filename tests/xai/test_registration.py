"""Where a covered patch changes a map, that map is drawn: on drawn films and on real ones."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.registration import of_file, of_random_weights, offsets
from models.card import CellCentres, ModelCard
from models.radiograph import Radiograph, read_radiograph
from service.settings import OWN_MODELS
from training.data.phantom import draw_film
from xai.explainer import Explainer

pytestmark = pytest.mark.slow

FILMS = 6
Placings = Sequence[CellCentres | None]


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


def mean_offsets(card: ModelCard, films: Sequence[Radiograph], network_of: Callable) -> np.ndarray:
    """Return the mean offset with even cells, and with those of the card; to the right and down."""
    placings = (None, card.cell_centres)
    found = [offsets(network_of(seed), card, film, placings) for seed, film in enumerate(films)]
    return np.mean(found, axis=(0, 2))


@pytest.mark.parametrize("kind", ["drawn_films", "real_films"])
def test_a_network_that_learnt_nothing_is_drawn_where_a_patch_was(
    chest_cnn: Explainer, kind: str, request: pytest.FixtureRequest
) -> None:
    card, films = chest_cnn.card, request.getfixturevalue(kind)
    even, own = mean_offsets(card, films, lambda seed: of_random_weights(card, seed))
    assert np.hypot(*own) < 2
    assert even.min() > 5


def test_on_real_films_the_model_in_the_box_is_drawn_nearer_to_the_patch_than_with_even_cells(
    chest_cnn: Explainer, real_films: list[Radiograph]
) -> None:
    even, own = mean_offsets(chest_cnn.card, real_films, lambda seed: of_file(chest_cnn))
    assert np.hypot(*own) < np.hypot(*even)
    assert np.abs(own).max() < 16 / 3  # a third of a cell; it has learnt to look downwards
