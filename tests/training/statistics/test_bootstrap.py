"""Groups are drawn whole, the same draws for every figure."""

from functools import partial

import numpy as np
import pytest

from training.statistics import bootstrap
from training.statistics.bootstrap import Resamples
from training.statistics.metrics import auroc, share


def scored(films: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    is_positive = random.random(films) < 0.5
    return random.uniform(size=films) * 0.7 + 0.3 * is_positive, is_positive


def each(films: int) -> list[str]:
    return [str(film) for film in range(films)]


def test_films_of_a_group_are_drawn_together() -> None:
    drawn = Resamples(["a", "b", "a", "c"], resamples=50).values(np.float64)
    assert (drawn[:, 0] == drawn[:, 2]).all()
    assert (drawn[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert len(np.unique(drawn, axis=0)) > 1


def test_the_interval_holds_the_estimate() -> None:
    found = Resamples(each(200), resamples=200).estimate(partial(auroc, *scored(200)))
    assert found.low < found.estimate < found.high


def test_an_interval_is_that_of_drawing_films_one_by_one() -> None:
    is_right = np.arange(100) < 80
    found = Resamples(each(100), resamples=4000).estimate(
        partial(share, is_right, np.full(100, True))
    )
    expected = np.quantile(
        np.random.default_rng(1).binomial(100, 0.8, 100_000) / 100, [0.025, 0.975]
    )
    assert [found.low, found.high] == pytest.approx(expected, abs=0.011)


def test_copies_in_one_group_do_not_narrow_the_interval() -> None:
    scores, is_positive = scored(60)
    once = Resamples(each(60), resamples=300).estimate(partial(auroc, scores, is_positive))
    tenfold = Resamples(np.repeat(each(60), 10).tolist(), resamples=300).estimate(
        partial(auroc, scores.repeat(10), is_positive.repeat(10))
    )
    assert tenfold.high - tenfold.low == pytest.approx(once.high - once.low, rel=0.05)


def test_groups_that_repeat_widen_the_interval() -> None:
    scores, is_positive = (values.repeat(10) for values in scored(60))
    statistic = partial(auroc, scores, is_positive)
    by_group = Resamples(np.repeat(each(60), 10).tolist(), resamples=300).estimate(statistic)
    by_film = Resamples(each(600), resamples=300).estimate(statistic)
    assert by_group.high - by_group.low > 2 * (by_film.high - by_film.low)


def test_resamples_without_a_class_are_left_out() -> None:
    scores, is_positive = np.array([0.1, 0.2, 0.9]), np.array([False, False, True])
    found = Resamples(each(3), resamples=100).estimate(partial(auroc, scores, is_positive))
    assert (found.estimate, found.low, found.high) == (1, 1, 1)


def test_a_figure_that_does_not_exist_is_refused() -> None:
    scores, is_positive = np.array([0.1, 0.2]), np.array([False, False])
    with pytest.raises(ValueError, match="must be defined"):
        Resamples(each(2)).estimate(partial(auroc, scores, is_positive))


def test_large_splits_are_worked_on_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    resamples, statistic = Resamples(each(50), resamples=30), partial(auroc, *scored(50))
    at_once = resamples.values(statistic)
    monkeypatch.setattr(bootstrap, "LARGEST_BLOCK", 200)
    assert resamples.values(statistic).tolist() == at_once.tolist()


def test_a_band_is_an_interval_at_each_point() -> None:
    resamples = Resamples(each(80), resamples=200)
    first, second = scored(80), scored(80, seed=1)
    band = resamples.band(lambda w: np.stack([auroc(*first, w), auroc(*second, w)], axis=1))
    alone = resamples.estimate(partial(auroc, *second))
    assert (band.estimate[1], band.low[1], band.high[1]) == pytest.approx(
        (alone.estimate, alone.low, alone.high)
    )
