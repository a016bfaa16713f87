"""Compare models on the same films: differences of their figures, with intervals."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations

from models.card import Metric, Record
from training.evaluation.evaluation import Evaluation, figure, numbered
from training.statistics.bootstrap import Statistic, Weights
from training.statistics.delong import delong_difference
from training.statistics.metrics import IsPositive, Scores, Values, auroc, mean_auroc, mean_recall


class DeLongTest(Record):
    """DeLong's interval and two-sided p-value of no difference; films count as independent."""

    low: float
    high: float
    p_value: float


class Comparison(Record):
    """Difference of a figure between two models.

    Attributes:
        first: Name and version.
        second: Likewise.
        difference: First minus second, with the paired bootstrap by group.
        delong: Of a class's AUROC; None for other figures, and with a single film of a kind.
    """

    first: str
    second: str
    difference: Metric
    delong: DeLongTest | None = None


def comparisons(evaluations: Sequence[Evaluation]) -> Iterator[Comparison]:
    """Yield all differences between all pairs of models."""
    for first, second in combinations(evaluations, 2):
        yield from _over_all(first, second)
        yield from _by_class(first, second)


def _over_all(first: Evaluation, second: Evaluation) -> Iterator[Comparison]:
    for name, statistic in (("macro_auroc", mean_auroc), ("balanced_accuracy", mean_recall)):
        pair = (
            partial(statistic, model.probabilities, model.is_class) for model in (first, second)
        )
        yield Comparison(
            first=first.model,
            second=second.model,
            difference=figure(name, minus(*pair), first.films),
        )


def _by_class(first: Evaluation, second: Evaluation) -> Iterator[Comparison]:
    for number, class_name in numbered(first.is_class, first.card.class_names):
        is_class = first.is_class[:, number]
        scores, others = first.probabilities[:, number], second.probabilities[:, number]
        statistic = minus(partial(auroc, scores, is_class), partial(auroc, others, is_class))
        yield Comparison(
            first=first.model,
            second=second.model,
            difference=figure("auroc", statistic, first.films, class_name=class_name),
            delong=_delong(scores, others, is_class),
        )


def _delong(scores: Scores, others: Scores, is_class: IsPositive) -> DeLongTest | None:
    if min(is_class.sum(), (~is_class).sum()) < 2:
        return None
    found = delong_difference(scores, others, is_class)
    return DeLongTest(low=found.low, high=found.high, p_value=found.p_value)


def minus(first: Statistic, second: Statistic) -> Statistic:
    """Return the difference of two statistics on the same resamples."""

    def difference(weights: Weights) -> Values:
        return first(weights) - second(weights)

    return difference
