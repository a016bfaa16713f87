"""List the films of an archive: all in a folder, or those that a manifest names."""

import csv
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from models.radiograph import SIGNATURE_BYTES, NotAnImageError, film_format_of

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom"})
"""Endings of films' names; a file with one is listed whatever it contains."""
DICOM_INDEX = "DICOMDIR"


class Listing(NamedTuple):
    """The films of an archive.

    Attributes:
        folder: What their paths are relative to.
        films: Paths in alphabetical order, each once.
        other_files: Number of files in the folder that are not films.
    """

    folder: Path
    films: tuple[str, ...]
    other_files: int = 0


def list_films(source: Path) -> Listing:
    """Return the films of a folder and the folders in it, or of a manifest.

    Of a folder, every file is listed that begins as a PNG, JPEG, TIFF or DICOM file does, has the
    ending of one, or can't be read; links to folders are not followed. A manifest is a CSV with a
    column `path`, relative to its own folder; a film that it names need not exist.

    Raises:
        OSError: `source`, or a folder in it, can't be read.
        ValueError: There is no film, or the file is not a manifest.
    """
    listing = _of_folder(source) if source.is_dir() else _of_manifest(source)
    if not listing.films:
        raise ValueError(f"{source} must hold a PNG, JPEG, TIFF or DICOM file, but holds none")
    return listing


def _of_folder(folder: Path) -> Listing:
    files = list(_files(folder))
    films = [file for file in files if _may_be_film(file)]
    return Listing(folder, _sorted(films, folder), len(files) - len(films))


def _files(folder: Path) -> Iterator[Path]:
    # Not Path.rglob: it skips a folder that can't be read, and says nothing.
    for place, _, names in os.walk(folder, onerror=_raise):
        yield from (Path(place, name) for name in names)


def _raise(error: OSError) -> None:
    raise error


def _may_be_film(file: Path) -> bool:
    if file.name == DICOM_INDEX or not (file.is_file() or file.is_symlink()):
        return False
    if file.suffix.lower() in ENDINGS:
        return True
    try:
        with file.open("rb") as opened:
            film_format_of(opened.read(SIGNATURE_BYTES))
    except NotAnImageError:
        return False
    except OSError:  # it may be a film; its row will hold the error
        return True
    return True


def _of_manifest(manifest: Path) -> Listing:
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            films = list(_named_films(csv.DictReader(file), manifest))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{manifest} must be a folder or a manifest (CSV), and is neither"
        ) from error
    return Listing(manifest.parent, _sorted(films, manifest.parent))


def _named_films(rows: "csv.DictReader[str]", manifest: Path) -> Iterator[Path]:
    if "path" not in (rows.fieldnames or ()):
        raise ValueError(f"manifest {manifest} lacks the column 'path'")
    for row in rows:
        if not row["path"]:
            raise ValueError(f"line {rows.line_num} of {manifest}: 'path' must not be empty")
        yield manifest.parent / row["path"]


def _sorted(films: Iterable[Path], folder: Path) -> tuple[str, ...]:
    """Return paths relative to the folder; those that lead elsewhere stay as they are."""
    return tuple(
        sorted(
            {
                (film.relative_to(folder) if film.is_relative_to(folder) else film).as_posix()
                for film in films
            }
        )
    )
