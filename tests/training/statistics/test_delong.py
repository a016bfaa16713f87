"""DeLong's method by ranks equals a slow twin written from the paper's definition."""

from functools import partial

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.evaluation.comparison import minus
from training.statistics.bootstrap import Resamples
from training.statistics.delong import delong, delong_difference
from training.statistics.metrics import auroc


def scored(films: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return two models' scores, with ties, that share some of their noise."""
    random = np.random.default_rng(seed)
    is_positive = random.random(films) < 0.4
    shared = random.normal(0, 1, films)
    scores = [shared + random.normal(0, 1, films) + gain * is_positive for gain in (1.5, 0.8)]
    return np.round(scores, 1), is_positive


def slow_twin(scores: np.ndarray, is_positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return areas and covariance from the kernel of every pair of films."""
    pairs = scores[:, is_positive][:, :, None] - scores[:, ~is_positive][:, None, :]
    kernel = np.where(pairs > 0, 1.0, np.where(pairs == 0, 0.5, 0.0))
    areas = kernel.mean(axis=(1, 2))
    of_positives = kernel.mean(axis=2) - areas[:, None]
    of_negatives = kernel.mean(axis=1) - areas[:, None]
    m, n = of_positives.shape[1], of_negatives.shape[1]
    s10 = of_positives @ of_positives.T / (m - 1)
    s01 = of_negatives @ of_negatives.T / (n - 1)
    return areas, s10 / m + s01 / n


def test_ranks_give_what_pairs_give() -> None:
    scores, is_positive = scored()
    areas, covariance = slow_twin(scores, is_positive)
    found = delong(scores, is_positive)
    np.testing.assert_allclose(found.aurocs, areas, rtol=1e-12)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-10)


def test_the_areas_are_scikit_learns() -> None:
    scores, is_positive = scored()
    expected = [roc_auc_score(is_positive, row) for row in scores]
    assert delong(scores, is_positive).aurocs == pytest.approx(expected)


def test_two_positives_and_two_negatives_by_hand() -> None:
    # One pair of four is in the wrong order: components 1, 1/2 of either kind, variance 1/8 each.
    found = delong(np.array([[0.9, 0.4, 0.5, 0.1]]), np.array([True, True, False, False]))
    assert found.aurocs.tolist() == [0.75]
    assert found.covariance.tolist() == [[1 / 8 / 2 + 1 / 8 / 2]]


def test_where_films_are_independent_the_bootstrap_agrees() -> None:
    scores, is_positive = scored(400)
    found = delong_difference(*scores, is_positive)
    paired = Resamples([str(film) for film in range(400)]).estimate(
        minus(*(partial(auroc, row, is_positive) for row in scores))
    )
    assert paired.estimate == pytest.approx(found.estimate)
    assert [paired.low, paired.high] == pytest.approx([found.low, found.high], abs=0.012)


def test_where_films_repeat_delongs_interval_is_too_narrow() -> None:
    scores, is_positive = scored(60)
    tenfold = scores.repeat(10, axis=1), is_positive.repeat(10)
    found = delong_difference(*tenfold[0], tenfold[1])
    paired = Resamples([str(film // 10) for film in range(600)]).estimate(
        minus(*(partial(auroc, row, tenfold[1]) for row in tenfold[0]))
    )
    assert paired.high - paired.low > 2 * (found.high - found.low)


def test_equal_models_differ_by_chance_alone_at_the_rate_stated() -> None:
    def p_value(seed: int) -> float:
        random = np.random.default_rng(seed)
        is_positive = random.random(100) < 0.5
        first, second = random.normal(is_positive, 1, (2, 100))
        return delong_difference(first, second, is_positive).p_value

    assert np.mean([p_value(seed) < 0.05 for seed in range(500)]) == pytest.approx(0.05, abs=0.03)


def test_a_model_does_not_differ_from_itself() -> None:
    scores, is_positive = scored()
    found = delong_difference(scores[0], scores[0], is_positive)
    assert (found.estimate, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_one_positive_film_is_too_few() -> None:
    with pytest.raises(ValueError, match="not 1 and 2"):
        delong(np.array([[0.1, 0.2, 0.3]]), np.array([True, False, False]))
