"""Gather all figures of an evaluation: the content of `evaluation.json`."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field
from tqdm import tqdm

from models.card import Metric, Record, Sha256
from training.config import DataConfig
from training.data.manifest import Film, Split, manifest_sha256
from training.data.split import split_sha256
from training.evaluation.baselines import baseline_probabilities
from training.evaluation.comparison import Comparison, comparisons
from training.evaluation.curves import refusal_scores
from training.evaluation.evaluation import Evaluation, class_discrimination, discrimination, figure
from training.evaluation.leave_out_result import LeaveOutResult
from training.evaluation.operating_points import (
    OperatingPoint,
    operating_points,
    read_off_the_curve,
)
from training.evaluation.subgroups import (
    CaseMix,
    Contrast,
    SubgroupFigure,
    case_mix,
    contrasts,
    subgroup_figures,
)
from training.statistics.metrics import area_under_risk_coverage, share

WARNING = (
    "Research use only. Class and source may be confounded; figures on films of the sources that a "
    "model was trained on say little about films from elsewhere."
)
FAILURES = 12
"""How many wrong answers a report names."""


class Failure(Record):
    """A film that was classified wrongly with a high probability."""

    film: str
    source: str
    true_class: str
    predicted_class: str
    probability: float
    refused: bool


class ModelFigures(Record):
    """One model's figures.

    Attributes:
        name: Of the model.
        version: Of its weights.
        architecture: Which network.
        sha256: Hash of its file.
        is_trained_on_these_splits: Whether its training had these films in these splits; if not,
            training films may be among those that measure.
        temperature: Fitted on val.
        metrics: Discrimination and, of classes, calibration.
        refused_share: Share of films that are refused, for any reason that the card has a limit
            for: lungs, distance, novelty; of an ensemble, that any member refuses.
        unsure_share: Share of films that are neither refused nor decided.
        calibration_error_by_chance: Of a perfectly calibrated model on as few films. None for
            findings, for which all below is empty too.
        read_off_the_curve: Sensitivity at 90 % specificity and the reverse, off the ROC curve of
            the films evaluated.
        operating_points: Sensitivity and specificity at thresholds chosen on val.
        confusion_by_source: True class by row, class of the largest probability by column.
        selective: Error rate, and the areas under the risk-coverage curves.
        decisions: Share of films that are decided, how often those are right beside the others,
            and coverage and mean size of the prediction sets, of a model that gives them.
        failures: The wrong answers with the largest probabilities.
    """

    name: str
    version: str
    architecture: str
    sha256: Sha256
    is_trained_on_these_splits: bool
    temperature: float
    metrics: tuple[Metric, ...]
    refused_share: float
    unsure_share: float
    calibration_error_by_chance: float | None = None
    read_off_the_curve: tuple[Metric, ...] = ()
    operating_points: tuple[OperatingPoint, ...] = ()
    confusion_by_source: dict[str, tuple[tuple[int, ...], ...]] = Field(default_factory=dict)
    selective: tuple[Metric, ...] = ()
    decisions: tuple[Metric, ...] = ()
    failures: tuple[Failure, ...] = ()

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"


class Figures(Record):
    """All figures of one or more models on the films of one split.

    Attributes:
        schema_version: Version of this record's own shape.
        split: Of the films.
        films: How many.
        groups: How many groups they form, which are resampled as a whole.
        class_names: In the order of the logits.
        group_names: Groups of classes that a model answers beside them.
        manifest_sha256: Hash of the manifest.
        split_sha256: Hash of which film is in which split.
        case_mix: Counts of films in each split.
        models: In the order they were asked for.
        left_out: On origins never seen in training, if `cxr leave-out` measured that.
        baselines: Of trivial baselines, fitted on train. Empty for findings, as is all below.
        comparisons: Between the models.
        subgroups: By source, origin if it is known, age group, sex and view.
        contrasts: One class against one, within a source.
        note: A warning of what the figures do not show.
    """

    schema_version: Literal[1] = 1
    split: Split
    films: int
    groups: int
    class_names: tuple[str, ...]
    group_names: tuple[str, ...] = ()
    manifest_sha256: Sha256
    split_sha256: Sha256
    case_mix: tuple[CaseMix, ...]
    models: tuple[ModelFigures, ...]
    left_out: LeaveOutResult | None = None
    baselines: dict[str, tuple[Metric, ...]] = Field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()
    subgroups: tuple[SubgroupFigure, ...] = ()
    contrasts: tuple[Contrast, ...] = ()
    note: str = WARNING


def figures(
    evaluations: Sequence[Evaluation],
    vals: Sequence[Evaluation | None],
    *,
    manifest: Path,
    films: Sequence[Film],
    baselines: bool = True,
    left_out: LeaveOutResult | None = None,
    data: DataConfig | None = None,
) -> Figures:
    """Return all figures; for findings only the models' metrics.

    Args:
        evaluations: One per model, all on the same films.
        vals: The same models on val, which chooses thresholds; None where there are no such films.
        manifest: The file.
        films: All films of the manifest.
        baselines: Whether to fit and measure them, if there are training films.
        left_out: Figures that `cxr leave-out` measured.
        data: Says which sources are one origin, for subgroups by origin.

    Raises:
        ValueError: The models differ in their classes, or two have the same name and version.
    """
    check_comparable(evaluations)
    first = evaluations[0]
    train = [film for film in films if film.split == "train"]
    pairs = tqdm(list(zip(evaluations, vals, strict=True)), "measuring", unit="model", leave=False)
    models = tuple(model_figures(own, val, split_sha256(films)) for own, val in pairs)
    names = dict.fromkeys(group.name for one in evaluations for group in one.card.groups)
    described = _described(first, manifest, films, data)
    measured = partial(described, models=models, left_out=left_out, group_names=tuple(names))
    if first.is_multilabel:
        return measured()
    return measured(
        baselines=baseline_figures(train, first) if baselines and train else {},
        comparisons=tuple(comparisons(evaluations)),
        subgroups=tuple(subgroup_figures(evaluations, data)),
        contrasts=tuple(contrasts(evaluations, train)),
    )


def _described(
    evaluation: Evaluation, manifest: Path, films: Sequence[Film], data: DataConfig | None
) -> partial[Figures]:
    """Return a record of figures that describes the films, still without the figures."""
    return partial(
        Figures,
        split=evaluation.films[0].split,
        films=len(evaluation.films),
        groups=len({film.group_id for film in evaluation.films}),
        class_names=evaluation.card.class_names,
        manifest_sha256=manifest_sha256(manifest),
        split_sha256=split_sha256(films),
        case_mix=tuple(case_mix(films, data)),
    )


def check_comparable(evaluations: Sequence[Evaluation]) -> None:
    """Raise ValueError unless the models have the same classes and different names."""
    classes = {evaluation.card.class_names for evaluation in evaluations}
    if len(classes) > 1:
        raise ValueError(f"models must have the same class_names, not {sorted(classes)}")
    names = [evaluation.model for evaluation in evaluations]
    if len(set(names)) < len(names):
        raise ValueError(f"models must differ in name or version: {names}")


def model_figures(evaluation: Evaluation, val: Evaluation | None, splits: str) -> ModelFigures:
    """Return one model's figures; thresholds are chosen on `val`."""
    card = evaluation.card
    measured = partial(
        ModelFigures,
        name=card.name,
        version=card.version,
        architecture=card.architecture,
        sha256=evaluation.model_sha256,
        is_trained_on_these_splits=card.training_data.split_sha256 == splits,
        temperature=card.temperature,
        metrics=evaluation.metrics,
        refused_share=float(evaluation.is_refused.mean()),
        unsure_share=float((~evaluation.is_decided & ~evaluation.is_refused).mean()),
    )
    if evaluation.is_multilabel:
        return measured()
    return measured(
        calibration_error_by_chance=evaluation.calibration_error_by_chance,
        read_off_the_curve=tuple(read_off_the_curve(evaluation)),
        operating_points=tuple(operating_points(evaluation, val)),
        confusion_by_source={
            source: tuple(map(tuple, matrix))
            for source, matrix in evaluation.confusion_by_source().items()
        },
        selective=tuple(selective_metrics(evaluation)),
        decisions=tuple(evaluation.decision_metrics()),
        failures=tuple(failures(evaluation)),
    )


