"""Read a manifest of outlined films: a CSV with a film and its lung mask per row.

There are two conventions. A mask of `whole` lungs follows them behind diaphragm and heart. A mask
of the lung `fields` shows what is seen as lung, and says nothing about lung behind the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

from training.config import MaskBy
from training.data.manifest import Film, Split
from training.data.tables import read_table

Convention = Literal["whole", "fields"]
T = TypeVar("T", bound=str)

REQUIRED = frozenset({"image", "mask", "split", "source", "patient_id", "mask_by", "convention"})


@dataclass(frozen=True, kw_only=True)
class OutlinedFilm(Film):
    """One film with its lung mask.

    Attributes:
        mask: File of the mask, white in the lungs, of the film's size.
        mask_by: Who outlined the lungs.
        convention: What the mask shows, see above.
    """

    mask: Path
    mask_by: MaskBy
    convention: Convention


def read_outlined_films(manifest: Path) -> tuple[OutlinedFilm, ...]:
    """Return the films of a manifest of lung masks.

    Columns `image` and `mask` (below the manifest's folder), `split`, `source`, `patient_id`,
    `mask_by` (human, network) and `convention` (whole, fields) are required; `group_id` defaults to
    the patient; others are ignored.

    Raises:
        ValueError: The file is absent, a column is missing, a cell is empty or none of the values
            above, or a film's or a mask's file does not exist.
    """
    films = tuple(
        _outlined_film(row, where, manifest.parent) for where, row in read_table(manifest, REQUIRED)
    )
    files = [file for film in films for file in (film.path, film.mask)]
    absent = [str(file) for file in files if not file.is_file()]
    if absent:
        raise ValueError(f"{len(absent)} files of {manifest} do not exist, first {absent[:3]}")
    return films


def _outlined_film(row: Mapping[str, str], where: str, folder: Path) -> OutlinedFilm:
    for column in sorted(REQUIRED):
        if not row[column]:
            raise ValueError(f"{where}: column {column!r} must not be empty")
    return OutlinedFilm(
        path=folder / row["image"],
        label=None,
        patient_id=row["patient_id"],
        group_id=row.get("group_id") or row["patient_id"],
        source=row["source"],
        split=_one_of(get_args(Split), row, "split", where),
        mask=folder / row["mask"],
        mask_by=_one_of(get_args(MaskBy), row, "mask_by", where),
        convention=_one_of(get_args(Convention), row, "convention", where),
    )


def _one_of(allowed: Sequence[T], row: Mapping[str, str], column: str, where: str) -> T:
    for value in allowed:
        if row[column] == value:
            return value
    raise ValueError(f"{where}: {column} must be one of {tuple(allowed)}, not {row[column]!r}")
