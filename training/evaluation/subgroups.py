"""Measure models in subgroups by source, origin, age group, sex and view; class against class."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool

from models.card import Metric, Record
from training.config import DataConfig
from training.data.manifest import Film
from training.evaluation.baselines import class_shares
from training.evaluation.evaluation import Evaluation, figure
from training.statistics.bootstrap import Statistic, Weights
from training.statistics.metrics import Values, auroc, share

Attribute = Literal["source", "origin", "age_group", "sex", "view"]
SMALLEST = 10
"""Fewer films of a kind get no figure: its interval would span most of the scale."""

Rows = Bool[np.ndarray, " films"]


class CaseMix(Record):
    """Number of films and groups of one kind in each split.

    Attributes:
        attribute: Of the film: `label` or `finding`, `source`, `origin`, `age_group`, `sex` or
            `view`.
        value: Of the attribute; or the finding that is present.
        films: By split.
        groups: By split; films of one group are not independent.
    """

    attribute: str
    value: str
    films: dict[str, int]
    groups: dict[str, int]


class SubgroupFigure(Record):
    """Figures of one class, or group of classes, among the films of a subgroup.

    Attributes:
        attribute: Of the film.
        value: Of the attribute.
        class_name: Against all others.
        positives: Films of the class.
        negatives: Films of others.
        auroc: By model; empty where there are fewer than 10 of either kind.
        recall: Share of the class's films that are classified as it, by model; empty below 10. Of a
            group, the share that reaches its threshold.
    """

    attribute: Attribute
    value: str
    class_name: str
    positives: int
    negatives: int
    auroc: dict[str, Metric]
    recall: dict[str, Metric]


class Contrast(Record):
    """One class against another within one source, where the scanner gives little away.

    Attributes:
        source: Of the films.
        positive: The class that should get the higher score.
        negative: The other.
        films: Of each, in this order.
        view_alone: AUROC of the share of `positive` among the source's training films of the same
            view; None without such films, or where a class has fewer than 10 films here.
        auroc: Of the difference of the two logits, by model; empty likewise.
    """

    source: str
    positive: str
    negative: str
    films: tuple[int, int]
    view_alone: Metric | None
    auroc: dict[str, Metric]


def values_by_attribute(
    films: Sequence[Film], data: DataConfig | None
) -> dict[Attribute, list[str]]:
    """Return each film's value of each attribute; of `origin` only if `data` says what one is."""
    found: dict[Attribute, list[str]] = {
        attribute: [getattr(film, attribute) for film in films]
        for attribute in get_args(Attribute)
        if attribute != "origin"
    }
    if data:
        found["origin"] = [data.origin(film.source) for film in films]
    return found


def case_mix(films: Sequence[Film], data: DataConfig | None = None) -> Iterator[CaseMix]:
    """Yield the counts of every finding, or label, and of every value of every attribute."""
    for finding, _ in films[0].findings:
        positive = [film for film in films if (finding, True) in film.findings]
        yield _counted("finding", finding, positive)
    of_film: dict[str, list[str | None]] = {"label": [film.label for film in films]}
    for attribute, values in (of_film | values_by_attribute(films, data)).items():
        for value in sorted({value for value in values if value is not None}):
            chosen = [film for film, own in zip(films, values, strict=True) if own == value]
            yield _counted(attribute, value, chosen)


def _counted(attribute: str, value: str, films: Sequence[Film]) -> CaseMix:
    groups = {(film.split, film.group_id) for film in films}
    return CaseMix(
        attribute=attribute,
        value=value,
        films=Counter(film.split for film in films),
        groups=Counter(split for split, _ in groups),
    )


def subgroup_figures(
    evaluations: Sequence[Evaluation], data: DataConfig | None = None
) -> Iterator[SubgroupFigure]:
    """Yield each class's and group's figures in every subgroup in which it occurs."""
    first = evaluations[0]
    for attribute, values in values_by_attribute(first.films, data).items():
        for value in sorted(set(values)):
            rows = np.array(values) == value
            for number in np.flatnonzero(first.is_positive[rows].any(axis=0)):
                yield _subgroup_figure(evaluations, attribute, value, rows, int(number))


