"""Conformal prediction sets: choose quantiles on val, measure coverage and size of the sets.

A film is decided when one class is left in its set (`ModelCard.is_decided`).
"""

import math
from functools import partial

import numpy as np
from jaxtyping import Bool, Float

from models.card import prediction_set
from training.statistics.bootstrap import Statistic, Weights
from training.statistics.metrics import (
    IsClass,
    IsPositive,
    Probabilities,
    Targets,
    Values,
    ratio,
    share,
)

COVERAGE = 0.9
"""Share of the films of each class whose set holds their class, that quantiles are chosen for."""
ROUNDING = 1e-9
Sets = Bool[np.ndarray, "films classes"]


def conformal_quantiles(
    probabilities: Probabilities, targets: Targets, coverage: float = COVERAGE
) -> tuple[float, ...]:
    """Return each class's conformal quantile: of 1 - probability, over the films of the class.

    Of n films it is the ceil((n + 1) coverage)-th smallest, so that another film exchangeable with
    them is covered with at least that probability; it is 1 where n is too small for that.

    Args:
        probabilities: Calibrated.
        targets: The true class numbers.
        coverage: Least share of films whose set holds their class, in (0, 1).

    Source:
        Vovk 2012, arXiv:1209.2673, section 4, class-conditional ("label conditional") validity;
        Sadinle, Lei and Wasserman 2019, JASA 114(525), the score.
    """
    return tuple(
        _quantile(1 - probabilities[targets == number, number], coverage)
        for number in range(probabilities.shape[1])
    )


def _quantile(scores: Float[np.ndarray, " films"], coverage: float) -> float:
    rank = math.ceil((len(scores) + 1) * coverage - ROUNDING)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else 1.0


def prediction_sets(probabilities: Probabilities, quantiles: tuple[float, ...]) -> Sets:
    """Return for each film and class whether the class cannot be excluded."""
    films = [prediction_set(film, quantiles) for film in probabilities.tolist()]
    return np.array(films, np.bool_).reshape(probabilities.shape)


def set_statistics(sets: Sets, is_class: IsClass, among: IsPositive) -> dict[str, Statistic]:
    """Return coverage and mean size of prediction sets as statistics of films, by name.

    Args:
        sets: Of each film.
        is_class: Whether it has each class.
        among: Films that are measured; each of them has one of the classes.
    """
    sizes = np.where(among, sets.sum(axis=1), 0)

    def mean_size(weights: Weights) -> Values:
        return ratio(weights @ sizes, weights @ among.astype(np.int64))

    is_covered = (sets & is_class).any(axis=1)
    return {"set_coverage": partial(share, is_covered, among), "mean_set_size": mean_size}


def decision_statistics(
    is_decided: IsPositive, is_right: IsPositive, among: IsPositive
) -> dict[str, Statistic]:
    """Return how many films are decided, and how often those are right beside the others.

    What is not defined, because all films are decided or none is, is left out.

    Args:
        is_decided: For each film.
        is_right: Whether its most probable class is the true one.
        among: Films that are measured.
    """
    decided, others = among & is_decided, among & ~is_decided
    found: dict[str, Statistic] = {"decided_share": partial(share, is_decided, among)}
    if decided.any():
        found["right_if_decided"] = partial(share, is_right, decided)
    if others.any():
        found["right_if_undecided"] = partial(share, is_right, others)

    def difference(weights: Weights) -> Values:
        return share(is_right, decided, weights) - share(is_right, others, weights)

    if decided.any() and others.any():
        found["right_if_decided_minus_undecided"] = difference
    return found
