"""Audit an exported model for shortcuts: source, covered lungs and edges, place of evidence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from models.card import ModelCard, Record
from training.audit.corner_leak import corner_row
from training.audit.covering import EdgeChanges, answered, edge_changes, edge_rows, lung_rows
from training.audit.evidence_place import evidence_rows
from training.audit.rows import AuditRow, Verdict, row_without_answer, worst
from training.audit.source_leak import last_features, source_rows
from training.data.dataset import class_numbers
from training.data.lung_regions import SeenFilms, seen_films
from training.data.manifest import Film, Split
from xai.explainer import Answers, Explainer

NOTE = (
    "Research use only. That an audit passes does not show that there is no shortcut, only that "
    "these questions found none; sources never seen in training remain the test that counts."
)


class EdgeChange(Record):
    """Change of a class's probability, over its films, when an edge is covered."""

    class_name: str
    region: str
    mean_change: float
    mean_absolute_change: float


class AuditReport(Record):
    """The result of an audit: the content of `audit.json`."""

    model: str
    version: str
    sha256: str
    split: Split
    films: int
    verdict: Verdict
    rows: tuple[AuditRow, ...]
    edges: tuple[EdgeChange, ...]
    note: str = NOTE


@dataclass(frozen=True)
class Audit:
    """A model's answers for films, and the rows that follow from them."""

    explainer: Explainer
    seen: SeenFilms
    answers: Answers
    changes: EdgeChanges
    rows: tuple[AuditRow, ...]

    @property
    def card(self) -> ModelCard:
        """The model's."""
        return self.explainer.card

    @property
    def report(self) -> AuditReport:
        """The result, to be written as JSON."""
        return AuditReport(
            model=self.card.name,
            version=self.card.version,
            sha256=self.explainer.sha256,
            split=self.seen.films[0].split,
            films=len(self.seen.films),
            verdict=worst(self.rows),
            rows=self.rows,
            edges=tuple(
                EdgeChange(
                    class_name=self.card.class_names[number],
                    region=region,
                    mean_change=self.changes.mean(region, number),
                    mean_absolute_change=self.changes.mean_absolute(region, number),
                )
                for number in np.unique(self.changes.targets).tolist()
                for region in self.changes.by_region
            ),
        )


def audited(model: Path, films: Sequence[Film], masks: dict[Path, Path]) -> Audit:
    """Audit a model on films.

    Args:
        model: ONNX file with its card.
        films: Of one split, not those it learnt from.
        masks: Lung mask file by film file, for films that have one.

    Raises:
        ValueError: The model is unfit, or a film's label is none of its classes.
    """
    explainer = Explainer(model)
    card = explainer.card
    targets = np.array(class_numbers(films, card.class_names))
    seen = seen_films(
        films,
        masks,
        image_size=card.image_size,
        resize_mode=card.resize_mode,
        crop_pct=card.crop_pct,
    )
    answers = answered(explainer, seen.pixels, "whole films")
    changes = edge_changes(explainer, seen, answers.probabilities, targets)
    rows = (
        *_source_rows(model, seen),
        *lung_rows(explainer, seen, answers.probabilities, targets),
        *edge_rows(changes, seen, card.class_names),
        corner_row(seen),
        *evidence_rows(card, answers, seen, targets),
    )
    return Audit(explainer, seen, answers, changes, rows)


def _source_rows(model: Path, seen: SeenFilms) -> Iterator[AuditRow]:
    try:
        features: Float[np.ndarray, "films features"] = last_features(model, seen.pixels)
    except ValueError as error:
        yield row_without_answer("which source", because=str(error))
        return
    yield from source_rows(features, seen)
