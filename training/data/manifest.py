"""Read a manifest: a CSV with one film (a chest radiograph as a file) per row.

Either every film has one class, in the column `label` (multi-class), or each finding is present,
absent or unknown: columns `finding:<Name>` with `1`, `0` or nothing (multi-label).
"""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

import numpy as np

from models.card import Task

T = TypeVar("T")
Split = Literal["train", "val", "test"]
REQUIRED_COLUMNS = ("path", "patient_id", "split")
FINDING = "finding:"
"""Prefix of the columns of findings."""
VALUES: dict[str | None, bool | None] = {"1": True, "0": False, "": None}
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Film:
    """One film of a manifest.

    Attributes:
        path: The film's file.
        label: Its class; None where the manifest has findings instead.
        patient_id: The film's patient.
        group_id: Films that must stay together (patient, near-duplicates, series).
        source: Where the film comes from.
        split: Train, val or test.
        view: How the film was taken (PA, AP, ...).
        sex: The patient's.
        age_group: The patient's, as the manifest has it.
        findings: Name of each finding, in the manifest's order, and whether it is present; None if
            unknown. Empty where the film has a class.
    """

    path: Path
    label: str | None
    patient_id: str
    group_id: str
    source: str
    split: Split
    view: str = UNKNOWN
    sex: str = UNKNOWN
    age_group: str = UNKNOWN
    findings: tuple[tuple[str, bool | None], ...] = ()


F = TypeVar("F", bound=Film)


def read_manifest(manifest: Path) -> tuple[Film, ...]:
    """Return the films of a manifest.

    Columns `path` (below the manifest's folder), `patient_id` and `split` are required, and either
    `label` or one `finding:<Name>` or more; `group_id` defaults to the patient, `source`, `view`,
    `sex` and `age_group` to "unknown"; others are ignored.

    Raises:
        ValueError: The file is absent, a column is missing, there are both labels and findings, a
            cell is empty, a finding has another value than 1, 0 or nothing, a split has another
            name than train, val or test, or a film's file does not exist.
    """
    if not manifest.is_file():
        raise ValueError(f"manifest {manifest} does not exist")
    with manifest.open(newline="") as file:
        rows = csv.DictReader(file)
        absent = set(REQUIRED_COLUMNS) - set(rows.fieldnames or ())
        if absent:
            raise ValueError(f"manifest {manifest} lacks the columns {sorted(absent)}")
        truth = _truth_columns(rows.fieldnames or (), manifest)
        films = tuple(
            _film(row, truth, f"line {rows.line_num} of {manifest}", manifest.parent)
            for row in rows
        )
    _check_files_exist(films)
    return films


def _truth_columns(columns: Sequence[str], manifest: Path) -> tuple[str, ...]:
    """Return the columns of a film's ground truth: `label`, or those of its findings."""
    findings = tuple(column for column in columns if column.startswith(FINDING))
    if ("label" in columns) == bool(findings):
        raise ValueError(
            f"manifest {manifest} must have either a column 'label' or columns '{FINDING}<Name>', "
            f"not {'both' if findings else 'neither'}"
        )
    if FINDING in findings or len(set(findings)) < len(findings):
        raise ValueError(f"manifest {manifest} must name each finding once: {findings}")
    return findings or ("label",)


def _film(row: dict[str, str], truth: tuple[str, ...], where: str, folder: Path) -> Film:
    has_label = truth == ("label",)
    for column in (*REQUIRED_COLUMNS, *(truth if has_label else ())):
        if not row[column]:
            raise ValueError(f"{where}: column {column!r} must not be empty")
    if row["split"] not in get_args(Split):
        raise ValueError(f"{where}: split must be train, val or test, not {row['split']!r}")
    return Film(
        path=folder / row["path"],
        label=row["label"] if has_label else None,
        patient_id=row["patient_id"],
        group_id=row.get("group_id") or row["patient_id"],
        source=row.get("source") or UNKNOWN,
        split=row["split"],  # type: ignore[arg-type]  # checked above
        view=row.get("view") or UNKNOWN,
        sex=row.get("sex") or UNKNOWN,
        age_group=row.get("age_group") or UNKNOWN,
        findings=() if has_label else tuple(_finding(row, column, where) for column in truth),
    )


def _finding(row: dict[str, str], column: str, where: str) -> tuple[str, bool | None]:
    if row[column] not in VALUES:
        raise ValueError(f"{where}: {column!r} must be 1, 0 or empty, not {row[column]!r}")
    return column.removeprefix(FINDING), VALUES[row[column]]


def _check_files_exist(films: Iterable[Film]) -> None:
    absent = [str(film.path) for film in films if not film.path.is_file()]
    if absent:
        raise ValueError(f"{len(absent)} films of the manifest do not exist, first {absent[:3]}")


def of_split(films: Iterable[F], split: Split) -> tuple[F, ...]:
    """Return the films of one split, in the manifest's order.

    Raises:
        ValueError: There are none.
    """
    chosen = tuple(film for film in films if film.split == split)
    if not chosen:
        raise ValueError(f"the manifest has no film with split {split!r}")
    return chosen


def spread(films: Sequence[T], number: int) -> list[T]:
    """Return at most `number` films, evenly spread over all."""
    places = np.linspace(0, len(films) - 1, min(number, len(films))).round().astype(int)
    return [films[place] for place in places]


def task_of(films: Iterable[Film]) -> Task:
    """Return the task that films are labelled for: `multilabel` if they have findings."""
    return "multilabel" if any(film.findings for film in films) else "multiclass"


def labels(films: Sequence[Film]) -> list[str]:
    """Return the films' classes.

    Raises:
        ValueError: A film has findings instead of a class.
    """
    own = [film.label for film in films if film.label is not None]
    if len(own) != len(films):
        raise ValueError("films must have one label each, not findings")
    return own


def class_names(films: Iterable[Film]) -> tuple[str, ...]:
    """Return the names of the logits, in their order.

    They are the labels in alphabetical order, or the findings in the order of their columns.
    """
    films = tuple(films)
    if task_of(films) == "multilabel":
        return tuple(name for name, _ in films[0].findings)
    return tuple(sorted({film.label for film in films if film.label}))


def manifest_sha256(manifest: Path) -> str:
    """Return the hash of the manifest file."""
    return hashlib.sha256(manifest.read_bytes()).hexdigest()
