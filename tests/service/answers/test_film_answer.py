"""Where an answer's map lies follows the model's card."""

from pathlib import Path

import numpy as np
import pytest

from models.card import CellCentres
from service.answers.film_answer import FilmAnswer, answer_film
from service.films.decoding import Limits, painted_pixels
from tests.support.tiny_lungs import LUNGS, write_lung_model
from tests.support.tiny_model import REFUSED_FILM, picture, quadrants, write_model
from xai.explainer import Explainer
from xai.outline import outline_mask

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


def outlined_answer(folder: Path) -> FilmAnswer:
    return answer_film(Explainer(write_lung_model(folder)), FILM)


def test_the_outline_of_the_lungs_lies_in_the_films_own_pixels(tmp_path: Path) -> None:
    answer = outlined_answer(tmp_path).explained_prediction()
    assert answer.lung_outline is not None
    right, left = (np.mean(ring, axis=0) for ring in answer.lung_outline)
    assert right == pytest.approx((6 + 0.3 * 48, 4 + 0.5 * 32), abs=1)
    assert left == pytest.approx((6 + 0.7 * 48, 4 + 0.5 * 32), abs=1)


def test_the_share_inside_the_lungs_is_told_for_each_class_that_has_evidence(
    tmp_path: Path,
) -> None:
    findings = outlined_answer(tmp_path).explained_prediction().findings
    normal, pneumonia, effusion = (one.explanation.inside_lungs for one in findings)
    assert normal is not None
    assert pneumonia is not None
    assert 0 < normal < 1
    assert 0 < pneumonia < 1
    assert effusion is None


def test_where_no_lungs_are_found_the_outline_is_empty_and_nothing_is_inside(
    tmp_path: Path,
) -> None:
    model = write_lung_model(tmp_path, lungs=0 * LUNGS)
    answer = answer_film(Explainer(model), FILM).explained_prediction()
    assert answer.lung_outline == ()
    assert answer.findings[1].explanation.inside_lungs == 0


def test_withheld_evidence_has_no_share_but_the_lungs_are_shown(tmp_path: Path) -> None:
    answer = answer_film(Explainer(write_lung_model(tmp_path)), REFUSED_FILM)
    told = answer.explained_prediction()
    assert told.lung_outline
    assert {one.explanation.inside_lungs for one in told.findings} == {None}
    assert answer.explained_prediction(force=True).findings[1].explanation.inside_lungs


def test_a_model_that_sees_the_whole_film_says_nothing_of_lungs(tmp_path: Path) -> None:
    answer = answered(tmp_path, None)
    told = answer.explained_prediction()
    assert told.lung_outline is None
    assert {one.explanation.inside_lungs for one in told.findings} == {None}
    assert answer.overlay("pneumonia").paint.outline is None


def test_the_overlay_is_coloured_inside_the_outline_alone(tmp_path: Path) -> None:
    answer = outlined_answer(tmp_path)
    paint = answer.overlay("pneumonia").paint
    painted = painted_pixels(FILM, paint, Limits())
    coloured = np.ptp(painted, axis=-1) > 0
    inside = outline_mask(answer.lung_outline or (), *coloured.shape)
    assert coloured[inside].any()
    assert not coloured[~inside].any()
    uncut = painted_pixels(FILM, paint._replace(outline=None), Limits())
    assert (np.ptp(uncut, axis=-1) > 0)[~inside].any()
    assert np.array_equal(painted[inside], uncut[inside])
