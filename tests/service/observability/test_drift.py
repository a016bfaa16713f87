"""Histograms of today's films against those in a model's card."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.card import Histogram
from service.observability.drift import LATEST_FILMS, Tally, population_stability_index

counts = st.lists(st.integers(0, 1000), min_size=4, max_size=4)
# As chest_cnn's distances lie.
CARD = Histogram(edges=tuple(range(13)), counts=(0, 0, 8, 76, 161, 116, 55, 14, 5, 1, 0, 3))


def drawn(films: int, *, shift: float = 0, seed: int = 0) -> list[float]:
    """Return values drawn from the card's histogram, moved by some bins."""
    shares = np.array(CARD.counts) / sum(CARD.counts)
    places = np.random.default_rng(seed).choice(len(shares), films, p=shares)
    return [float(place) + 0.5 + shift for place in places]


def tally(values: list[float]) -> Tally:
    """Return these values, counted."""
    tally = Tally(CARD)
    for value in values:
        tally.add(value)
    return tally


def test_the_index_is_the_sum_of_the_definition():
    expected, found = (99, 199), (199, 99)  # half a film more each: shares of 1/3 and 2/3
    third = 99.5 / 299
    index = 2 * ((1 - third) - third) * math.log((1 - third) / third)
    assert population_stability_index(expected, found) == pytest.approx(index)


@given(counts, counts)
def test_the_index_is_symmetric_and_zero_only_for_equal_shares(one: list[int], other: list[int]):
    index = population_stability_index(one, other)
    assert index == pytest.approx(population_stability_index(other, one))
    assert index >= 0
    assert population_stability_index(one, one) == 0


def test_empty_bins_keep_the_index_finite():
    assert math.isfinite(population_stability_index((100, 0), (0, 100)))


def test_films_like_the_card_s_are_hardly_called_changed_by_chance():
    found = [tally(drawn(100, seed=seed)).stability_index() for seed in range(200)]
    assert sum(index > 0.25 for index in found) <= 2
    assert np.mean(found) == pytest.approx(4 * (1 / 100 + 1 / 439), rel=0.3)  # five groups


@pytest.mark.parametrize("shift", [1, 100])
def test_films_farther_away_are_called_changed(shift: float):
    assert tally(drawn(100, shift=shift)).stability_index() > 0.25


def test_films_of_long_ago_are_shown_but_not_compared():
    counted = tally(drawn(100, shift=3) + drawn(LATEST_FILMS))
    assert counted.stability_index() < 0.1
    assert counted.films()[0][-1] == ("+Inf", 100 + LATEST_FILMS)


@given(st.lists(st.floats(0, 11.99), min_size=1))
def test_films_fall_into_the_bins_of_numpy(values: list[float]):
    buckets, total = tally(values).films()
    expected = np.cumsum(np.histogram(values, CARD.edges)[0])
    assert [count for _, count in buckets] == expected.tolist()
    assert total == pytest.approx(sum(values))
