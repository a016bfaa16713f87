"""One model's answer about one film, as the schemas of the interface have it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.card import Refusal
from models.radiograph import GridPlace, is_dicom
from service.answers.schemas import (
    ExplainedFinding,
    ExplainedGroupFinding,
    ExplainedPrediction,
    Explanation,
    Faithfulness,
    Film,
    Finding,
    GroupFinding,
    ModelIdentity,
    Prediction,
)
from service.films.decoding import Limits, Paint, SeenFilm, View, seen_film
from service.problems import FilmRefused, NoSourceInstance, UnknownClass
from xai.explainer import Answers, Explainer
from xai.heatmap import PAINTED, Status, heat
from xai.measures.localisation import shares_in_outline
from xai.outline import Outline, film_outline

USUAL_LIMITS = Limits()


@dataclass(frozen=True)
class Overlay:
    """The evidence for one class or group, to be painted over the film.

    Attributes:
        paint: The heat and its place.
        class_name: Name of the class or group.
        status: The film stays grey unless it is one of `PAINTED`.
    """

    paint: Paint
    class_name: str
    status: Status


@dataclass(frozen=True)
class FilmAnswer:
    """A film with a model's answer about it; server and commands share it.

    Attributes:
        explainer: The model; of an ensemble, which has no evidence, its card and hash.
        film: The film's size, and the pixels that the network saw.
        answers: The model's, of a batch of one.
    """

    explainer: Explainer
    film: SeenFilm
    answers: Answers

    @cached_property
    def distance(self) -> float:
        """Distance from the training films."""
        return float(self.answers.distance[0])

    @cached_property
    def novelty(self) -> float | None:
        """How unlike the training films' its acquisition is; None of a file without that output."""
        return self.answers.novelty_of(0)

    @cached_property
    def probabilities(self) -> dict[str, float]:
        """Calibrated probability of each class."""
        values = self.answers.probabilities[0].tolist()
        return dict(zip(self.explainer.card.class_names, values, strict=True))

    @cached_property
    def all_probabilities(self) -> list[float]:
        """Probabilities in the order of the card's `question_names`: classes, then groups."""
        return self.answers.all_probabilities(self.explainer.card)[0].tolist()

    @cached_property
    def all_evidence(self) -> NDArray[np.float32]:
        """Evidence in that order, [classes + groups, grid rows, grid columns]."""
        return self.answers.all_evidence[0]

    @cached_property
    def decisions(self) -> dict[str, bool | None]:
        """Decision for each class, True for present; None if the film is not decided."""
        card = self.explainer.card
        values = card.decisions(self._values, self.refusals)
        return dict(zip(card.class_names, values, strict=True))

    @property
    def is_decided(self) -> bool:
        """True if the film is not refused and one class is left."""
        return self.explainer.card.is_decided(self._values, self.refusals)

    @property
    def prediction_set(self) -> list[str] | None:
        """The classes that cannot be excluded; None of a model that excludes none."""
        return self.explainer.card.prediction_set(self._values)

    @cached_property
    def refusals(self) -> tuple[Refusal, ...]:
        """Why the film is refused; empty if it is answered."""
        return self.answers.refusals(self.explainer.card)[0]

    @property
    def in_distribution(self) -> bool:
        """True if the film is answered, not refused."""
        return not self.refusals

    @property
    def is_confident(self) -> bool:
        """True if the largest probability is large enough for a decision."""
        return self.explainer.card.is_confident(max(self.probabilities.values()))

    @property
    def most_probable_class(self) -> str:
        """The class with the largest probability, of refused and undecided films too."""
        return self.explainer.card.most_probable_class(self._values)

    @property
    def predicted_class(self) -> str | None:
        """The most probable class; None of a refused film, and where findings are independent."""
        return self.explainer.card.predicted_class(self._values, self.refusals)

    @property
    def top_class(self) -> str:
        """The most probable class, or finding, those called present before others."""
        decisions, probabilities = self.decisions, self.probabilities
        return max(probabilities, key=lambda one: (decisions[one] or False, probabilities[one]))

    @property
    def place(self) -> GridPlace:
        """Place of the evidence's grid on the film."""
        card = self.explainer.card
        cells = card.cells_on(self.answers.region_of(0))
        return self.film.input.grid_place(card.activation_grid, cells)

    @cached_property
    def lung_outline(self) -> Outline | None:
        """Outline of the lungs in film pixels; None of a model that sees the whole film."""
        return film_outline(self.answers.lungs, self.film.input)

    @cached_property
    def inside_lungs(self) -> list[float | None]:
        """Share of all positive evidence inside that outline, for each class and group; or None."""
        evidence, film = self.all_evidence, self.film
        if self.lung_outline is None:
            return [None] * len(evidence)
        size = {"rows": film.rows, "columns": film.columns}
        return shares_in_outline(evidence, self.place, self.lung_outline, **size)

    def prediction(self) -> Prediction:
        """Return the answer without explanations."""
        return Prediction(
            **self._about_the_film(),
            findings=[Finding(**self._finding(index)) for index in self._classes],
            groups=[GroupFinding(**group) for group in self._groups],
        )

    def explained_prediction(
        self, *, force: bool = False, faithfulness: Faithfulness | None = None
    ) -> ExplainedPrediction:
        """Return the answer with the evidence for every class and group.

        Args:
            force: Give the evidence even for a film unlike the training films.
            faithfulness: Result of testing the map of a class, if that was asked for.
        """
        statuses = self.statuses(force=force)
        return ExplainedPrediction(
            **self._about_the_film(),
            findings=[
                ExplainedFinding(
                    **self._finding(index), explanation=self._explanation(index, statuses[index])
                )
                for index in self._classes
            ],
            groups=[
                ExplainedGroupFinding(
                    **group, explanation=self._explanation(index, statuses[index])
                )
                for index, group in enumerate(self._groups, start=len(self._classes))
            ],
            faithfulness=faithfulness,
            lung_outline=self.lung_outline,
        )

    def overlay(self, class_name: str | None = None, *, force: bool = False) -> Overlay:
        """Return the evidence for one class or group, to be painted over the film.

        The film stays grey for one that is excluded or below its threshold, and without positive
        evidence.

        Args:
            class_name: Name of the class or group; None is the top class.
            force: Paint even a film unlike the training films.

        Raises:
            UnknownClass: The model has no such class.
            FilmRefused: The film is refused.
        """
        class_name = class_name or self.top_class
        check_class(self.explainer, class_name)
        index = self.explainer.card.question_names.index(class_name)
        status = self.statuses(force=force)[index]
        if status is Status.OUT_OF_DISTRIBUTION:
            [why] = self.answers.reasons(self.explainer.card)
            raise FilmRefused(f"{' '.join(why.values())} Ask for JSON, or add ?force=true.")
        return Overlay(self._paint(index, coloured=status in PAINTED), class_name, status)

    @property
    def _values(self) -> list[float]:
        return list(self.probabilities.values())

    @property
    def _classes(self) -> range:
        return range(len(self.explainer.card.class_names))

    def _about_the_film(self) -> dict[str, Any]:
        card, film = self.explainer.card, self.film
        return {
            "model": ModelIdentity(
                name=card.name,
                version=card.version,
                sha256=self.explainer.sha256,
                evidence_scale=card.evidence_scale,
            ),
            "film": Film(rows=film.rows, columns=film.columns, format=film.format),
            "mask": film.mask,
            "distance": self.distance,
            "distance_threshold": card.distance_threshold,
            "novelty": self.novelty,
            "novelty_threshold": card.novelty_threshold,
            "in_distribution": self.in_distribution,
            "refusals": list(self.refusals),
            "confidence_threshold": card.confidence_threshold,
            "is_confident": self.is_confident,
            "is_decided": self.is_decided,
            "prediction_set": self.prediction_set,
            "predicted_class": self.predicted_class,
            "most_probable_class": self.most_probable_class,
        }

    def _finding(self, index: int) -> dict[str, Any]:
        card = self.explainer.card
        class_name = card.class_names[index]
        return {
            "class_name": class_name,
            "logit": float(self.answers.logits[0, index]),
            "probability": self.probabilities[class_name],
            "threshold": card.decision_thresholds[index].value,
            "excluded_below": card.excluded_below(index),
            "decision": self.decisions[class_name],
        }

    @property
    def _groups(self) -> list[dict[str, Any]]:
        card = self.explainer.card
        probabilities = self.all_probabilities[len(card.class_names) :]
        decisions = card.group_decisions(probabilities, self.refusals)
        log_odds = self.answers.group_log_odds(card)[0].tolist()
        return [
            {
                "name": group.name,
                "class_names": group.class_names,
                "log_odds": odds,
                "probability": probability,
                "threshold": group.threshold.value,
                "decision": decision,
                "evidence_scale": group.evidence_scale,
            }
            for group, odds, probability, decision in zip(
                card.groups, log_odds, probabilities, decisions, strict=True
            )
        ]

    def statuses(self, *, force: bool) -> list[Status]:
        """Return whether each map may be read as an explanation, in the order of `question_names`.

        Args:
            force: Ignore that the film is refused.
        """
        [statuses] = self.answers.map_statuses(self.explainer.card, force=force)
        return statuses

    def _explanation(self, index: int, status: Status) -> Explanation:
        card = self.explainer.card
        withheld = status is Status.OUT_OF_DISTRIBUTION
        return Explanation(
            status=status,
            method=card.method,
            target_layer=card.target_layer,
            evidence=None if withheld else self.all_evidence[index].tolist(),
            inside_lungs=None if withheld else self.inside_lungs[index],
            **self.place._asdict(),
        )

    def _paint(self, index: int, *, coloured: bool) -> Paint:
        warm = heat(self.all_evidence[index], self.explainer.card.question_scales[index])
        return Paint(warm * np.float32(coloured), self.place, self.lung_outline)


def answer_film(explainer: Explainer, film: bytes, limits: Limits = USUAL_LIMITS) -> FilmAnswer:
    """Decode a film and return a model's answer about it.

    Args:
        explainer: The model.
        film: Bytes of a PNG, JPEG, TIFF or DICOM file.
        limits: Most bytes and pixels that it may have.

    Raises:
        RadiographError: The film can't be used.
    """
    seen = seen_film(film, View.of(explainer.card), limits)
    return FilmAnswer(explainer, seen, explainer(seen.input.pixels[None, None]))


def check_is_source(film: bytes) -> None:
    """Raise NoSourceInstance unless DICOM objects can be derived from the film."""
    if not is_dicom(film):
        raise NoSourceInstance("DICOM results refer to a DICOM film; this film is none.")


def check_class(explainer: Explainer, class_name: str | None) -> None:
    """Raise UnknownClass unless the model has this class or group (or None is asked for)."""
    names = explainer.card.question_names
    if class_name is not None and class_name not in names:
        raise UnknownClass(f"The classes of {explainer.card.name} are {', '.join(names)}.")
