"""Probabilities that mean what they say, and the thresholds that decide; both fixed on val."""

import math

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.metrics import roc_curve

from models.card import DecisionThreshold, Task
from training.metrics import Findings, Targets

Logits = Float[np.ndarray, "films classes"]


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
    """Return its mean over films' classes, or over known findings, in nats."""
    if targets.ndim == 1:
        return float(-log_softmax(logits, axis=1)[np.arange(len(targets)), targets].mean())
    known = ~np.isnan(targets)
    signed = np.where(targets[known] == 1, logits[known], -logits[known])
    return float(-log_expit(signed).mean())


def youden_threshold(
    probabilities: Float[np.ndarray, " films"], is_class: Bool[np.ndarray, " films"]
) -> DecisionThreshold:
    """Return the threshold with the largest sensitivity + specificity - 1.

    It lies half-way between the lowest probability called positive and the next below it, so that
    a film just like the one that set it is not decided by rounding.

    Source:
        Youden 1950, Cancer 3(1):32-35.
    """
    false_positive_rate, sensitivity, thresholds = roc_curve(
        is_class, probabilities, drop_intermediate=False
    )
    best = 1 + int(np.argmax((sensitivity - false_positive_rate)[1:]))  # the first calls nobody
    below = probabilities[probabilities < thresholds[best]]
    return DecisionThreshold(
        value=float((thresholds[best] + below.max(initial=0.0)) / 2),
        sensitivity=float(sensitivity[best]),
        specificity=float(1 - false_positive_rate[best]),
    )
