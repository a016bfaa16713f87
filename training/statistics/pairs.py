"""Compute AUROCs of one class against another from the probabilities of several classes."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from training.statistics.bootstrap import Weights
from training.statistics.metrics import (
    IsClass,
    Probabilities,
    Scores,
    Targets,
    Values,
    auroc,
    one_hot,
)

Pair = tuple[int, int]
"""Numbers of two classes: the one that should get the higher score, and the other."""
SMALLEST = 10
"""Films of a class within an origin, at least, for it to be compared with others."""
DIGITS = 12
"""Decimals of a score: what differs by rounding alone is a tie."""


def pair_scores(probabilities: Probabilities, pair: Pair) -> Scores:
    """Return the probability of the first of two classes, renormalised to these two.

        score = p_first / (p_first + p_second)

    What a network gives to other classes drops out. So do its prior probabilities: other ones move
    the log odds of all films equally far, and so leave their order and the AUROC as they are. A
    network that knows nothing but them gives all films one score: its AUROC is 0.5. The score is
    0.5 where both probabilities are 0.
    """
    both = probabilities[:, list(pair)]
    total = both.sum(axis=1)
    shares = np.divide(both[:, 0], total, out=np.full(len(both), 0.5), where=total != 0)
    return shares.round(DIGITS)


def renormalised(probabilities: Probabilities) -> Probabilities:
    """Return probabilities of some of the classes, divided by their sum over these."""
    shares = probabilities / probabilities.sum(axis=1, keepdims=True)
    return np.asarray(shares.round(DIGITS))


def pair_auroc(
    probabilities: Probabilities, is_class: IsClass, weights: Weights, *, pair: Pair
) -> Values:
    """Return the AUROC of one class against one other, among the films of the two."""
    rows = is_class[:, list(pair)].any(axis=1)
    scores = pair_scores(probabilities[rows], pair)
    return auroc(scores, is_class[rows, pair[0]], weights[:, rows])


def mean_pair_auroc(
    probabilities: Probabilities, is_class: IsClass, weights: Weights, *, pairs: Sequence[Pair]
) -> Values:
    """Return the mean AUROC over pairs of classes.

    Source:
        Hand and Till 2001, Machine Learning 45(2), equation 7. With scores that are renormalised
        to the pair, its A(i|j) and A(j|i) are equal.
    """
    return np.mean(
        [pair_auroc(probabilities, is_class, weights, pair=pair) for pair in pairs], axis=0
    )


def auroc_by_origin(
    probabilities: Probabilities, targets: Targets, origins: Sequence[str]
) -> dict[str, float]:
    """Return how well classes are told within each origin: the mean AUROC over pairs of them.

    Classes of fewer than 10 films in an origin, and origins without two others, are left out.

    Args:
        probabilities: Of the films.
        targets: Class numbers.
        origins: Of each film.
    """
    of_film, found = np.asarray(origins), {}
    is_class = one_hot(targets, probabilities.shape[1])
    for origin in sorted(set(origins)):
        rows = of_film == origin
        known = np.flatnonzero(is_class[rows].sum(axis=0) >= SMALLEST).tolist()
        pairs = [(positive, negative) for negative, positive in combinations(known, 2)]
        if pairs:
            once = np.ones((1, int(rows.sum())), np.int64)
            mean = mean_pair_auroc(probabilities[rows], is_class[rows], once, pairs=pairs)
            found[origin] = float(mean[0])
    return found
