"""`cxr audit`: does an exported model look at the lungs, or at what came with the films?"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from models.card import ModelCard, Record
from training.audit_picture import draw_audit
from training.audit_rows import AuditRow, Verdict, row_without_answer, worst
from training.blanking import EdgeChanges, answered, edge_changes, edge_rows, lung_rows
from training.corner_leak import corner_row
from training.dataset import class_numbers
from training.evidence_place import evidence_rows
from training.lung_regions import SeenFilms, read_lung_masks, seen_films
from training.manifest import Film, Split, of_split, read_manifest
from training.source_leak import last_features, source_rows
from training.split import check_split
from xai.explainer import Answers, Explainer

NOTE = (
    "Research use only. That an audit passes does not show that there is no shortcut, only that "
    "these questions found none; sources never seen in training remain the test that counts."
)


class EdgeChange(Record):
    """How the probability of a class changes, over its films, when an edge is covered."""

    class_name: str
    region: str
    mean_change: float
    mean_absolute_change: float


class AuditReport(Record):
    """All that an audit found."""

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
    """A model's answers for films, and for the same films with parts covered."""

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
        """What was found, to be written down."""
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr audit`."""
    parser.add_argument("model", type=Path, help="ONNX file that `cxr export` wrote")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument(
        "--lungs",
        type=Path,
        help="folder with images.csv and lung_masks/; masks of --split only are read; without it "
        "the lungs are two ellipses",
    )
    parser.add_argument("--report", type=Path, help="folder for audit.json and audit.png")


def run(arguments: argparse.Namespace) -> int:
    """Print a verdict per row; exit code 0, whatever was found."""
    films = read_manifest(arguments.manifest)
    check_split(films)
    masks = (
        read_lung_masks(arguments.lungs, arguments.manifest, split=arguments.split)
        if arguments.lungs
        else {}
    )
    found = audited(arguments.model, of_split(films, arguments.split), masks)
    _say("\n".join(sentences(found.report)))
    if arguments.report:
        write_report(arguments.report, found)
        _say(f"\nwritten: {arguments.report}/audit.json, audit.png")
    return 0


def audited(model: Path, films: Sequence[Film], masks: dict[Path, Path]) -> Audit:
    """Return what the audit of a model on some films found.

    Args:
        model: ONNX file with its card.
        films: Of one split, not those it learnt from.
        masks: Lung mask file by film file, where there is one.

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
        *evidence_rows(answers.evidence, seen, targets, card.class_names),
    )
    return Audit(explainer, seen, answers, changes, rows)


def _source_rows(model: Path, seen: SeenFilms) -> Iterator[AuditRow]:
    try:
        features: Float[np.ndarray, "films features"] = last_features(model, seen.pixels)
    except ValueError as error:
        yield row_without_answer("which source", because=str(error))
        return
    yield from source_rows(features, seen)


def sentences(report: AuditReport) -> Iterator[str]:
    """Yield the report as lines for a person: verdict, figure, question; then rule and note."""
    yield f"{report.model} {report.version}, {report.split}: {report.films} films"
    yield "95 % intervals bootstrapped by group_id (1,000 resamples)\n"
    for row in report.rows:
        figure = (
            "-" if row.figure is None else f"{row.figure:.3f} ({row.low:.3f} to {row.high:.3f})"
        )
        yield f"{row.verdict:12} {figure:25} {row.question}"
        yield f"{'':38} {row.rule}"
        if row.note:
            yield f"{'':38} {row.note}"
    yield f"\n{report.verdict}: {_counted(report)}\n{report.note}"


def _counted(report: AuditReport) -> str:
    verdicts: tuple[Verdict, ...] = ("passes", "fails", "cannot tell")
    counts = {verdict: sum(row.verdict == verdict for row in report.rows) for verdict in verdicts}
    return ", ".join(f"{verdict} {count}" for verdict, count in counts.items())


def write_report(folder: Path, found: Audit) -> None:
    """Write the report as JSON, and mean maps and edges as a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "audit.json").write_text(found.report.model_dump_json(indent=2) + "\n")
    draw_audit(
        found.seen,
        found.answers.evidence,
        found.changes,
        found.card.class_names,
        folder / "audit.png",
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
