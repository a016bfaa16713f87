"""What a model said of films whose class is known, and how good that was."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from tqdm import tqdm

from models.card import Metric, ModelCard
from models.radiograph import network_pixels
from training.calibration import calibrated
from training.dataset import film_radiograph, film_targets
from training.manifest import Film, task_of
from training.metrics import (
    Statistic,
    balanced_accuracy,
    calibration_error_by_chance,
    class_auroc,
    confusion,
    expected_calibration_error,
    finding_auroc,
    macro_auroc,
    macro_finding_auroc,
    with_interval,
)
from xai.explainer import Answers, Explainer

Probabilities = Float[np.ndarray, "films classes"]


def explained_films(explainer: Explainer, films: Sequence[Film]) -> Iterator[Answers]:
    """Yield the answers for each film, a batch of one each, as the server gives them."""
    card = explainer.card
    for film in tqdm(films, "evaluating", unit="film", leave=False):
        pixels = network_pixels(
            film_radiograph(film),
            image_size=card.image_size,
            resize_mode=card.resize_mode,
            crop_pct=card.crop_pct,
        ).pixels
        yield explainer(pixels[None, None])


def figure(
    name: str,
    statistic: Statistic,
    probabilities: Probabilities,
    *,
    films: Sequence[Film],
    class_names: Sequence[str],
    class_name: str | None = None,
    bias_corrected: bool = False,
) -> Metric:
    """Return one statistic of the films' probabilities, its interval bootstrapped by group."""
    found = with_interval(
        statistic,
        probabilities,
        np.asarray(film_targets(films, class_names)),
        groups=[film.group_id for film in films],
        bias_corrected=bias_corrected,
    )
    return Metric(
        name=name,
        split=films[0].split,
        class_name=class_name,
        estimate=found.estimate,
        low=found.low,
        high=found.high,
    )


def discrimination(
    probabilities: Probabilities, films: Sequence[Film], class_names: Sequence[str]
) -> tuple[Metric, ...]:
    """Return macro AUROC and balanced accuracy."""
    over_all = {"macro_auroc": macro_auroc, "balanced_accuracy": balanced_accuracy}
    return tuple(
        figure(name, statistic, probabilities, films=films, class_names=class_names)
        for name, statistic in over_all.items()
    )


def class_discrimination(
    probabilities: Probabilities, films: Sequence[Film], class_names: Sequence[str]
) -> tuple[Metric, ...]:
    """Return each class's AUROC against all others."""
    return tuple(
        figure(
            "auroc",
            partial(class_auroc, number=number),
            probabilities,
            films=films,
            class_names=class_names,
            class_name=name,
        )
        for number, name in enumerate(class_names)
    )


def finding_discrimination(
    probabilities: Probabilities, films: Sequence[Film], class_names: Sequence[str]
) -> tuple[Metric, ...]:
    """Return macro AUROC, and each finding's over the films where it is known.

    A finding that is there on none or on all of them has no AUROC and is left out.
    """
    truth = np.asarray(film_targets(films, class_names))
    both = (truth == 0).any(axis=0) & (truth == 1).any(axis=0)
    measured = partial(figure, films=films, class_names=class_names)
    return (
        measured("macro_auroc", macro_finding_auroc, probabilities),
        *(
            measured("auroc", partial(finding_auroc, number=k), probabilities, class_name=name)
            for k, name in enumerate(class_names)
            if both[k]
        ),
    )


@dataclass(frozen=True)
class Evaluation:
    """A model's answers for films whose class, or whose findings, are known.

    Attributes:
        card: The model's.
        films: In the order of the rows below.
        logits: As the network gives them.
        probabilities: As the file gives them, calibrated.
        distance: From the training films.
    """

    card: ModelCard
    films: tuple[Film, ...]
    logits: Float[np.ndarray, "films classes"]
    probabilities: Probabilities
    distance: Float[np.ndarray, " films"]

    @property
    def targets(self) -> NDArray[np.generic]:
        """The true class numbers, or the findings."""
        return np.asarray(film_targets(self.films, self.card.class_names))

    @property
    def is_multilabel(self) -> bool:
        """Whether findings are independent, so that no class is the predicted one."""
        return self.card.task == "multilabel"

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Discrimination; of classes also the calibration error before and after scaling."""
        names = self.card.class_names
        if self.is_multilabel:
            return finding_discrimination(self.probabilities, self.films, names)
        before, after = (
            figure(
                f"expected_calibration_error_{when}",
                expected_calibration_error,
                probabilities,
                films=self.films,
                class_names=names,
                bias_corrected=True,
            )
            for when, probabilities in (
                ("unscaled", calibrated(self.logits, 1.0)),
                ("scaled", self.probabilities),
            )
        )
        asked = (self.probabilities, self.films, names)
        return (*discrimination(*asked), *class_discrimination(*asked), before, after)

    @cached_property
    def calibration_error_by_chance(self) -> float | None:
        """The calibration error that films this few give to a perfectly calibrated model.

        None of findings.
        """
        return None if self.is_multilabel else calibration_error_by_chance(self.probabilities)

    def confusion_by_source(self) -> dict[str, list[list[int]]]:
        """Return confusion matrices (true class by row) over all films and for each source.

        There are none of findings, which cannot be taken for each other.
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

    @property
    def refused_share(self) -> float:
        """Share of films called unlike the training films."""
        return float((self.distance > self.card.distance_threshold).mean())


def evaluated(explainer: Explainer, films: Sequence[Film]) -> Evaluation:
    """Return the model's answers for the films.

    Raises:
        ValueError: A film's label is none of the model's classes, the films say nothing of one of
            the model's findings, or have labels where the model has findings, or findings where it
            has classes.
    """
    if task_of(films) != explainer.card.task:
        raise ValueError(f"films must be {explainer.card.task}, as the model, not {task_of(films)}")
    film_targets(films, explainer.card.class_names)
    answers = list(explained_films(explainer, films))
    return Evaluation(
        card=explainer.card,
        films=tuple(films),
        logits=np.concatenate([answer.logits for answer in answers]),
        probabilities=np.concatenate([answer.probabilities for answer in answers]),
        distance=np.concatenate([answer.distance for answer in answers]),
    )
