"""Compute metrics of probabilities (AUROC, calibration and others) for many resamples at once.

A film that is in a resample twice has the weight 2; one whose label is unknown, the weight 0.
`macro_auroc`, `macro_finding_auroc`, `balanced_accuracy` and `dice_coefficients` take each film
once.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from training.statistics.bootstrap import Weights

Probabilities = Float[np.ndarray, "films classes"]
Scores = Float[np.ndarray, " films"]
Targets = Int[np.ndarray, " films"]
Findings = Float[np.ndarray, "films findings"]
"""1 where a finding is present, 0 where it is absent, NaN where it is unknown."""
IsPositive = Bool[np.ndarray, " films"]
IsClass = Bool[np.ndarray, "films classes"]
Values = Float[np.ndarray, " resamples"]
BINS = 15
"""Bins of the calibration error; each holds equally many films."""


class Counts(NamedTuple):
    """Films at or above each threshold; the first is above all scores, then they fall."""

    positives: Int[np.ndarray, "resamples thresholds"]
    negatives: Int[np.ndarray, "resamples thresholds"]


def counts(scores: Scores, is_positive: IsPositive, weights: Weights) -> Counts:
    """Return how many positive and negative films have at least each score; ties are one score."""
    order = np.argsort(-scores, kind="stable")
    is_last_of_ties = np.append(np.diff(scores[order]) != 0, True)
    sorted_weights = weights[:, order]

    def cumulated(is_counted: IsPositive) -> Int[np.ndarray, "resamples thresholds"]:
        sums = np.cumsum(sorted_weights * is_counted[order], axis=1)[:, is_last_of_ties]
        return np.pad(sums, ((0, 0), (1, 0)))

    return Counts(cumulated(is_positive), cumulated(~is_positive))


def auroc(scores: Scores, is_positive: IsPositive, weights: Weights) -> Values:
    """Return the area under the ROC curve: the share of pairs in the right order, ties half.

    Source:
        Hanley and McNeil 1982, Radiology 143(1).
    """
    above = counts(scores, is_positive, weights)
    heights = above.positives[:, 1:] + above.positives[:, :-1]
    area = (np.diff(above.negatives) * heights).sum(axis=1) / 2
    return ratio(area, above.positives[:, -1] * above.negatives[:, -1])


def average_precision(scores: Scores, is_positive: IsPositive, weights: Weights) -> Values:
    """Return the average precision: its mean over the recall gained at each threshold.

    Precision is not interpolated between thresholds.
    """
    above = counts(scores, is_positive, weights)
    precision = above.positives / np.maximum(above.positives + above.negatives, 1)
    gained = np.diff(above.positives)
    return ratio((gained * precision[:, 1:]).sum(axis=1), above.positives[:, -1])


def sensitivity_at(
    scores: Scores, is_positive: IsPositive, weights: Weights, *, specificity: float
) -> Values:
    """Return the largest sensitivity whose specificity is at least the one given.

    The threshold is read off the ROC curve of the same films, which is optimistic.
    """
    above = counts(scores, is_positive, weights)
    false_positive_rate = ratio(above.negatives, above.negatives[:, -1:])
    sensitivity = ratio(above.positives, above.positives[:, -1:])
    return _largest(sensitivity, among=false_positive_rate <= 1 - specificity + 1e-9)


def specificity_at(
    scores: Scores, is_positive: IsPositive, weights: Weights, *, sensitivity: float
) -> Values:
    """Return the largest specificity whose sensitivity is at least the one given.

    The threshold is read off in the same way.
    """
    return sensitivity_at(-scores, ~is_positive, weights, specificity=sensitivity)


def _largest(values: Float[np.ndarray, "resamples thresholds"], among: NDArray[np.bool_]) -> Values:
    return np.where(among | np.isnan(values), values, 0).max(axis=1)


def area_under_risk_coverage(scores: Scores, is_wrong: IsPositive, weights: Weights) -> Values:
    """Return the area under the risk-coverage curve.

    It is the error rate among accepted films, averaged over the share that is accepted. Films with
    the smallest score are accepted first; refusing at random gives the error rate.

    Source:
        Geifman and El-Yaniv 2017, arXiv:1705.08500, for the curve; Geifman et al. 2019,
        arXiv:1805.08206, for the area.
    """
    accepted_wrong, accepted_right = counts(-scores, is_wrong, weights)
    accepted = accepted_wrong + accepted_right
    risk = accepted_wrong / np.maximum(accepted, 1)
    return ratio((np.diff(accepted) * risk[:, 1:]).sum(axis=1), accepted[:, -1])


def share(is_counted: IsPositive, among: IsPositive, weights: Weights) -> Values:
    """Return the share of films `among` that is counted: sensitivity, specificity or accuracy."""
    return ratio(weights @ (is_counted & among), weights @ among.astype(np.int64))


def brier_score(probabilities: Probabilities, is_class: IsClass, weights: Weights) -> Values:
    """Return the Brier score: the mean squared error of probabilities, summed over the classes.

    Source:
        Brier 1950, Monthly Weather Review 78(1).
    """
    errors = ((probabilities - is_class) ** 2).sum(axis=1)
    return ratio(weights @ errors, weights.sum(axis=1))


def expected_calibration_error(
    probabilities: Probabilities, targets: Targets, weights: Weights
) -> Values:
    """Return the calibration error: the mean gap between the largest probability and accuracy.

    Source:
        Guo et al. 2017, arXiv:1706.04599, equation 3; equal-mass bins as in Nixon et al. 2019,
        arXiv:1904.01685.
    """
    order = np.argsort(probabilities.max(axis=1), kind="stable")
    gap = ((probabilities.argmax(axis=1) == targets) - probabilities.max(axis=1))[order]
    drawn = (np.repeat(gap, times) for times in weights[:, order])
    return np.array([_mean_gap(films) for films in drawn])


def _mean_gap(gap: Scores) -> float:
    return float(sum(abs(films.sum()) for films in np.array_split(gap, BINS)) / len(gap))


def calibration_error_by_chance(
    probabilities: Probabilities, *, resamples: int = 1000, seed: int = 0
) -> float:
    """Return the mean calibration error if every probability were exactly right.

    It is not 0: in a bin of a few films, the share that is right differs from its expectation.

    Source:
        Broecker and Smith 2007, Weather and Forecasting 22(3), consistency resampling.
    """
    random = np.random.default_rng(seed)
    cumulated = probabilities.cumsum(axis=1)
    draws = random.random((resamples, len(probabilities), 1))
    targets = (draws > cumulated[None, :, :-1]).sum(axis=2)
    once = _once(len(probabilities))
    return float(
        np.mean([expected_calibration_error(probabilities, drawn, once) for drawn in targets])
    )


def mean_auroc(probabilities: Probabilities, is_class: IsClass, weights: Weights) -> Values:
    """Return the mean, over classes that occur, of the one-vs-rest area under the ROC curve."""
    classes = occurring(is_class)
    return np.mean([auroc(probabilities[:, k], is_class[:, k], weights) for k in classes], axis=0)


def finding_auroc(scores: Scores, finding: Float[np.ndarray, " films"], weights: Weights) -> Values:
    """Return the area under the ROC curve of one finding, over the films where it is known."""
    return auroc(scores, finding == 1, weights * ~np.isnan(finding))


def mean_finding_auroc(
    probabilities: Probabilities, findings: Findings, weights: Weights
) -> Values:
    """Return the mean AUROC of the findings that are present on some films and absent on others.

    Raises:
        ValueError: There is no such finding.
    """
    numbers = occurring(findings)
    if not numbers:
        raise ValueError("findings must hold both 0 and 1 for a finding at least")
    of_finding = [finding_auroc(probabilities[:, k], findings[:, k], weights) for k in numbers]
    return np.mean(of_finding, axis=0)


def mean_average_precision(
    probabilities: Probabilities, is_class: IsClass, weights: Weights
) -> Values:
    """Return the mean, over classes that occur, of the average precision."""
    of_class = [
        average_precision(probabilities[:, number], is_class[:, number], weights)
        for number in occurring(is_class)
    ]
    return np.mean(of_class, axis=0)


def mean_recall(probabilities: Probabilities, is_class: IsClass, weights: Weights) -> Values:
    """Return balanced accuracy: the mean recall over classes that occur.

    Source:
        Balanced accuracy of Brodersen et al. 2010, ICPR, for more than two classes.
    """
    predicted = probabilities.argmax(axis=1)
    of_class = [
        share(predicted == number, is_class[:, number], weights) for number in occurring(is_class)
    ]
    return np.mean(of_class, axis=0)


def macro_auroc(probabilities: Probabilities, targets: Targets) -> float:
    """Return `mean_auroc` of the films, each taken once."""
    return float(mean_auroc(*_of_films(probabilities, targets))[0])


def macro_finding_auroc(probabilities: Probabilities, findings: Findings) -> float:
    """Return `mean_finding_auroc` of the films, each taken once."""
    return float(mean_finding_auroc(probabilities, findings, _once(len(findings)))[0])


def balanced_accuracy(probabilities: Probabilities, targets: Targets) -> float:
    """Return `mean_recall` of the films, each taken once."""
    return float(mean_recall(*_of_films(probabilities, targets))[0])


def confusion(probabilities: Probabilities, targets: Targets) -> Int[np.ndarray, "classes classes"]:
    """Return the confusion matrix: true class by row, class of largest probability by column."""
    classes = range(probabilities.shape[1])
    return np.asarray(confusion_matrix(targets, probabilities.argmax(axis=1), labels=classes))


def occurring(truth: IsClass | Findings) -> list[int]:
    """Return the numbers of the classes, or findings, that some films have and others have not."""
    return np.flatnonzero((truth == 1).any(axis=0) & (truth == 0).any(axis=0)).tolist()


def one_hot(targets: Targets, classes: int) -> IsClass:
    """Return for each film and class whether the film has it."""
    return targets[:, None] == np.arange(classes)


def ratio(numerator: NDArray[np.number], denominator: NDArray[np.number]) -> NDArray[np.floating]:
    """Return the quotient; NaN where the denominator is 0."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    return np.divide(numerator, denominator, out=np.full(shape, np.nan), where=denominator != 0)


def _of_films(
    probabilities: Probabilities, targets: Targets
) -> tuple[Probabilities, IsClass, Weights]:
    return probabilities, one_hot(targets, probabilities.shape[1]), _once(len(targets))


def _once(films: int) -> Weights:
    return np.ones((1, films), np.int64)


def dice_coefficients(
    predicted: Bool[np.ndarray, "films *pixels"],
    true: Bool[np.ndarray, "films *pixels"],
    known: Bool[np.ndarray, "films *pixels"],
) -> Scores:
    """Return each film's Dice coefficient: twice the common area over the sum of both areas.

    Args:
        predicted: Inside the predicted outline.
        true: Inside the true one.
        known: Pixels that count; the others belong to neither outline.

    Returns:
        In [0, 1]; 1 where both are empty.

    Source:
        Dice 1945, Ecology 26(3), doi:10.2307/1932409, the coincidence index.
    """
    films = len(true)
    inside, outline = ((part & known).reshape(films, -1) for part in (predicted, true))
    both = (inside & outline).sum(axis=1)
    sizes = inside.sum(axis=1) + outline.sum(axis=1)
    return np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), 1.0)
