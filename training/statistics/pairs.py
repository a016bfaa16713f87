"""Compute AUROCs of one class against another from the probabilities of several classes."""

from collections.abc import Sequence

import numpy as np

from training.statistics.bootstrap import Weights
from training.statistics.metrics import IsClass, Probabilities, Scores, Values, auroc

Pair = tuple[int, int]
"""Numbers of two classes: the one that should get the higher score, and the other."""
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
