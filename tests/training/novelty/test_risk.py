"""Errors by coverage are those of the films that are accepted first."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.bright_spot import config
from tests.training.novelty.test_left_out import measured
from training.evaluation.leave_out_films import OriginFilms
from training.novelty.left_out import MeasuredFilms
from training.novelty.risk import draw_risk, error_at, left_out_risk, risk_by_score


def once(films: int) -> np.ndarray:
    return np.ones((1, films), np.int64)


@pytest.mark.parametrize("coverage", [1.0, 0.5, 0.25])
def test_the_error_is_counted_among_the_films_accepted_first(coverage: float) -> None:
    random = np.random.default_rng(0)
    scores, wrong = random.random(40), random.random(40) < 0.3
    first = np.argsort(scores)[: round(40 * coverage)]
    found = error_at(scores, wrong, once(40), coverage=coverage)
    assert found.tolist() == [wrong[first].mean()]


def test_a_film_drawn_twice_counts_twice() -> None:
    scores, wrong = np.array([1.0, 2.0, 3.0]), np.array([False, True, True])
    weights = np.array([[2, 1, 1]])
    assert error_at(scores, wrong, weights, coverage=0.5).tolist() == [0]
    assert error_at(scores, wrong, weights, coverage=0.75).tolist() == [1 / 3]


def test_a_score_that_knows_what_is_wrong_has_the_smallest_area() -> None:
    films = measured(0.0).films[:200]
    wrong = np.arange(200)[None] % 4 == 0
    knowing = risk_by_score("knowing", wrong * 1.0, wrong, films)
    random = risk_by_score("random", np.random.default_rng(0).random((1, 200)), wrong, films)
    assert knowing.area.estimate < random.area.low
    assert random.area.estimate == pytest.approx(0.25, abs=0.1)
    assert knowing.errors[0].error.estimate == random.errors[0].error.estimate == 0.25
    assert knowing.errors[2].error.estimate == 0
    assert (knowing.coverage[-1], knowing.risk[-1]) == (1.0, 0.25)


def left_out_films(films: MeasuredFilms) -> OriginFilms:
    """Return those of train, each origin left out in turn."""
    train = films.of("train")
    chosen = [
        (film, o) for film, o, own in zip(films.films, films.origins, train, strict=True) if own
    ]
    return OriginFilms(
        films=tuple(film for film, _ in chosen),
        origins=tuple(origin for _, origin in chosen),
        left_out=tuple(sorted(set(films.origins))),
        class_names=("ill", "normal"),
    )


def test_answers_are_compared_within_and_beyond_the_limit(tmp_path: Path) -> None:
    """Networks that fail on the west, which is acquired otherwise, are wrong where it is novel."""
    films = measured(8.0)
    asked = left_out_films(films)
    truth = asked.is_class.astype(float)
    scores = np.stack([0.1 + 0.8 * truth] * 2)
    scores[:, asked.rows("west")] = 1 - scores[:, asked.rows("west")]
    found = left_out_risk(config(tmp_path / "manifest.csv"), scores, asked, films)
    assert (found.films, found.seeds) == (900, 2)
    assert found.right_known.estimate > 0.95
    assert found.right_novel.estimate < 0.2
    assert found.difference.low > 0.5
    novelty, uncertainty = found.by_score
    assert novelty.area.high < uncertainty.area.low
    draw_risk(found, tmp_path / "risk.png")


def test_films_of_a_class_that_no_network_knew_are_left_out(tmp_path: Path) -> None:
    films = measured(0.0)
    asked = left_out_films(films)
    scores = np.full((1, 900, 2), 0.5)
    ill = asked.is_class[:, 0] & asked.rows("north")
    scores[:, ill, 0] = np.nan
    found = left_out_risk(config(tmp_path / "manifest.csv"), scores, asked, films)
    assert found.films == 900 - ill.sum()
