"""Calibrate probabilities by temperature and choose decision thresholds, both on val."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.metrics import roc_curve

from models.card import DecisionThreshold, Task
from training.statistics.metrics import Findings, IsPositive, Scores, Targets

Logits = Float[np.ndarray, "films classes"]
FilmWeights = Float[np.ndarray, " films"]
ROUNDING = 1e-9
ENOUGH_FILMS = 30
"""Val films of an origin, at least, that a temperature of its own is fitted to."""


def calibrated(
    logits: Logits, temperature: float, *, task: Task = "multiclass"
) -> Float[np.ndarray, "films classes"]:
    """Return softmax(logits / temperature), or sigmoid where the task is multi-label."""
    scaled = logits / temperature
    return np.asarray(expit(scaled) if task == "multilabel" else softmax(scaled, axis=1))


def fitted_temperature(
    logits: Logits, targets: Targets | Findings, weights: FilmWeights | None = None
) -> float:
    """Return the temperature with the smallest mean negative log-likelihood, in [0.05, 20].

    The mean is over films, or over the findings known of them; one temperature serves all.

    Args:
        logits: Of val films.
        targets: Their classes or findings.
        weights: Of each film in the mean; None is 1 each.

    Source:
        Guo et al. 2017, arXiv:1706.04599, equation 9.
    """

    def at(log_temperature: float) -> float:
        return negative_log_likelihood(logits / math.exp(log_temperature), targets, weights)

    bounds = (math.log(0.05), math.log(20))
    return math.exp(minimize_scalar(at, bounds=bounds, method="bounded").x)


def negative_log_likelihood(
    logits: Logits, targets: Targets | Findings, weights: FilmWeights | None = None
) -> float:
    """Return the mean negative log-likelihood of classes, or of known findings, in nats."""
    films = np.ones(len(targets)) if weights is None else weights
    if targets.ndim == 1:
        own = log_softmax(logits, axis=1)[np.arange(len(targets)), targets]
        return float(-np.average(own, weights=films))
    known = ~np.isnan(targets)
    signed = np.where(targets[known] == 1, logits[known], -logits[known])
    of_entry = np.broadcast_to(films[:, None], targets.shape)[known]
    return float(-np.average(log_expit(signed), weights=of_entry))


def weights_by_origin(origins: Sequence[str]) -> FilmWeights:
    """Return a weight for each film such that all origins count alike; their mean is 1."""
    films = Counter(origins)
    return np.array([len(origins) / (len(films) * films[origin]) for origin in origins])


def largest_temperature(
    logits: Logits, targets: Targets | Findings, origins: Sequence[str]
) -> float:
    """Return the largest temperature fitted to one origin of 30 films or more.

    It is that of the origin of which the network is most wrongly sure.

    Raises:
        ValueError: No origin has as many films.
    """
    of_film = np.asarray(origins)
    large = [origin for origin, films in Counter(origins).items() if films >= ENOUGH_FILMS]
    if not large:
        raise ValueError(f"temperature must be films or origins: none has {ENOUGH_FILMS} val films")
    return max(
        fitted_temperature(logits[of_film == origin], targets[of_film == origin])
        for origin in large
    )


def youden_threshold(
    probabilities: Scores, is_class: IsPositive, weights: FilmWeights | None = None
) -> DecisionThreshold:
    """Return the threshold with the largest Youden index, sensitivity + specificity - 1.

    Sensitivity and specificity are shares of the films' `weights`, if they are given.

    Source:
        Youden 1950, Cancer 3(1):32-35.
    """
    curve = _curve(probabilities, is_class, weights)
    # The first point is left out: no film is positive there.
    best = 1 + int(np.argmax((curve.sensitivity + curve.specificity)[1:]))
    weighted = "" if weights is None else ", films weighted by origin"
    return curve.threshold(best, f"largest Youden index on val{weighted}")


def threshold_at_specificity(
    probabilities: Scores, is_class: IsPositive, specificity: float
) -> DecisionThreshold:
    """Return the lowest threshold with at least this specificity."""
    curve = _curve(probabilities, is_class)
    best = int(np.flatnonzero(curve.specificity >= specificity - ROUNDING)[-1])
    return curve.threshold(best, f"specificity {specificity:.0%} on val")


def threshold_at_sensitivity(
    probabilities: Scores, is_class: IsPositive, sensitivity: float
) -> DecisionThreshold:
    """Return the highest threshold with at least this sensitivity."""
    curve = _curve(probabilities, is_class)
    best = int(np.flatnonzero(curve.sensitivity >= sensitivity - ROUNDING)[0])
    return curve.threshold(best, f"sensitivity {sensitivity:.0%} on val")


class _Curve(NamedTuple):
    """A ROC curve; at its first threshold no film is positive."""

    sensitivity: Float[np.ndarray, " thresholds"]
    specificity: Float[np.ndarray, " thresholds"]
    probabilities: Float[np.ndarray, " thresholds"]

    def threshold(self, number: int, criterion: str) -> DecisionThreshold:
        """Return a threshold half-way between the lowest probability called positive and the next.

        So rounding does not decide films with the same probability as the one that set it.
        """
        lowest = min(self.probabilities[number], 1.0)  # the first one is infinite
        below = self.probabilities[number + 1 : number + 2].max(initial=0.0)
        return DecisionThreshold(
            value=float((lowest + below) / 2),
            sensitivity=float(self.sensitivity[number]),
            specificity=float(self.specificity[number]),
            criterion=criterion,
        )


def _curve(
    probabilities: Scores, is_class: IsPositive, weights: FilmWeights | None = None
) -> _Curve:
    false_positive_rate, sensitivity, thresholds = roc_curve(
        is_class, probabilities, sample_weight=weights, drop_intermediate=False
    )
    return _Curve(sensitivity, 1 - false_positive_rate, thresholds)
