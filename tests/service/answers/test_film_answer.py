"""Where an answer's map lies follows the model's card."""

from pathlib import Path

import numpy as np
import pytest

from models.card import CellCentres
from service.answers.film_answer import FilmAnswer, answer_film
from tests.support.tiny_model import picture, quadrants, write_model
from xai.explainer import Explainer

FILM = picture(np.pad(quadrants([0.8, 0.2, 0.2, 0.4]), ((4, 0), (6, 0))))
"""Four and six black pixels above and on the left are trimmed."""

CORNERS = CellCentres(origin=(0.5, 0.5), step=(16, 12))
"""Cells whose centres are on the first pixel of each part, as chest_cnn's are."""


def answered(folder: Path, cells: CellCentres | None) -> FilmAnswer:
    return answer_film(Explainer(write_model(folder, cell_centres=cells)), FILM)


@pytest.mark.parametrize(
    ("cells", "centre"), [(None, (6 + 6, 4 + 8)), (CORNERS, (6 + 0.5, 4 + 0.5))]
)
def test_the_first_cell_is_centred_where_the_card_says(
    tmp_path: Path, cells: CellCentres | None, centre: tuple[float, float]
) -> None:
    explanation = answered(tmp_path, cells).explained_prediction().findings[0].explanation
    a, _, c, _, e, f = explanation.affine
    assert (0.5 * a + c, 0.5 * e + f) == pytest.approx(centre)
    assert explanation.extent == pytest.approx((6, 4, 6 + 48, 4 + 32))


def test_the_overlay_lies_where_the_answer_says(tmp_path: Path) -> None:
    answer = answered(tmp_path, CORNERS)
    explanation = answer.explained_prediction().findings[0].explanation
    assert answer.overlay("pneumonia").paint.place == (explanation.affine, explanation.extent)
