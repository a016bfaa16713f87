"""A pair's AUROC is what counting its films in pairs gives, and knows no prior."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.statistics.metrics import one_hot
from training.statistics.pairs import (
    auroc_by_origin,
    mean_pair_auroc,
    pair_auroc,
    pair_scores,
    renormalised,
)

CLASSES = 4


def drawn(seed: int, films: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities with some ties, true classes, and weights of five resamples."""
    random = np.random.default_rng(seed)
    shares = random.integers(1, 5, size=(films, CLASSES))
    probabilities = shares / shares.sum(axis=1, keepdims=True)
    targets = np.append(np.arange(CLASSES), random.integers(CLASSES, size=films - CLASSES))
    weights = np.vstack([np.ones(films, int), random.integers(1, 3, size=(4, films))])
    return probabilities, one_hot(targets, CLASSES), weights


def counted_by_hand(
    probabilities: np.ndarray, is_class: np.ndarray, weights: np.ndarray, pair: tuple[int, int]
) -> float:
    """Return the share of films of the first class above those of the second; ties are half."""
    first, second = pair
    right = pairs = 0.0
    for i in np.flatnonzero(is_class[:, first]):
        for j in np.flatnonzero(is_class[:, second]):
            # p_i / (p_i + q_i) > p_j / (p_j + q_j), multiplied out
            ours = probabilities[i, first] * probabilities[j, second]
            theirs = probabilities[j, first] * probabilities[i, second]
            is_tie = np.isclose(ours, theirs, rtol=1e-12)
            right += weights[i] * weights[j] * (0.5 if is_tie else float(ours > theirs))
            pairs += weights[i] * weights[j]
    return right / pairs


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_a_pair_is_what_counting_by_hand_gives(seed: int) -> None:
    probabilities, is_class, weights = drawn(seed)  # with ties that rounding must not break
    for pair in combinations(range(CLASSES), 2):
        by_hand = [counted_by_hand(probabilities, is_class, own, pair) for own in weights]
        assert pair_auroc(probabilities, is_class, weights, pair=pair) == pytest.approx(by_hand)


def test_who_knows_only_other_classes_gets_one_half() -> None:
    _, is_class, weights = drawn(0)
    third = np.random.default_rng(0).uniform(0, 0.9, (len(is_class), 1)) + 0.05 * is_class[:, [0]]
    probabilities = np.hstack([(1 - third) * 0.3, (1 - third) * 0.7, third, 0 * third])
    assert pair_auroc(probabilities, is_class, weights, pair=(0, 1)).tolist() == [0.5] * 5


def test_the_order_of_a_pair_does_not_matter() -> None:
    probabilities, is_class, weights = drawn(1)
    one_way = pair_auroc(probabilities, is_class, weights, pair=(2, 0))
    assert pair_auroc(probabilities, is_class, weights, pair=(0, 2)) == pytest.approx(one_way)


@given(seed=st.integers(0, 1000))
def test_other_prior_probabilities_change_no_pair(seed: int) -> None:
    random = np.random.default_rng(seed)
    _, is_class, weights = drawn(seed)
    probabilities = random.dirichlet(np.ones(CLASSES), len(is_class))
    shifted = renormalised(probabilities * random.uniform(0.01, 100, CLASSES))
    for pair in combinations(range(CLASSES), 2):
        as_it_was = pair_auroc(probabilities, is_class, weights, pair=pair)
        assert pair_auroc(shifted, is_class, weights, pair=pair) == pytest.approx(as_it_was)


def test_the_mean_is_over_the_pairs_asked_for() -> None:
    probabilities, is_class, weights = drawn(2)
    pairs = [(1, 0), (3, 1)]
    each = [pair_auroc(probabilities, is_class, weights, pair=pair) for pair in pairs]
    found = mean_pair_auroc(probabilities, is_class, weights, pairs=pairs)
    assert found == pytest.approx(np.mean(each, axis=0))


def test_a_film_of_which_neither_class_is_likely_gets_one_half() -> None:
    scores = pair_scores(np.array([[0.0, 0.0, 1.0], [0.2, 0.6, 0.2]]), (0, 1))
    assert scores.tolist() == [0.5, 0.25]


def test_a_class_that_was_never_learnt_gives_no_score() -> None:
    assert np.isnan(pair_scores(np.array([[np.nan, 0.5]]), (0, 1))).all()


def test_equal_shares_of_any_number_of_classes_are_ties_among_fewer() -> None:
    uniform = [np.full((1, 5), 1 / classes) for classes in range(5, 30)]
    assert {float(share) for one in uniform for share in renormalised(one)[0]} == {0.2}


def test_within_origins_only_classes_of_enough_films_are_compared() -> None:
    random = np.random.default_rng(4)
    counts = {"a": (12, 15, 3), "b": (10, 0, 11), "c": (30, 2, 0)}
    origins = [origin for origin, own in counts.items() for _ in range(sum(own))]
    targets = np.array(
        [n for own in counts.values() for n, films in enumerate(own) for _ in range(films)]
    )
    probabilities = random.dirichlet(np.ones(3), len(targets))
    found = auroc_by_origin(probabilities, targets, origins)
    assert list(found) == ["a", "b"]
    is_class, once = one_hot(targets, 3), np.ones((1, len(targets)), int)
    for origin, pair in {"a": (1, 0), "b": (2, 0)}.items():
        rows = np.array(origins) == origin
        expected = pair_auroc(probabilities[rows], is_class[rows], once[:, rows], pair=pair)
        assert found[origin] == pytest.approx(expected[0])