def baseline_figures(
    train: Sequence[Film], evaluation: Evaluation
) -> dict[str, tuple[Metric, ...]]:
    """Return the discrimination of each trivial baseline, fitted on `train`."""
    names = evaluation.card.class_names
    answers = baseline_probabilities(train, evaluation.films, names)
    return {
        baseline: (
            *discrimination(probabilities, evaluation.films, names),
            *class_discrimination(probabilities, evaluation.films, names),
        )
        for baseline, probabilities in answers.items()
    }


def selective_metrics(evaluation: Evaluation) -> Iterator[Metric]:
    """Yield the error rates of all and of accepted films, and areas under risk-coverage curves."""
    is_wrong = evaluation.probabilities.argmax(axis=1) != evaluation.targets
    everyone = np.full(len(is_wrong), True)
    accepted = evaluation.is_decided
    yield figure("error_rate", partial(share, is_wrong, everyone), evaluation.films)
    if accepted.any():
        statistic = partial(share, is_wrong, accepted)
        yield figure("error_rate_of_accepted", statistic, evaluation.films)
    for name, score in refusal_scores(evaluation).items():
        statistic = partial(area_under_risk_coverage, score, is_wrong)
        yield figure(f"area_under_risk_coverage_by_{name}", statistic, evaluation.films)


def failures(evaluation: Evaluation) -> Iterator[Failure]:
    """Yield the wrong answers with the largest probabilities."""
    predicted = evaluation.probabilities.argmax(axis=1)
    confidence = evaluation.probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != evaluation.targets)
    for row in wrong[np.argsort(-confidence[wrong], kind="stable")][:FAILURES]:
        film = evaluation.films[row]
        yield Failure(
            film=film.path.name,
            source=film.source,
            true_class=str(film.label),
            predicted_class=evaluation.card.class_names[predicted[row]],
            probability=float(confidence[row]),
            refused=bool(evaluation.is_refused[row]),
        )
