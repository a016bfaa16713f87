"""Read a manifest that exists already: written by hand, or by an earlier `cxr prepare`.

Columns `path` (below the manifest's folder), `patient_id`, and `label` or one `finding:<Name>` per
finding ("1", "0" or "" for unknown); `split`, `group_id`, `source` and `sha256` where known. All
others are kept as they are.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from training.data.manifest import Split
from training.data.tables import read_table
from training.preparation.listing import FINDING_PREFIX, ListedFilm, Listing

OURS = frozenset({"path", "label", "patient_id", "split", "group_id", "source", "sha256"})


def read_own_manifest(manifest: Path) -> Listing:
    """Return the films of a manifest, each in the split that it names.

    Raises:
        ValueError: A column is missing, a cell is empty or none of what is described above, a film
            is listed twice, or some films have a split and others none; with file and line.
    """
    films: dict[Path, ListedFilm] = {}
    for where, row in read_table(manifest, {"path", "patient_id"}):
        film = _film(row, where, manifest)
        if film.path in films:
            raise ValueError(f"{where}: {row['path']} is listed twice")
        films[film.path] = film
    undecided = sum(film.split is None for film in films.values())
    if 0 < undecided < len(films):
        raise ValueError(
            f"{manifest}: {undecided} of {len(films)} films have no split; all or none"
        )
    return Listing(tuple(films.values()))


def _film(row: Mapping[str, str], where: str, manifest: Path) -> ListedFilm:
    for column in ("path", "patient_id"):
        if not row[column]:
            raise ValueError(f"{where}: column {column!r} must not be empty")
    return ListedFilm(
        path=manifest.parent / row["path"],
        targets=_targets(row, where),
        patient_id=row["patient_id"],
        source=row.get("source") or "unknown",
        split=_split(row.get("split", ""), where),
        group_id=row.get("group_id", ""),
        sha256=row.get("sha256", ""),
        details={
            column: cell
            for column, cell in row.items()
            if column not in OURS and not column.startswith(FINDING_PREFIX)
        },
    )


def _targets(row: Mapping[str, str], where: str) -> dict[str, str]:
    findings = {name: cell for name, cell in row.items() if name.startswith(FINDING_PREFIX)}
    if ("label" in row) == bool(findings):
        raise ValueError(
            f"{where}: there must be a column label, or columns {FINDING_PREFIX}<Name>"
        )
    if not findings and not row["label"]:
        raise ValueError(f"{where}: column 'label' must not be empty")
    for name, cell in findings.items():
        if cell not in ("1", "0", ""):
            raise ValueError(f"{where}: {name} must be 1, 0 or empty, not {cell!r}")
    return findings or {"label": row["label"]}


def _split(cell: str, where: str) -> Split | None:
    for split in get_args(Split):
        if cell == split:
            return split
    if cell:
        raise ValueError(f"{where}: split must be train, val or test, not {cell!r}")
    return None
