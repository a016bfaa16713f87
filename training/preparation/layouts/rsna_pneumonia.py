"""Read the RSNA Pneumonia Detection Challenge 2018: 26,684 frontal films in three classes.

    stage_2_train_labels.csv         patientId,x,y,width,height,Target; a row per box
    stage_2_detailed_class_info.csv  patientId,class; repeated likewise
    stage_2_train_images/<patientId>.dcm    (DICOM)
    pneumonia-challenge-dataset-mappings_2018.json   (from RSNA's page, optional)

The films are from ChestX-ray14, and every one has a `patientId` of its own: the same person may
have several. RSNA's mapping gives the film of ChestX-ray14 that each one is, hence its patient.

Source:
    Shih et al. 2019, doi:10.1148/ryai.2019180041.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError
from tqdm import tqdm

from models.film_files.quiet_libraries import ignore_warnings, silence_logs
from training.data.tables import read_table
from training.preparation.listing import ListedFilm, Listing, person, view_of

SOURCE = "rsna_pneumonia"
LABELS = "stage_2_train_labels.csv"
CLASSES = "stage_2_detailed_class_info.csv"
IMAGES = "stage_2_train_images"
MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
BOX_COLUMNS = ("x", "y", "width", "height")
CLASS_NAMES = {
    "Normal": "normal",
    "No Lung Opacity / Not Normal": "not_normal",
    "Lung Opacity": "lung_opacity",
}
HEADER = ["PatientSex", "PatientAge", "ViewPosition"]
PATIENTS_UNKNOWN = (
    "Every film has a patientId of its own here, though some are of one person: put RSNA's "
    f"{MAPPING} into the folder, and they are kept together."
)

silence_logs("pydicom")


def read_rsna_pneumonia(folder: Path) -> Listing:
    """Return the films of the training stage (no labels were published for the test stage).

    Raises:
        ValueError: A table is absent, a class or Target is unknown, or the two tables contradict
            each other; with file and line.
    """
    boxes = _boxes(folder / LABELS)
    classes = _classes(folder / CLASSES, boxes)
    absent = sorted(set(boxes) - set(classes))
    if absent:
        raise ValueError(f"{folder / CLASSES} lacks the class of {absent[:3]}")
    patients = _patients(folder / MAPPING)
    films = tuple(
        _film(folder / IMAGES / f"{name}.dcm", classes[name], patients.get(name, name), boxes[name])
        for name in tqdm(boxes, "headers", unit="film", leave=False)
    )
    return Listing(films, notes=() if patients else (PATIENTS_UNKNOWN,))


def _boxes(table: Path) -> dict[str, list[str]]:
    """Return every film's boxes as "x y width height" in film pixels."""
    boxes: dict[str, list[str]] = defaultdict(list)
    for where, row in read_table(table, {"patientId", "Target", *BOX_COLUMNS}):
        if row["Target"] not in ("0", "1"):
            raise ValueError(f"{where}: Target must be 0 or 1, not {row['Target']!r}")
        box = " ".join(row[column] for column in BOX_COLUMNS).strip()
        if (row["Target"] == "1") != bool(box):
            raise ValueError(f"{where}: Target {row['Target']} contradicts the box {box!r}")
        boxes[row["patientId"]] += [box] if box else []
    return boxes


def _classes(table: Path, boxes: Mapping[str, list[str]]) -> dict[str, str]:
    classes: dict[str, str] = {}
    for where, row in read_table(table, {"patientId", "class"}):
        name, written = row["patientId"], row["class"]
        if written not in CLASS_NAMES:
            raise ValueError(f"{where}: class must be one of {list(CLASS_NAMES)}, not {written!r}")
        if (written == "Lung Opacity") != bool(boxes.get(name)):
            raise ValueError(f"{where}: class {written!r} contradicts the boxes in {LABELS}")
        classes[name] = CLASS_NAMES[written]
    return classes


def _patients(mapping: Path) -> dict[str, str]:
    """Return ChestX-ray14's patient of every film; empty without the mapping."""
    if not mapping.is_file():
        return {}
    try:
        return {
            entry["subset_img_id"]: str(int(entry["img_id"].partition("_")[0]))
            for entry in json.loads(mapping.read_text())
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{mapping} must be a list of objects with subset_img_id and img_id: {error!r}"
        ) from error


def _film(path: Path, label: str, patient: str, boxes: list[str]) -> ListedFilm:
    header = _header(path)
    sex, age, position = (str(header.get(keyword, "")) for keyword in HEADER)
    return ListedFilm(
        path=path,
        targets={"label": label},
        patient_id=patient,
        source=SOURCE,
        details={
            "view": view_of(position),
            **person(sex, age, f"the header of {path}"),
            "boxes": ";".join(boxes),
        },
    )


def _header(path: Path) -> pydicom.Dataset:
    """Return the header; empty if there is none: decoding the film reports that later."""
    ignore_warnings("pydicom")
    try:
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=HEADER)
    except (OSError, InvalidDicomError):
        return pydicom.Dataset()
