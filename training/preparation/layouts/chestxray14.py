"""Read NIH ChestX-ray14: 112,120 frontal films of 30,805 patients, 14 findings from reports.

    Data_Entry_2017_v2020.csv (or the first Data_Entry_2017.csv)
    train_val_list.txt  test_list.txt
    images/*.png, or images_001/images/*.png to images_012/images/*.png

Source:
    Wang et al. 2017, arXiv:1705.02315. The table's labels are joined by `|`; `No Finding` is none
    of them. Some copies of the table name the patient's sex `Patient Gender`, some `Patient Sex`.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from training.data.manifest import Split
from training.data.tables import read_table
from training.preparation.listing import ListedFilm, Listing, finding_columns, person, view_of

SOURCE = "nih_chestxray14"
TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
COLUMNS = frozenset({"Image Index", "Finding Labels", "Patient ID", "Patient Age", "View Position"})
OFFICIAL_LISTS: Mapping[str, Split | None] = {"train_val_list.txt": None, "test_list.txt": "test"}
FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)


def read_chestxray14(folder: Path) -> Listing:
    """Return the films of the collection; the official test split stays test.

    Raises:
        ValueError: The table or one of the two lists is absent, a film is in both lists, or a
            label is unknown; with file and line.
    """
    table = next((folder / name for name in TABLES if (folder / name).is_file()), None)
    if table is None:
        raise ValueError(f"{folder} has neither {TABLES[0]} nor {TABLES[1]}")
    splits = _official_splits(folder)
    images = {path.name: path for path in sorted(folder.glob("images*/**/*.png"))}
    films: list[ListedFilm] = []
    skipped: Counter[str] = Counter()
    for where, row in read_table(table, COLUMNS):
        name = row["Image Index"]
        if splits and name not in splits:
            skipped["in neither official list"] += 1
            continue
        path = images.get(name, folder / "images" / name)
        films.append(_film(row, where, path, splits.get(name)))
    return Listing(tuple(films), skipped, () if splits else (_unofficial(folder),))


def _official_splits(folder: Path) -> dict[str, Split | None]:
    """Return the split of every film by its name; empty if neither list exists."""
    lists = {folder / name: split for name, split in OFFICIAL_LISTS.items()}
    absent = [file for file in lists if not file.is_file()]
    if len(absent) == 1:
        raise ValueError(f"{absent[0]} does not exist, while the other official list does")
    if absent:
        return {}
    splits: dict[str, Split | None] = {}
    for file, split in lists.items():
        for number, name in enumerate(file.read_text().split(), 1):
            if name in splits:
                raise ValueError(f"line {number} of {file}: {name} is listed twice")
            splits[name] = split
    return splits


def _unofficial(folder: Path) -> str:
    return f"{' and '.join(OFFICIAL_LISTS)} are not in {folder}: the split is not the official one."


def _film(row: Mapping[str, str], where: str, path: Path, split: Split | None) -> ListedFilm:
    labels = row["Finding Labels"].split("|")
    unknown = sorted(set(labels) - {*FINDINGS, "No Finding"})
    if unknown:
        raise ValueError(f"{where}: Finding Labels holds {unknown}, which is none of {FINDINGS}")
    if not row["Patient ID"]:
        raise ValueError(f"{where}: Patient ID must not be empty")
    sex = row.get("Patient Gender") or row.get("Patient Sex", "")
    return ListedFilm(
        path=path,
        targets=finding_columns({name: str(int(name in labels)) for name in FINDINGS}),
        patient_id=row["Patient ID"],
        source=SOURCE,
        split=split,
        details={
            "view": view_of(row["View Position"]),
            **person(sex, row["Patient Age"], where),
        },
    )
