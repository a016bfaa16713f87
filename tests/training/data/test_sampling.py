"""An epoch shows what its sampling promises, and the same for the same seed."""

from collections import Counter

import numpy as np
import pytest

from training.data.sampling import bounded_shares, epoch_order, equal_shares
from training.training_config import Sampling

TARGETS = [0] * 40 + [1] * 7 + [2] * 13
SOURCES = ["a"] * 30 + ["b"] * 10 + ["a"] * 7 + ["b"] * 1 + ["c"] * 12


def order(sampling: Sampling, *, seed: int = 0, epoch: int = 0) -> list[int]:
    return epoch_order(TARGETS, SOURCES, sampling=sampling, seed=seed, epoch=epoch)


def films(sampling: Sampling) -> list[int]:
    return [number % len(TARGETS) for number in order(sampling)]


def test_shuffling_shows_every_film_once_in_a_new_order() -> None:
    first, second = (order("shuffle", epoch=epoch) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(60))
    assert first != second


def test_balance_by_class_shows_every_class_equally_often() -> None:
    assert Counter(TARGETS[film] for film in films("class")) == {0: 20, 1: 20, 2: 20}


def test_balance_by_class_and_source_shows_every_source_of_a_class_equally_often() -> None:
    drawn = Counter((TARGETS[film], SOURCES[film]) for film in films("class_and_source"))
    expected = {(0, "a"): 10, (0, "b"): 10, (1, "a"): 20, (2, "b"): 10, (2, "c"): 10}
    assert set(drawn) == set(expected)
    assert all(abs(drawn[stratum] - draws) <= 1 for stratum, draws in expected.items())


def test_films_of_a_class_come_equally_often_within_one() -> None:
    times = Counter(film for film in films("class") if TARGETS[film] == 1)
    assert sorted(set(times.values())) == [2, 3]
    assert len(times) == 7


def test_a_film_that_comes_again_is_another_copy() -> None:
    numbers = order("class_and_source")
    lonely = sorted(number for number in numbers if number % 60 == 47)
    assert lonely == [47 + 60 * time for time in range(len(lonely))]
    assert len(set(numbers)) == 60


def test_classes_are_mixed_within_an_epoch() -> None:
    assert len({TARGETS[film] for film in films("class")[:10]}) == 3


def test_the_draw_depends_on_seed_and_epoch_alone() -> None:
    assert order("class") == order("class")
    assert len({tuple(order("class", seed=s, epoch=e)) for s in (0, 1) for e in (0, 1)}) == 4


def test_balance_by_origin_bounds_how_often_a_film_comes() -> None:
    def drawn(at_most: float | None) -> Counter[str]:
        numbers = epoch_order(
            TARGETS, SOURCES, sampling="class_and_origin", at_most=at_most, seed=0, epoch=0
        )
        own = [number % 60 for number in numbers]
        assert Counter(TARGETS[film] for film in own) == {0: 20, 1: 20, 2: 20}
        return Counter(SOURCES[film] for film in own if TARGETS[film] == 2)

    assert drawn(None)["b"] == 10
    assert drawn(3.0)["b"] in (4, 5)  # one film of thirteen, three times as often as the mean
    assert drawn(1.0)["b"] in (1, 2)


def test_bounded_shares_keep_the_share_of_each_class() -> None:
    strata = [(0, "a")] * 30 + [(0, "b")] * 2 + [(0, "c")] + [(1, "a")] * 5
    classes = np.array([number for number, _ in strata])
    shares = equal_shares(strata)
    bounded = bounded_shares(shares, classes, 4.0)
    for number in (0, 1):
        own = bounded[classes == number]
        assert own.sum() == pytest.approx(0.5)
        assert own.max() <= 4 * own.mean() * (1 + 1e-6)
    assert np.array_equal(bounded_shares(shares, classes, None), shares)
    assert shares[classes == 0].max() > 10 * shares[classes == 0].mean()
