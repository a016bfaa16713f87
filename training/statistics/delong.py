"""Compute intervals and differences of areas under ROC curves by DeLong's method.

It treats films as independent. Several films of one patient are not, so that its intervals are then
too narrow; reports show the paired bootstrap by group beside them.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import norm, rankdata

Z = float(norm.ppf(0.975))


@dataclass(frozen=True)
class DeLong:
    """Areas under the ROC curves of several models on the same films, with their covariance."""

    aurocs: Float[np.ndarray, " models"]
    covariance: Float[np.ndarray, "models models"]


@dataclass(frozen=True)
class Difference:
    """First area minus second, its 95 % interval, and the two-sided p-value of no difference."""

    estimate: float
    low: float
    high: float
    p_value: float


def delong(
    scores: Float[np.ndarray, "models films"], is_positive: Bool[np.ndarray, " films"]
) -> DeLong:
    """Return the areas and their covariance, from ranks.

    Raises:
        ValueError: There are fewer than two positive or two negative films.

    Source:
        DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44(3); by ranks as in
        Sun and Xu 2014, IEEE Signal Processing Letters 21(11), algorithm 2.
    """
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if min(positives, negatives) < 2:
        raise ValueError(
            f"is_positive must hold two films of each kind, not {positives} and {negatives}"
        )
    ranks = rankdata(scores, axis=1)
    among_positives = rankdata(scores[:, is_positive], axis=1)
    among_negatives = rankdata(scores[:, ~is_positive], axis=1)
    below = (ranks[:, is_positive] - among_positives) / negatives
    above = 1 - (ranks[:, ~is_positive] - among_negatives) / positives
    covariance = np.cov(below) / positives + np.cov(above) / negatives
    return DeLong(below.mean(axis=1), np.atleast_2d(covariance))


def delong_difference(
    first: Float[np.ndarray, " films"],
    second: Float[np.ndarray, " films"],
    is_positive: Bool[np.ndarray, " films"],
) -> Difference:
    """Return the difference of two models' areas on the same films."""
    found = delong(np.stack([first, second]), is_positive)
    estimate = float(found.aurocs[0] - found.aurocs[1])
    contrast = np.array([1, -1])
    error = math.sqrt(max(0.0, float(contrast @ found.covariance @ contrast)))
    p_value = float(2 * norm.sf(abs(estimate) / error)) if error else float(estimate == 0)
    return Difference(estimate, estimate - Z * error, estimate + Z * error, p_value)
