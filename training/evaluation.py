"""What a model said of films whose class is known, and how good that was."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from models.card import Metric, ModelCard
from models.radiograph import network_pixels
from training.bootstrap import Resamples, Statistic
from training.calibration import calibrated
from training.dataset import class_numbers, film_radiograph
from training.manifest import Film
from training.metrics import (
    IsClass,
    Probabilities,
    auroc,
    average_precision,
    brier_score,
    calibration_error_by_chance,
    confusion,
    expected_calibration_error,
    mean_auroc,
    mean_average_precision,
    mean_recall,
    occurring,
    one_hot,
)
from xai.explainer import Answers, Explainer


def explained_films(explainer: Explainer, films: Sequence[Film]) -> Iterator[Answers]:
    """Yield the answers for each film, a batch of one each, as the server gives them."""
    card = explainer.card
    for film in tqdm(films, "evaluating", unit="film", leave=False):
        pixels = network_pixels(
            film_radiograph(film),
            image_size=card.image_size,
            resize_mode=card.resize_mode,
        ).pixels
        yield explainer(pixels[None, None])


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
    """Return the draws that all figures of these films share."""
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


def numbered(is_class: IsClass, class_names: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield number and name of each class that can be told from others on these films."""
    return ((number, class_names[number]) for number in occurring(is_class))


def true_classes(films: Sequence[Film], class_names: Sequence[str]) -> IsClass:
    """Return for each film and class whether it is the film's."""
    return one_hot(np.array(class_numbers(films, class_names)), len(class_names))


@dataclass(frozen=True)
class Evaluation:
    """A model's answers for films whose class is known.

    Attributes:
        card: The model's.
        model_sha256: Hash of its file.
        films: In the order of the rows below.
        logits: As the network gives them.
        probabilities: As the file gives them, calibrated.
        distance: From the training films.
    """

    card: ModelCard
    model_sha256: str
    films: tuple[Film, ...]
    logits: Float[np.ndarray, "films classes"]
    probabilities: Probabilities
    distance: Float[np.ndarray, " films"]

    @property
    def model(self) -> str:
        """Name and version."""
        return f"{self.card.name} {self.card.version}"

    @cached_property
    def targets(self) -> Int[np.ndarray, " films"]:
        """The true class numbers."""
        return np.array(class_numbers(self.films, self.card.class_names))

    @cached_property
    def is_class(self) -> IsClass:
        """For each film and class, whether it is the film's."""
        return true_classes(self.films, self.card.class_names)

    @cached_property
    def unscaled_probabilities(self) -> Probabilities:
        """The probabilities before temperature scaling."""
        return calibrated(self.logits, 1.0)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Discrimination, and calibration before and after temperature scaling."""
        asked = (self.probabilities, self.films, self.card.class_names)
        precision = partial(mean_average_precision, self.probabilities, self.is_class)
        return (
            *discrimination(*asked),
            figure("macro_average_precision", precision, self.films),
            *class_discrimination(*asked),
            *self._calibration("unscaled", self.unscaled_probabilities),
            *self._calibration("scaled", self.probabilities),
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
    def calibration_error_by_chance(self) -> float:
        """The calibration error that films this few give to a perfectly calibrated model."""
        return calibration_error_by_chance(self.probabilities)

    def confusion_by_source(self) -> dict[str, list[list[int]]]:
        """Return confusion matrices (true class by row) over all films and for each source."""
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
        ValueError: A film's label is none of the model's classes, or all films have one class.
    """
    numbers = class_numbers(films, explainer.card.class_names)
    if len(set(numbers)) < 2:
        raise ValueError(f"films must be of two classes or more, not all {films[0].label}")
    answers = list(explained_films(explainer, films))
    return Evaluation(
        card=explainer.card,
        model_sha256=explainer.sha256,
        films=tuple(films),
        logits=np.concatenate([answer.logits for answer in answers]),
        probabilities=np.concatenate([answer.probabilities for answer in answers]),
        distance=np.concatenate([answer.distance for answer in answers]),
    )
