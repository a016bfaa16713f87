"""The manifest: a CSV with one film per row."""

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Split = Literal["train", "val", "test"]
REQUIRED_COLUMNS = ("path", "label", "patient_id", "split")
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Film:
    """One row.

    Attributes:
        path: The film's file.
        label: Its class.
        patient_id: Whose film it is.
        group_id: Films that must stay together (patient, near-duplicates, series).
        source: Where the film comes from.
        split: Which part of the work it serves.
        view: How the film was taken (PA, AP, ...).
        sex: The patient's.
        age_group: The patient's, as the manifest has it.
    """

    path: Path
    label: str
    patient_id: str
    group_id: str
    source: str
    split: Split
    view: str = UNKNOWN
    sex: str = UNKNOWN
    age_group: str = UNKNOWN


def read_manifest(manifest: Path) -> tuple[Film, ...]:
    """Return the films of a manifest.

    Columns `path` (below the manifest's folder), `label`, `patient_id` and `split` are required;
    `group_id` defaults to the patient, `source`, `view`, `sex` and `age_group` to "unknown"; others
    are ignored.

    Raises:
        ValueError: The file is absent, a column is missing, a cell is empty, a split has another
            name than train, val or test, or a film's file does not exist.
    """
    if not manifest.is_file():
        raise ValueError(f"manifest {manifest} does not exist")
    with manifest.open(newline="") as file:
        rows = csv.DictReader(file)
        absent = set(REQUIRED_COLUMNS) - set(rows.fieldnames or ())
        if absent:
            raise ValueError(f"manifest {manifest} lacks the columns {sorted(absent)}")
        films = tuple(_film(row, manifest, rows.line_num) for row in rows)
    _check_files_exist(films)
    return films


def _film(row: dict[str, str], manifest: Path, line: int) -> Film:
    where = f"line {line} of {manifest}"
    for column in REQUIRED_COLUMNS:
        if not row[column]:
            raise ValueError(f"{where}: column {column!r} must not be empty")
    if row["split"] not in get_args(Split):
        raise ValueError(f"{where}: split must be train, val or test, not {row['split']!r}")
    return Film(
        path=manifest.parent / row["path"],
        label=row["label"],
        patient_id=row["patient_id"],
        group_id=row.get("group_id") or row["patient_id"],
        source=row.get("source") or UNKNOWN,
        split=row["split"],  # type: ignore[arg-type]  # checked above
        view=row.get("view") or UNKNOWN,
        sex=row.get("sex") or UNKNOWN,
        age_group=row.get("age_group") or UNKNOWN,
    )


def _check_files_exist(films: Iterable[Film]) -> None:
    absent = [str(film.path) for film in films if not film.path.is_file()]
    if absent:
        raise ValueError(f"{len(absent)} films of the manifest do not exist, first {absent[:3]}")


def of_split(films: Iterable[Film], split: Split) -> tuple[Film, ...]:
    """Return the films of one split, in the manifest's order.

    Raises:
        ValueError: There are none.
    """
    chosen = tuple(film for film in films if film.split == split)
    if not chosen:
        raise ValueError(f"the manifest has no film with split {split!r}")
    return chosen


def class_names(films: Iterable[Film]) -> tuple[str, ...]:
    """Return the labels in alphabetical order: the order of the logits."""
    return tuple(sorted({film.label for film in films}))


def manifest_sha256(manifest: Path) -> str:
    """Return the hash of the manifest file."""
    return hashlib.sha256(manifest.read_bytes()).hexdigest()