def _subgroup_figure(
    evaluations: Sequence[Evaluation], attribute: Attribute, value: str, rows: Rows, number: int
) -> SubgroupFigure:
    first = evaluations[0]
    is_class = first.is_positive[:, number]
    positives, negatives = int((rows & is_class).sum()), int((rows & ~is_class).sum())
    name = first.card.question_names[number]
    having = [evaluation for evaluation in evaluations if name in evaluation.card.question_names]
    ranked: dict[str, Statistic] = {}
    recalled: dict[str, Statistic] = {}
    if positives >= SMALLEST:
        recalled = {
            one.model: partial(share, _classified_as(one, name), rows & is_class) for one in having
        }
        if negatives >= SMALLEST:
            ranked = {
                one.model: among(rows, partial(auroc, _scores(one, name)[rows], is_class[rows]))
                for one in having
            }
    return SubgroupFigure(
        attribute=attribute,
        value=value,
        class_name=name,
        positives=positives,
        negatives=negatives,
        auroc=_figures("auroc", ranked, first.films, name),
        recall=_figures("recall", recalled, first.films, name),
    )


def _scores(evaluation: Evaluation, name: str) -> Values:
    """Return the probability of a class or group on each film."""
    return evaluation.all_probabilities[:, evaluation.card.question_names.index(name)]


def _classified_as(evaluation: Evaluation, name: str) -> Rows:
    """Return whether a class is each film's most probable one, or a group reaches its threshold."""
    number = evaluation.card.question_names.index(name)
    if number < len(evaluation.card.class_names):
        return evaluation.probabilities.argmax(axis=1) == number
    return evaluation.is_called(number)


def contrasts(evaluations: Sequence[Evaluation], train: Sequence[Film]) -> Iterator[Contrast]:
    """Yield the contrast of every pair of classes within every source."""
    first = evaluations[0]
    sources = np.array([film.source for film in first.films])
    for source in sorted(set(sources.tolist())):
        rows = sources == source
        numbers = np.flatnonzero(first.is_class[rows].any(axis=0)).tolist()
        for negative, positive in combinations(numbers, 2):
            yield _contrast(evaluations, train, rows, positive=positive, negative=negative)


def _contrast(
    evaluations: Sequence[Evaluation],
    train: Sequence[Film],
    source: Rows,
    *,
    positive: int,
    negative: int,
) -> Contrast:
    first = evaluations[0]
    names = first.card.class_names
    of_pair = first.is_class[:, [negative, positive]]
    rows = source & of_pair.any(axis=1)
    films = [film for film, is_in in zip(first.films, rows, strict=True) if is_in]
    counts = of_pair[rows].sum(axis=0)
    statistics: dict[str, Statistic] = {}
    if counts.min() >= SMALLEST:
        scores = {
            evaluation.model: evaluation.logits[rows, positive] - evaluation.logits[rows, negative]
            for evaluation in evaluations
        }
        same_source = [film for film in train if film.source == films[0].source]
        if same_source:
            pair = (names[negative], names[positive])
            scores[VIEW_ALONE] = view_scores(same_source, films, pair)
        statistics = {
            model: among(rows, partial(auroc, score, of_pair[rows, 1]))
            for model, score in scores.items()
        }
    found = _figures("auroc", statistics, first.films, names[positive])
    return Contrast(
        source=films[0].source,
        positive=names[positive],
        negative=names[negative],
        films=(int(counts[1]), int(counts[0])),
        view_alone=found.pop(VIEW_ALONE, None),
        auroc=found,
    )


VIEW_ALONE = "view alone"


def view_scores(train: Sequence[Film], films: Sequence[Film], pair: tuple[str, str]) -> Values:
    """Return the share of the second class among training films of the same view."""
    of_pair = [film for film in train if film.label in pair]
    return class_shares(of_pair, films, pair, attribute="view")[:, 1]


def among(rows: Rows, statistic: Statistic) -> Statistic:
    """Return the statistic of some of the films, on resamples of all films."""

    def of_rows(weights: Weights) -> Values:
        return statistic(weights[:, rows])

    return of_rows


def _figures(
    name: str, statistics: dict[str, Statistic], films: Sequence[Film], class_name: str
) -> dict[str, Metric]:
    return {
        model: figure(name, statistic, films, class_name=class_name)
        for model, statistic in statistics.items()
    }
