"""Calibrate probabilities by temperature and choose decision thresholds, both on val."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.metrics import roc_curve

from models.card import DecisionThreshold, Task
from training.statistics.metrics import Findings, IsPositive, Scores, Targets

Logits = Float[np.ndarray, "films classes"]
ROUNDING = 1e-9


def calibrated(
    logits: Logits, temperature: float, *, task: Task = "multiclass"
) -> Float[np.ndarray, "films classes"]:
    """Return softmax(logits / temperature), or sigmoid where the task is multi-label."""
    scaled = logits / temperature
    return np.asarray(expit(scaled) if task == "multilabel" else softmax(scaled, axis=1))


def fitted_temperature(logits: Logits, targets: Targets | Findings) -> float:
    """Return the temperature with the smallest mean negative log-likelihood, in [0.05, 20].

    The mean is over films, or over the findings known of them; one temperature serves all.

    Source:
        Guo et al. 2017, arXiv:1706.04599, equation 9.
    """

    def at(log_temperature: float) -> float:
        return negative_log_likelihood(logits / math.exp(log_temperature), targets)

    bounds = (math.log(0.05), math.log(20))
    return math.exp(minimize_scalar(at, bounds=bounds, method="bounded").x)


def negative_log_likelihood(logits: Logits, targets: Targets | Findings) -> float:
    """Return the mean negative log-likelihood of classes, or of known findings, in nats."""
    if targets.ndim == 1:
        return float(-log_softmax(logits, axis=1)[np.arange(len(targets)), targets].mean())
    known = ~np.isnan(targets)
    signed = np.where(targets[known] == 1, logits[known], -logits[known])
    return float(-log_expit(signed).mean())


def youden_threshold(probabilities: Scores, is_class: IsPositive) -> DecisionThreshold:
    """Return the threshold with the largest Youden index, sensitivity + specificity - 1.

    Source:
        Youden 1950, Cancer 3(1):32-35.
    """
    curve = _curve(probabilities, is_class)
    # The first point is left out: no film is positive there.
    best = 1 + int(np.argmax((curve.sensitivity + curve.specificity)[1:]))
    return curve.threshold(best, "largest Youden index on val")


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


def _curve(probabilities: Scores, is_class: IsPositive) -> _Curve:
    false_positive_rate, sensitivity, thresholds = roc_curve(
        is_class, probabilities, drop_intermediate=False
    )
    return _Curve(sensitivity, 1 - false_positive_rate, thresholds)
