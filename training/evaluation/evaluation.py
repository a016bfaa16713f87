"""Evaluate models on films whose class or findings are known: answers and their metrics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import repeat
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from tqdm import tqdm

from models.card import Metric, ModelCard, Refusal
from models.radiograph import Radiograph
from training.data.dataset import class_numbers, film_radiograph, film_targets, seen_by
from training.data.manifest import Film, Split, of_split, task_of
from training.statistics.bootstrap import Resamples, Statistic
from training.statistics.calibration import calibrated
from training.statistics.conformal import (
    decision_statistics,
    prediction_sets,
    set_statistics,
)
from training.statistics.metrics import (
    IsClass,
    Probabilities,
    auroc,
    average_precision,
    brier_score,
    calibration_error_by_chance,
    confusion,
    expected_calibration_error,
    finding_auroc,
    mean_auroc,
    mean_average_precision,
    mean_finding_auroc,
    mean_recall,
    occurring,
    one_hot,
    share,
)
from xai.ensemble import Ensemble
from xai.explainer import Answers, Explainer, group_probabilities


def explained_films(model: Explainer | Ensemble, films: Sequence[Film]) -> Iterator[Answers]:
    """Yield the model's answers film by film, in batches of one as in the server."""
    for film in tqdm(films, "evaluating", unit="film", leave=False):
        radiograph = film_radiograph(film)
        if isinstance(model, Ensemble):
            yield model.answers([_answers(member, radiograph) for member in model.members])
        else:
            yield _answers(model, radiograph)


def _answers(explainer: Explainer, radiograph: Radiograph) -> Answers:
    return explainer(seen_by(explainer.card, radiograph).pixels[None, None])


def figure(
    name: str,
    statistic: Statistic,
    films: Sequence[Film],
    *,
    class_name: str | None = None,
    bias_corrected: bool = False,
) -> Metric:
    """Return one statistic of the films, its interval bootstrapped by group."""
    found = resamples_of(films).estimate(statistic, bias_corrected=bias_corrected)
    return Metric(
        name=name,
        split=films[0].split,
        class_name=class_name,
        estimate=found.estimate,
        low=found.low,
        high=found.high,
    )


def resamples_of(films: Sequence[Film]) -> Resamples:
    """Return the resamples that all figures of these films share."""
    return _resamples(tuple(film.group_id for film in films))


_resamples = lru_cache(maxsize=4)(Resamples)


def discrimination(
    probabilities: Probabilities, films: Sequence[Film], class_names: Sequence[str]
) -> tuple[Metric, ...]:
    """Return macro AUROC and balanced accuracy."""
    is_class = true_classes(films, class_names)
    over_all = {"macro_auroc": mean_auroc, "balanced_accuracy": mean_recall}
    return tuple(
        figure(name, partial(statistic, probabilities, is_class), films)
        for name, statistic in over_all.items()
    )


def class_discrimination(
    probabilities: Probabilities, films: Sequence[Film], class_names: Sequence[str]
) -> tuple[Metric, ...]:
    """Return each class's AUROC and average precision against all others."""
    is_class = true_classes(films, class_names)
    of_class = {"auroc": auroc, "average_precision": average_precision}
    return tuple(
        figure(
            metric,
            partial(statistic, probabilities[:, number], is_class[:, number]),
            films,
            class_name=name,
        )
        for metric, statistic in of_class.items()
        for number, name in numbered(is_class, class_names)
    )


def finding_discrimination(
    probabilities: Probabilities, films: Sequence[Film], class_names: Sequence[str]
) -> tuple[Metric, ...]:
    """Return macro AUROC, and each finding's over the films where it is known.

    A finding that is present on none or on all of them has no AUROC and is left out.
    """
    findings = np.asarray(film_targets(films, class_names))
    return (
        figure("macro_auroc", partial(mean_finding_auroc, probabilities, findings), films),
        *(
            figure(
                "auroc",
                partial(finding_auroc, probabilities[:, number], findings[:, number]),
                films,
                class_name=class_names[number],
            )
            for number in occurring(findings)
        ),
    )


