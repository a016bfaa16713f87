"""Write a prepared collection as a manifest, and its pairs of copies as a table.

The manifest is a CSV with a row per film: `path` (below its own folder), either `label` or one
column `finding:<Name>` per finding ("1", "0", or "" for unknown), `patient_id`, `group_id` (films
that must stay together: a patient's, and copies of each other), `source`, `split`, `sha256` of the
file, and if the collection has them `view`, `sex`, `age_years`, `age_group` and others.
"""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from training.preparation.assembly import PreparedFilms
from training.preparation.listing import ListedFilm


def write_manifest(output: Path, prepared: PreparedFilms) -> None:
    """Write the films that have a split."""
    rows = list(_rows(output.resolve().parent, prepared))
    columns = list(dict.fromkeys(column for row in rows for column in row))
    _write_csv(output, columns, rows)


def _rows(folder: Path, prepared: PreparedFilms) -> Iterator[dict[str, str]]:
    for film, sha256, group, split in zip(
        prepared.films, prepared.hashes, prepared.groups, prepared.splits, strict=True
    ):
        if split is not None:
            yield {
                "path": _path_below(folder, film),
                **film.targets,
                "patient_id": film.patient_id,
                "group_id": group,
                "source": film.source,
                "split": split,
                "sha256": sha256,
                **film.details,
            }


def _path_below(folder: Path, film: ListedFilm) -> str:
    return Path(os.path.relpath(film.path.resolve(), folder)).as_posix()


def write_pairs(output: Path, prepared: PreparedFilms) -> None:
    """Write all pairs of films that look the same, the most similar first."""
    pairs = sorted(prepared.copies, key=lambda pair: pair.distance)
    rows = [
        {
            "distance": str(pair.distance),
            "first": str(prepared.films[pair.first].path),
            "second": str(prepared.films[pair.second].path),
            "first_split": prepared.splits[pair.first] or "dropped",
            "second_split": prepared.splits[pair.second] or "dropped",
        }
        for pair in pairs
    ]
    _write_csv(output, ["distance", "first", "second", "first_split", "second_split"], rows)


def _write_csv(output: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    with output.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
