"""Measure sensitivity and specificity at thresholds that were chosen on val."""

from collections.abc import Iterator
from functools import partial

from models.card import DecisionThreshold, Metric, Record
from training.evaluation.evaluation import Evaluation, figure, numbered
from training.statistics.calibration import threshold_at_sensitivity, threshold_at_specificity
from training.statistics.metrics import occurring, sensitivity_at, share, specificity_at

LEVEL = 0.9
"""The specificity at which sensitivity is reported, and the reverse."""


class OperatingPoint(Record):
    """A class's or group's threshold with its sensitivity and specificity.

    Attributes:
        model: Name and version.
        class_name: Against all others.
        criterion: How the threshold was chosen, and on which films.
        threshold: Calibrated probability.
        sensitivity: Of the films evaluated.
        specificity: Of the same.
    """

    model: str
    class_name: str
    criterion: str
    threshold: float
    sensitivity: Metric
    specificity: Metric


def operating_points(evaluation: Evaluation, val: Evaluation | None) -> Iterator[OperatingPoint]:
    """Yield for each class and group the points at 90 % on val, and the served one.

    Without val films there is the served one only.
    """
    for number, name in numbered(evaluation.is_positive, evaluation.card.question_names):
        for threshold in _thresholds(val, number) if val else ():
            yield _point(evaluation, number, name, threshold)
        yield _point(evaluation, number, name, evaluation.card.question_thresholds[number])


def _thresholds(val: Evaluation, number: int) -> Iterator[DecisionThreshold]:
    chosen_on = val.all_probabilities[:, number], val.is_positive[:, number]
    if number in occurring(val.is_positive):
        yield threshold_at_specificity(*chosen_on, LEVEL)
        yield threshold_at_sensitivity(*chosen_on, LEVEL)


def _point(
    evaluation: Evaluation, number: int, class_name: str, threshold: DecisionThreshold
) -> OperatingPoint:
    is_class = evaluation.is_positive[:, number]
    called = evaluation.all_probabilities[:, number] >= threshold.value
    measured = {
        "sensitivity": partial(share, called, is_class),
        "specificity": partial(share, ~called, ~is_class),
    }
    return OperatingPoint(
        model=evaluation.model,
        class_name=class_name,
        criterion=threshold.criterion,
        threshold=threshold.value,
        **{
            metric: figure(metric, statistic, evaluation.films, class_name=class_name)
            for metric, statistic in measured.items()
        },
    )


def read_off_the_curve(evaluation: Evaluation) -> Iterator[Metric]:
    """Yield each class's sensitivity at 90 % specificity and the reverse, off its own ROC curve.

    A threshold fixed beforehand reaches these only by chance.
    """
    for number, name in numbered(evaluation.is_class, evaluation.card.class_names):
        columns = evaluation.probabilities[:, number], evaluation.is_class[:, number]
        yield figure(
            "sensitivity_at_90_specificity",
            partial(sensitivity_at, *columns, specificity=LEVEL),
            evaluation.films,
            class_name=name,
        )
        yield figure(
            "specificity_at_90_sensitivity",
            partial(specificity_at, *columns, sensitivity=LEVEL),
            evaluation.films,
            class_name=name,
        )