def numbered(is_class: IsClass, class_names: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield number and name of each class that some of the films have and others have not."""
    return ((number, class_names[number]) for number in occurring(is_class))


def true_classes(films: Sequence[Film], class_names: Sequence[str]) -> IsClass:
    """Return for each film and class whether the film has it."""
    return one_hot(np.array(class_numbers(films, class_names)), len(class_names))


@dataclass(frozen=True)
class Evaluation:
    """A model's answers for films whose class, or whose findings, are known.

    Attributes:
        card: The model's.
        model_sha256: Hash of its file.
        films: In the order of the rows below.
        logits: As the network gives them.
        probabilities: As the file gives them, calibrated.
        distance: From the training films.
        lung_figures: Area, balance and stray; None of a model that sees the whole film.
        novelty: Of the films' acquisition; None of a file without that output.
        of_members: Why any member of an ensemble refuses each film; None of a model.
    """

    card: ModelCard
    model_sha256: str
    films: tuple[Film, ...]
    logits: Float[np.ndarray, "films classes"]
    probabilities: Probabilities
    distance: Float[np.ndarray, " films"]
    lung_figures: Float[np.ndarray, "films 3"] | None = None
    novelty: Float[np.ndarray, " films"] | None = None
    of_members: tuple[tuple[Refusal, ...], ...] | None = None

    @property
    def model(self) -> str:
        """Name and version."""
        return f"{self.card.name} {self.card.version}"

    @cached_property
    def targets(self) -> NDArray[np.generic]:
        """The true class numbers, or the findings."""
        return np.asarray(film_targets(self.films, self.card.class_names))

    @property
    def is_multilabel(self) -> bool:
        """Whether findings are independent, so that no class is the predicted one."""
        return self.card.task == "multilabel"

    @cached_property
    def is_class(self) -> IsClass:
        """For each film and class, whether the film has it."""
        return true_classes(self.films, self.card.class_names)

    @cached_property
    def all_probabilities(self) -> Probabilities:
        """The probabilities of every class, then of every group of classes."""
        of_groups = group_probabilities(self.probabilities, self.card)
        return np.concatenate([self.probabilities, of_groups], axis=1)

    @cached_property
    def is_positive(self) -> IsClass:
        """For each film, and each class and group in that order, whether the film has it."""
        of_groups = group_probabilities(self.is_class.astype(float), self.card) > 0
        return np.concatenate([self.is_class, of_groups], axis=1)

    def is_called(self, number: int) -> Bool[np.ndarray, " films"]:
        """Return whether each film reaches the served threshold of a class or group."""
        return self.all_probabilities[:, number] >= self.card.question_thresholds[number].value

    @cached_property
    def unscaled_probabilities(self) -> Probabilities:
        """The probabilities before temperature scaling."""
        return calibrated(self.logits, 1.0, task=self.card.task)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Discrimination; of classes also calibration before and after temperature scaling.

        Groups of classes come last.
        """
        asked = (self.probabilities, self.films, self.card.class_names)
        if self.is_multilabel:
            return finding_discrimination(*asked)
        precision = partial(mean_average_precision, self.probabilities, self.is_class)
        return (
            *discrimination(*asked),
            figure("macro_average_precision", precision, self.films),
            *class_discrimination(*asked),
            *self._calibration("unscaled", self.unscaled_probabilities),
            *self._calibration("scaled", self.probabilities),
            *self._of_groups(),
        )

    def _of_groups(self) -> Iterator[Metric]:
        """Yield the figures of each group that some films have and others have not."""
        for number, name in numbered(self.is_positive, self.card.question_names):
            if number < len(self.card.class_names):
                continue
            scores, truth = self.all_probabilities[:, number], self.is_positive[:, number]
            called = self.is_called(number)
            statistics: dict[str, Statistic] = {
                "auroc": partial(auroc, scores, truth),
                "average_precision": partial(average_precision, scores, truth),
                "sensitivity": partial(share, called, truth),
                "specificity": partial(share, ~called, ~truth),
                "brier_score_scaled": partial(brier_score, scores[:, None], truth[:, None]),
            }
            for metric, statistic in statistics.items():
                yield figure(metric, statistic, self.films, class_name=name)
            both = np.stack([1 - scores, scores], axis=1)
            error = partial(expected_calibration_error, both, truth.astype(np.int64))
            yield figure(
                "expected_calibration_error_scaled",
                error,
                self.films,
                class_name=name,
                bias_corrected=True,
            )

    def _calibration(self, when: str, probabilities: Probabilities) -> Iterator[Metric]:
        error = partial(expected_calibration_error, probabilities, self.targets)
        name = f"expected_calibration_error_{when}"
        yield figure(name, error, self.films, bias_corrected=True)
        score = partial(brier_score, probabilities, self.is_class)
        yield figure(f"brier_score_{when}", score, self.films)
        for number, class_name in enumerate(self.card.class_names):
            columns = probabilities[:, [number]], self.is_class[:, [number]]
            score = partial(brier_score, *columns)
            yield figure(f"brier_score_{when}", score, self.films, class_name=class_name)

    @cached_property
    def calibration_error_by_chance(self) -> float | None:
        """Calibration error of a perfectly calibrated model on as few films; None of findings."""
        return None if self.is_multilabel else calibration_error_by_chance(self.probabilities)

    def confusion_by_source(self) -> dict[str, list[list[int]]]:
        """Return confusion matrices (true class by row) over all films and for each source.

        There are none of findings, which do not exclude each other.
        """
        if self.is_multilabel:
            return {}
        sources = np.array([film.source for film in self.films])
        chosen = {"all": np.full(len(sources), True)}
        chosen |= {source: sources == source for source in sorted(set(sources.tolist()))}
        return {
            name: confusion(self.probabilities[rows], self.targets[rows]).tolist()
            for name, rows in chosen.items()
        }

    @cached_property
    def refusals(self) -> list[tuple[Refusal, ...]]:
        """Why each film is refused; empty if it is answered."""
        if self.of_members is not None:
            return list(self.of_members)
        figures = repeat(None) if self.lung_figures is None else self.lung_figures.tolist()
        novelty = repeat(None) if self.novelty is None else self.novelty.tolist()
        films = zip(self.distance.tolist(), figures, novelty, strict=False)
        return [self.card.refusals(*film) for film in films]

    @property
    def is_refused(self) -> Bool[np.ndarray, " films"]:
        """Whether each film is refused, whatever for."""
        return np.array([bool(reasons) for reasons in self.refusals])

    @cached_property
    def is_decided(self) -> Bool[np.ndarray, " films"]:
        """Whether the model decides about each film."""
        films = zip(self.probabilities.tolist(), self.refusals, strict=True)
        return np.array([self.card.is_decided(*film) for film in films])

    def decision_metrics(self) -> Iterator[Metric]:
        """Yield how many films are decided and right, and coverage and size of their sets.

        There are none of findings, each of which is decided for itself. Refused films count as
        undecided; the sets are those of all films.
        """
        if self.is_multilabel:
            return
        everyone = np.full(len(self.films), True)
        is_right = self.probabilities.argmax(axis=1) == self.targets
        statistics = decision_statistics(self.is_decided, is_right, everyone)
        quantiles = self.card.conformal_quantiles
        sets = None if quantiles is None else prediction_sets(self.probabilities, quantiles)
        if sets is not None:
            statistics |= set_statistics(sets, self.is_class, everyone)
        for name, statistic in statistics.items():
            yield figure(name, statistic, self.films)
        for number, class_name in numbered(self.is_class, self.card.class_names):
            if sets is not None:
                of_class = partial(share, sets[:, number], self.is_class[:, number])
                yield figure("set_coverage", of_class, self.films, class_name=class_name)


def evaluated(explainer: Explainer | Ensemble, films: Sequence[Film]) -> Evaluation:
    """Return the answers of a model, or of an ensemble, for the films.

    Raises:
        ValueError: The films' task is not the model's, a label is none of its classes, a finding of
            its is unknown to the manifest, or all films have the same class.
    """
    if task_of(films) != explainer.card.task:
        raise ValueError(f"films must be {explainer.card.task}, as the model, not {task_of(films)}")
    targets = np.asarray(film_targets(films, explainer.card.class_names))
    if targets.ndim == 1 and len(np.unique(targets)) < 2:
        raise ValueError(f"films must be of two classes or more, not all {films[0].label}")
    answers = Answers.joined(list(explained_films(explainer, films)))
    card, is_ensemble = explainer.card, isinstance(explainer, Ensemble)
    return Evaluation(
        card=card,
        model_sha256=explainer.sha256,
        films=tuple(films),
        logits=answers.logits,
        probabilities=answers.probabilities,
        distance=answers.distance,
        lung_figures=answers.lung_figures,
        novelty=answers.novelty,
        of_members=tuple(answers.refusals(card)) if is_ensemble else None,
    )


def evaluated_models(
    models: Sequence[Path], films: Sequence[Film], split: Split
) -> tuple[list[Evaluation], list[Evaluation | None]]:
    """Return each model's answers for the films of a split, and for val.

    Answers for val are None where no threshold is chosen by them: without val films, or with
    findings.

    Args:
        models: ONNX files, and JSON files of ensembles of models beside them.
        films: All films of the manifest.
        split: To be evaluated.
    """
    chosen = of_split(films, split)
    val = [film for film in films if film.split == "val"]
    asked: list[Evaluation] = []
    vals: list[Evaluation | None] = []
    for model in models:
        explainer = Ensemble.beside(model) if model.suffix == ".json" else Explainer(model)
        asked.append(evaluated(explainer, chosen))
        if split == "val":
            vals.append(asked[-1])
        else:
            has_use = val and not asked[-1].is_multilabel
            vals.append(evaluated(explainer, val) if has_use else None)
    return asked, vals
