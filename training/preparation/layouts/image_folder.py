"""Read films in one folder per class, as torchvision's ImageFolder and Keras do.

    normal/*.png  pneumonia/*.png                        the split is made here, or
    train/normal/*.png  val/normal/*.png  test/...       the folders' split is kept

Films may lie in further folders below the class's.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from training.data.manifest import Split
from training.preparation.listing import ListedFilm, Listing, names

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom", ""}
SPLIT_FOLDERS: Mapping[str, Split | None] = {
    "train": None,
    "training": None,
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
PATIENTS_UNKNOWN = (
    "Every film counts as a patient of its own: nothing but the search for copies keeps a "
    "patient's films on one side. Where file names tell the patient, say how by --patient REGEX."
)


def read_image_folder(folder: Path, *, patient: re.Pattern[str] | None = None) -> Listing:
    """Return the films of a tree of folders; `val` and `test` folders keep their films.

    Args:
        folder: The tree's top.
        patient: Searched for in each file name; what its first group
            (or the whole, without one) matches is the patient.

    Raises:
        ValueError: There are no class folders, split folders stand beside others, or a file name
            does not match `patient`.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    films: list[ListedFilm] = []
    skipped: Counter[str] = Counter()
    for top, split in _tops(folder):
        for path in sorted(top.glob("*/**/*")):
            below = path.relative_to(top)
            if not path.is_file() or any(name.startswith((".", "__")) for name in below.parts):
                continue
            if path.suffix.lower() not in SUFFIXES:
                skipped[f"files named *{path.suffix}"] += 1
                continue
            films.append(_film(folder, path, below, split, patient))
    if not films:
        raise ValueError(f"{folder} must hold a folder of films per class; none was found")
    return Listing(tuple(films), skipped, () if patient else (PATIENTS_UNKNOWN,))


def _tops(folder: Path) -> list[tuple[Path, Split | None]]:
    """Return the folders that hold the classes' folders, and the split of each."""
    inside = sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))
    )
    splits = [path for path in inside if path.name.lower() in SPLIT_FOLDERS]
    if not splits:
        return [(folder, None)]
    if splits != inside:
        others = names(path for path in inside if path not in splits)
        raise ValueError(f"folders of splits must stand alone in {folder}; beside them: {others}")
    return [(path, SPLIT_FOLDERS[path.name.lower()]) for path in splits]


def _film(
    folder: Path, path: Path, below: Path, split: Split | None, patient: re.Pattern[str] | None
) -> ListedFilm:
    return ListedFilm(
        path=path,
        targets={"label": below.parts[0]},
        patient_id=path.relative_to(folder).as_posix() if patient is None else _id(path, patient),
        source=folder.resolve().name,
        split=split,
    )


def _id(path: Path, patient: re.Pattern[str]) -> str:
    found = patient.search(path.name)
    if found is None:
        raise ValueError(f"{path}: its name must match the patient pattern {patient.pattern!r}")
    return found[1 if patient.groups else 0]
