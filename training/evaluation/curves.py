"""Compute the points of a report's curves: ROC, precision, reliability, net benefit, risk."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from jaxtyping import Bool, Float
from sklearn.metrics import precision_recall_curve, roc_curve

from models.card import Record
from training.evaluation.evaluation import Evaluation, numbered, resamples_of
from training.statistics.bootstrap import Band, Weights
from training.statistics.metrics import BINS, IsPositive, Probabilities, Scores, counts, ratio

PROBABILITY_THRESHOLDS = np.arange(1, 100) / 100
DIGITS = 5


class Curve(Record):
    """One line of a figure.

    Attributes:
        model: Name and version.
        kind: `roc`, `precision_recall`, `reliability_unscaled`, `reliability_scaled`,
            `net_benefit`, `net_benefit_treat_all`, `risk_by_uncertainty`,
            `risk_by_distance` or `risk_by_novelty`.
        class_name: Against all others; None for curves over all classes.
        x: False positive rate, recall, mean largest probability, threshold probability, coverage.
        y: Sensitivity, precision, share that is right, net benefit, error rate.
        low: Of the 95 % interval of `y`; empty where there is none.
        high: Likewise.
    """

    model: str
    kind: str
    class_name: str | None = None
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


class Curves(Record):
    """All curves of a report: the content of `curves.json`."""

    curves: tuple[Curve, ...]


def curves(evaluation: Evaluation) -> Iterator[Curve]:
    """Yield all curves of one model."""
    for number, name in numbered(evaluation.is_class, evaluation.card.class_names):
        yield from _class_curves(evaluation, number, name)
    for when, probabilities in (
        ("unscaled", evaluation.unscaled_probabilities),
        ("scaled", evaluation.probabilities),
    ):
        confidence, band = reliability(evaluation, probabilities)
        yield _banded(evaluation.model, f"reliability_{when}", confidence, band)
    is_wrong = evaluation.probabilities.argmax(axis=1) != evaluation.targets
    for name, score in refusal_scores(evaluation).items():
        yield _line(evaluation.model, f"risk_by_{name}", *risk_coverage(score, is_wrong))


def _class_curves(evaluation: Evaluation, number: int, class_name: str) -> Iterator[Curve]:
    scores, is_class = evaluation.probabilities[:, number], evaluation.is_class[:, number]
    false_positive_rate, sensitivity, _ = roc_curve(is_class, scores)
    yield _line(evaluation.model, "roc", false_positive_rate, sensitivity, class_name)
    precision, recall, _ = precision_recall_curve(is_class, scores, drop_intermediate=True)
    yield _line(evaluation.model, "precision_recall", recall, precision, class_name)
    benefit = resamples_of(evaluation.films).band(partial(net_benefit, scores, is_class))
    axis = PROBABILITY_THRESHOLDS
    yield _banded(evaluation.model, "net_benefit", axis, benefit, class_name)
    treat_all = net_benefit(np.ones_like(scores), is_class, np.ones((1, len(scores)), np.int64))[0]
    yield _line(evaluation.model, "net_benefit_treat_all", axis, treat_all, class_name)


def net_benefit(
    scores: Scores, is_positive: IsPositive, weights: Weights
) -> Float[np.ndarray, "resamples 99"]:
    """Return the net benefit of treating films at or above each threshold probability.

    True positives per film, less false positives weighted by the odds of the threshold: the number
    of needless treatments that are accepted, at this threshold, for one that is needed. Treating
    no film has net benefit 0.

    Source:
        Vickers and Elkin 2006, Medical Decision Making 26(6).
    """
    is_treated = scores[:, None] >= PROBABILITY_THRESHOLDS
    odds = PROBABILITY_THRESHOLDS / (1 - PROBABILITY_THRESHOLDS)
    worth = np.where(is_positive[:, None], 1.0, -odds)
    return (weights @ (is_treated * worth)) / weights.sum(axis=1, keepdims=True)


def reliability(
    evaluation: Evaluation, probabilities: Probabilities
) -> tuple[Float[np.ndarray, " bins"], Band]:
    """Return, per bin of equally many films, the mean largest probability and the share right."""
    confidence = probabilities.max(axis=1)
    order = np.argsort(confidence, kind="stable")
    bins = [films for films in np.array_split(order, BINS) if len(films)]
    is_in_bin = np.stack([np.isin(np.arange(len(order)), films) for films in bins], axis=1)
    is_right = probabilities.argmax(axis=1) == evaluation.targets
    band = resamples_of(evaluation.films).band(partial(_share_by_bin, is_right, is_in_bin))
    return np.array([confidence[films].mean() for films in bins]), band


def _share_by_bin(
    is_right: IsPositive, is_in_bin: Bool[np.ndarray, "films bins"], weights: Weights
) -> Float[np.ndarray, "resamples bins"]:
    return ratio(weights @ (is_in_bin & is_right[:, None]), weights @ is_in_bin.astype(np.int64))


def refusal_scores(evaluation: Evaluation) -> dict[str, Scores]:
    """Return the scores by which films may be refused, the largest first."""
    scores = {
        "uncertainty": 1 - evaluation.probabilities.max(axis=1),
        "distance": evaluation.distance,
    }
    return scores if evaluation.novelty is None else scores | {"novelty": evaluation.novelty}


def risk_coverage(
    scores: Scores, is_wrong: IsPositive
) -> tuple[Float[np.ndarray, " thresholds"], Float[np.ndarray, " thresholds"]]:
    """Return the share of films accepted, smallest score first, and the error rate among them."""
    wrong, right = counts(-scores, is_wrong, np.ones((1, len(scores)), np.int64))
    accepted = (wrong + right)[0, 1:]
    return accepted / accepted[-1], wrong[0, 1:] / accepted


def _line(
    model: str,
    kind: str,
    x: Float[np.ndarray, " points"],
    y: Float[np.ndarray, " points"],
    class_name: str | None = None,
) -> Curve:
    return Curve(model=model, kind=kind, class_name=class_name, x=_rounded(x), y=_rounded(y))


def _banded(
    model: str,
    kind: str,
    x: Float[np.ndarray, " points"],
    band: Band,
    class_name: str | None = None,
) -> Curve:
    return Curve(
        model=model,
        kind=kind,
        class_name=class_name,
        x=_rounded(x),
        y=_rounded(band.estimate),
        low=_rounded(band.low),
        high=_rounded(band.high),
    )


def _rounded(values: Float[np.ndarray, " points"]) -> tuple[float, ...]:
    return tuple(np.round(values.astype(np.float64), DIGITS).tolist())
