"""Figures about probabilities, each with an interval bootstrapped by group."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata
from sklearn.metrics import confusion_matrix

Probabilities = Float[np.ndarray, "films classes"]
Targets = Int[np.ndarray, " films"]
Findings = Float[np.ndarray, "films findings"]
"""1 where a finding is there, 0 where it is not, not a number where nobody knows."""
Statistic = Callable[[Probabilities, Any], float]
"""A figure of probabilities and targets (class numbers, or findings)."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} ({self.low:.3f} to {self.high:.3f})"


def auroc(scores: Float[np.ndarray, " films"], is_positive: Bool[np.ndarray, " films"]) -> float:
    """Return the area under the ROC curve.

    By ranks, which is ten times as fast as drawing the curve; a test holds both equal.

    Source:
        Hanley and McNeil 1982, Radiology 143(1), the Wilcoxon statistic.
    """
    positives = int(is_positive.sum())
    negatives = len(is_positive) - positives
    ranks = rankdata(scores)[is_positive].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def class_auroc(probabilities: Probabilities, targets: Targets, *, number: int) -> float:
    """Return the area under the ROC curve of one class against all others."""
    return auroc(probabilities[:, number], targets == number)


def macro_auroc(probabilities: Probabilities, targets: Targets) -> float:
    """Return the mean over classes of the one-vs-rest area under the ROC curve."""
    classes = np.unique(targets).tolist()
    return float(np.mean([class_auroc(probabilities, targets, number=k) for k in classes]))


def finding_auroc(probabilities: Probabilities, targets: Findings, *, number: int) -> float:
    """Return the area under the ROC curve of one finding, over the films where it is known."""
    known = ~np.isnan(targets[:, number])
    return auroc(probabilities[known, number], targets[known, number] == 1)


def macro_finding_auroc(probabilities: Probabilities, targets: Findings) -> float:
    """Return the mean of the areas of those findings that are there on some film and not on others.

    Raises:
        ValueError: There is no such finding.
    """
    both = (targets == 0).any(axis=0) & (targets == 1).any(axis=0)
    numbers: list[int] = np.flatnonzero(both).tolist()
    if not numbers:
        raise ValueError("targets must hold both 0 and 1 for a finding at least")
    return float(np.mean([finding_auroc(probabilities, targets, number=k) for k in numbers]))


def balanced_accuracy(probabilities: Probabilities, targets: Targets) -> float:
    """Return the mean over classes of the share of films whose largest probability is right."""
    is_right = probabilities.argmax(axis=1) == targets
    return float(np.mean([is_right[targets == number].mean() for number in np.unique(targets)]))


def expected_calibration_error(
    probabilities: Probabilities, targets: Targets, *, bins: int = 15
) -> float:
    """Return the mean gap between the largest probability and how often it is right.

    Bins hold equally many films.

    Source:
        Guo et al. 2017, arXiv:1706.04599, equation 3; equal-mass bins as in Nixon et al. 2019,
        arXiv:1904.01685.
    """
    confidence = probabilities.max(axis=1)
    gap = (probabilities.argmax(axis=1) == targets) - confidence
    by_confidence = np.array_split(gap[np.argsort(confidence, kind="stable")], bins)
    return float(sum(abs(part.sum()) for part in by_confidence) / len(targets))


def calibration_error_by_chance(
    probabilities: Probabilities, *, resamples: int = 1000, seed: int = 0
) -> float:
    """Return the mean calibration error if every probability were exactly right.

    It is not 0: in a bin of a few films, the share that is right misses its expectation.

    Source:
        Broecker and Smith 2007, Weather and Forecasting 22(3), consistency resampling.
    """
    random = np.random.default_rng(seed)
    cumulated = probabilities.cumsum(axis=1)
    draws = random.random((resamples, len(probabilities), 1))
    targets = (draws > cumulated[None, :, :-1]).sum(axis=2)
    return float(np.mean([expected_calibration_error(probabilities, drawn) for drawn in targets]))


def confusion(probabilities: Probabilities, targets: Targets) -> Int[np.ndarray, "classes classes"]:
    """Return counts by true class (rows) and class of the largest probability (columns)."""
    classes = range(probabilities.shape[1])
    return np.asarray(confusion_matrix(targets, probabilities.argmax(axis=1), labels=classes))


def with_interval(
    statistic: Statistic,
    probabilities: Probabilities,
    targets: Targets | Findings,
    *,
    groups: Sequence[str],
    bias_corrected: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Return the statistic with its 95 % percentile interval, resampling whole groups.

    Resamples in which a class, or a value of a finding, is absent are left out.

    Args:
        statistic: The figure.
        probabilities: One row per film.
        targets: The true class numbers, or findings.
        groups: Which films are drawn together.
        bias_corrected: Shift the interval by how much resampling itself raises the statistic: for
            the calibration error, which films drawn twice enlarge.
        resamples: How many times films are drawn.
        seed: Of the draws.

    Source:
        Efron and Tibshirani 1993, chapters 10 (bias) and 13; the cluster bootstrap of Field and
        Welsh 2007.
    """
    random = np.random.default_rng(seed)
    _, members = np.unique(np.asarray(groups), return_inverse=True)
    films_of = [np.flatnonzero(members == group) for group in range(members.max() + 1)]
    kinds = _kinds(targets)
    values = []
    for _ in range(resamples):
        drawn = random.integers(len(films_of), size=len(films_of))
        films = np.concatenate([films_of[group] for group in drawn])
        if _kinds(targets[films]) == kinds:
            values.append(statistic(probabilities[films], targets[films]))
    low, high = np.quantile(values, [0.025, 0.975])
    estimate = statistic(probabilities, targets)
    if bias_corrected:
        bias = np.mean(values) - estimate
        low, high = max(0.0, low - bias), max(0.0, high - bias)
    return Estimate(estimate, float(low), float(high))


def _kinds(targets: Targets | Findings) -> int:
    """Return how many classes there are, or how many different values of findings."""
    if targets.ndim == 1:
        return len(np.unique(targets))
    return int(sum((targets == value).any(axis=0).sum() for value in (0, 1)))
