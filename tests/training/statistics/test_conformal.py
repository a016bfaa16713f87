"""Prediction sets hold the true class as often as was asked for, and not much more often."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.statistics.calibration import calibrated
from training.statistics.conformal import (
    conformal_quantiles,
    decision_statistics,
    prediction_sets,
    set_statistics,
)
from training.statistics.metrics import one_hot

CLASSES = 3


def drawn(
    random: np.random.Generator, films: int, shares: list[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and classes of films, more probable in their own class."""
    targets = random.choice(CLASSES, films, p=shares)
    logits = random.normal(0, 1, (films, CLASSES)) + 1.5 * one_hot(targets, CLASSES)
    return calibrated(logits, 1.0), targets


@settings(max_examples=3, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    coverage=st.sampled_from([0.6, 0.8, 0.9]),
    films=st.integers(12, 60),
)
def test_each_class_is_covered_on_exchangeable_films(
    seed: int, coverage: float, films: int
) -> None:
    random = np.random.default_rng(seed)
    covered = np.zeros((100, CLASSES))
    for own in covered:
        quantiles = conformal_quantiles(*drawn(random, films, [0.5, 0.3, 0.2]), coverage)
        probabilities, targets = drawn(random, 40, [0.5, 0.3, 0.2])
        sets = prediction_sets(probabilities, quantiles)
        for number in range(CLASSES):
            of_class = sets[targets == number, number]
            own[number] = of_class.mean() if len(of_class) else np.nan
    mean, spread = np.nanmean(covered, axis=0), np.nanstd(covered, axis=0)
    assert (mean >= coverage - 4 * spread / np.sqrt(len(covered))).all()


def test_coverage_is_not_far_above_what_was_asked_for() -> None:
    random = np.random.default_rng(0)
    quantiles = conformal_quantiles(*drawn(random, 3000, [0.4, 0.3, 0.3]))
    probabilities, targets = drawn(random, 3000, [0.4, 0.3, 0.3])
    scores = 1 - probabilities[np.arange(3000), targets]
    for number in range(CLASSES):
        within = (scores <= quantiles[number])[targets == number].mean()
        assert within == pytest.approx(0.9, abs=0.03)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), films=st.integers(1, 80))
def test_sets_nest_as_more_coverage_is_asked_for_and_hold_the_most_probable_class(
    seed: int, films: int
) -> None:
    random = np.random.default_rng(seed)
    on_val = drawn(random, films, [0.6, 0.3, 0.1])
    probabilities, _ = drawn(random, 50, [0.6, 0.3, 0.1])
    smaller = np.zeros(probabilities.shape, np.bool_)
    for coverage in (0.01, 0.3, 0.6, 0.9, 0.99):
        sets = prediction_sets(probabilities, conformal_quantiles(*on_val, coverage))
        assert sets[np.arange(50), probabilities.argmax(axis=1)].all()
        assert (sets | ~smaller).all()
        smaller = sets


def test_a_quantile_is_the_corrected_order_statistic() -> None:
    probabilities = np.array([[1 - 0.01 * k, 0.01 * k] for k in range(1, 20)])
    quantiles = conformal_quantiles(probabilities, np.zeros(19, np.int64))
    assert quantiles[0] == pytest.approx(0.18)  # the 18th of 19 scores: ceil(20 * 0.9)
    assert quantiles[1] == 1  # no film of this class


def test_too_few_films_exclude_nothing() -> None:
    probabilities = np.array([[0.9, 0.1]] * 8 + [[0.1, 0.9]] * 9)
    quantiles = conformal_quantiles(probabilities, np.array([0] * 8 + [1] * 9))
    assert quantiles == (1, pytest.approx(0.1))


def test_figures_of_sets_and_decisions_are_those_counted_by_hand() -> None:
    sets = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 1, 1], [0, 0, 1]], np.bool_)
    targets = np.array([0, 1, 2, 2, 0])
    among = np.array([True, True, True, True, False])
    is_right = np.array([True, False, False, True, True])
    once = np.ones((1, 5), np.int64)
    found = set_statistics(sets, one_hot(targets, 3), among)
    assert {name: one(once)[0] for name, one in found.items()} == {
        "set_coverage": 0.75,
        "mean_set_size": 1.75,
    }
    found = decision_statistics(sets.sum(axis=1) == 1, is_right, among)
    assert {name: one(once)[0] for name, one in found.items()} == {
        "decided_share": 0.5,
        "right_if_decided": 0.5,
        "right_if_undecided": 0.5,
        "right_if_decided_minus_undecided": 0,
    }


def test_what_is_not_defined_is_left_out() -> None:
    all_films = np.full(4, True)
    found = decision_statistics(all_films, all_films, all_films)
    assert list(found) == ["decided_share", "right_if_decided"]
    found = decision_statistics(~all_films, all_films, all_films)
    assert list(found) == ["decided_share", "right_if_undecided"]
