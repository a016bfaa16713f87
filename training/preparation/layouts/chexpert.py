"""Read CheXpert: 224,316 films of 65,240 patients, 14 observations mined from reports.

    train.csv  valid.csv
    train/patient00001/study1/view1_frontal.jpg ...
    valid/patient64541/study1/view1_frontal.jpg ...

An observation is 1 (positive), 0 (negative), -1 (uncertain) or blank (not mentioned).

Source:
    Irvin et al. 2019, arXiv:1901.07031. Section 3 has the policies for uncertain labels (U-Zeros,
    U-Ones, U-Ignore). Its table 1 counts what is not mentioned as negative, and so do we unless
    told otherwise; torchxrayvision, for one, takes it as unknown.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from training.data.manifest import Split
from training.data.tables import read_table
from training.preparation.listing import ListedFilm, Listing, finding_columns, person, view_of

Uncertain = Literal["zeros", "ones", "ignore"]
Unmentioned = Literal["zeros", "ignore"]
UNCERTAIN_POLICIES: tuple[Uncertain, ...] = get_args(Uncertain)
UNMENTIONED_POLICIES: tuple[Unmentioned, ...] = get_args(Unmentioned)
VALUES: Mapping[Uncertain, str] = {"zeros": "0", "ones": "1", "ignore": ""}

SOURCE = "chexpert"
TABLES: Mapping[str, Split | None] = {"train.csv": None, "valid.csv": "val"}
FINDINGS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
COLUMNS = frozenset({"Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS})
PATH = re.compile(r"(?:.*/)?(?P<below>(?:train|valid)/(?P<patient>patient\d+)/.+)")


def read_chexpert(
    folder: Path, *, uncertain: Uncertain, unmentioned: Unmentioned, with_lateral: bool = False
) -> Listing:
    """Return the films of the collection; its validation films stay val.

    Args:
        folder: Holds `train.csv` and `valid.csv`, or one of them.
        uncertain: What -1 becomes: negative, positive, or unknown.
        unmentioned: What a blank becomes: negative or unknown.
        with_lateral: Whether to take lateral views too.

    Raises:
        ValueError: Both tables are absent, or a cell is none of what is described above; with
            file and line.
    """
    tables = {folder / name: split for name, split in TABLES.items() if (folder / name).is_file()}
    if not tables:
        raise ValueError(f"{folder} has neither {' nor '.join(TABLES)}")
    values = {"1": "1", "0": "0", "-1": VALUES[uncertain], "": VALUES[unmentioned]}
    films: list[ListedFilm] = []
    skipped: Counter[str] = Counter()
    for table, split in tables.items():
        for where, row in read_table(table, COLUMNS):
            if row["Frontal/Lateral"] != "Frontal" and not with_lateral:
                skipped["lateral views"] += 1
                continue
            films.append(_film(row, where, folder, split, values))
    return Listing(tuple(films), skipped)


def _film(
    row: Mapping[str, str],
    where: str,
    folder: Path,
    split: Split | None,
    values: Mapping[str, str],
) -> ListedFilm:
    place = PATH.fullmatch(row["Path"])
    if place is None:
        raise ValueError(
            f"{where}: Path must be [...]train/patientNNNNN/... or [...]valid/patientNNNNN/..., "
            f"not {row['Path']!r}"
        )
    view = view_of(row["AP/PA"]) if row["Frontal/Lateral"] == "Frontal" else "lateral"
    return ListedFilm(
        path=folder / place["below"],
        targets=finding_columns({name: _value(row, name, where, values) for name in FINDINGS}),
        patient_id=place["patient"],
        source=SOURCE,
        split=split,
        details={"view": view, **person(row["Sex"], row["Age"], where)},
    )


def _value(row: Mapping[str, str], name: str, where: str, values: Mapping[str, str]) -> str:
    written = row[name].strip().removesuffix(".0")
    if written not in values:
        raise ValueError(f"{where}: {name} must be 1, 0, -1 or blank, not {row[name]!r}")
    return values[written]
