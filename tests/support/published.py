"""Small trees of drawn films, laid out exactly as collections are published."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from models.film_files.quiet_libraries import ignore_warnings
from training.data.phantom import draw_film
from training.preparation.layouts.chexpert import FINDINGS as OBSERVATIONS

NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
CHEXPERT_HEADER = ",".join(("Path,Sex,Age,Frontal/Lateral,AP/PA", *OBSERVATIONS))


def drawn(seed: int, view: int = 0) -> Image.Image:
    finding = ("normal", "opacity")[seed % 2]
    return Image.fromarray(draw_film(finding, seed=seed, view=view, columns=96).pixels)


def save(film: Image.Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    film.save(path)
    return path


def write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(lines) + "\n")


def chestxray14(folder: Path, *, patients: int = 24) -> Path:
    """Two films a patient, in two image folders; every third patient is in the official test."""
    rows, lists = [NIH_HEADER], {"train_val_list.txt": [], "test_list.txt": []}
    for patient in range(1, patients + 1):
        labels = ("No Finding", "Effusion|Mass", "Effusion")[patient % 3]
        for view in range(2):
            name = f"{patient:08}_{view:03}.png"
            save(drawn(patient, view), folder / f"images_{1 + view:03}" / "images" / name)
            position = ("PA", "AP")[view]
            rows.append(f"{name},{labels},{view},{patient},058Y,M,{position},96,96,0.143,0.143,")
            lists["test_list.txt" if patient % 3 == 0 else "train_val_list.txt"].append(name)
    write_lines(folder / "Data_Entry_2017.csv", rows)
    for name, films in lists.items():
        write_lines(folder / name, films)
    return folder


def chexpert_row(path: str, *values: str, view: str = "Frontal,AP") -> str:
    """`values` are those of the first observations; the others are blank."""
    return ",".join([path, "Female", "68", view, *values, *[""] * (14 - len(values))])


def chexpert(folder: Path, *, patients: int = 24) -> Path:
    """A frontal and a lateral view a patient; the last four patients are the validation films."""
    for table, numbers in (
        ("train", range(1, patients - 3)),
        ("valid", range(patients - 3, patients + 1)),
    ):
        rows = [CHEXPERT_HEADER]
        for number in numbers:
            study = f"{table}/patient{number:05}/study1"
            save(drawn(number), folder / study / "view1_frontal.jpg")
            prefix = f"CheXpert-v1.0-small/{study}"
            value = ("1.0", "0.0", "-1.0", "")[number % 4]
            rows.append(chexpert_row(f"{prefix}/view1_frontal.jpg", "", "", value))
            rows.append(chexpert_row(f"{prefix}/view2_lateral.jpg", view="Lateral,"))
        write_lines(folder / f"{table}.csv", rows)
    return folder


def dicom(film: Image.Image, *, age: str = "51", **elements: str) -> bytes:
    """The age without its Y is RSNA's own; pydicom frowns at it."""
    ignore_warnings("pydicom")
    pixels = np.asarray(film)
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3"
    header.PatientSex, header.PatientAge, header.ViewPosition = "F", age, "PA"
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.Rows, header.Columns = pixels.shape
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit, header.PixelRepresentation = 7, 0
    header.PixelData = pixels.tobytes()
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, header, enforce_file_format=True)
    return buffer.getvalue()


def rsna_pneumonia(folder: Path, *, patients: int = 24, mapping: bool = False) -> Path:
    """A film a patientId; with a mapping, two neighbouring ones are one patient of NIH's."""
    images = folder / "stage_2_train_images"
    images.mkdir(parents=True)
    labels, classes = ["patientId,x,y,width,height,Target"], ["patientId,class"]
    for number in range(patients):
        name = f"0004cfab-{number:04}"
        (images / f"{name}.dcm").write_bytes(dicom(drawn(number)))
        if number % 3 == 0:
            labels += [f"{name},264.0,152.0,213.0,379.0,1", f"{name},562.0,152.0,256.0,453.0,1"]
            classes += [f"{name},Lung Opacity"] * 2
        else:
            labels.append(f"{name},,,,,0")
            classes.append(f"{name},{('Normal', 'No Lung Opacity / Not Normal')[number % 3 - 1]}")
    write_lines(folder / "stage_2_train_labels.csv", labels)
    write_lines(folder / "stage_2_detailed_class_info.csv", classes)
    if mapping:
        entries = [
            {"subset_img_id": f"0004cfab-{n:04}", "img_id": f"{n // 2:08}_{n % 2:03}.png"}
            for n in range(patients)
        ]
        file = folder / "pneumonia-challenge-dataset-mappings_2018.json"
        file.write_text(json.dumps(entries))
    return folder


def image_folder(folder: Path, *, patients: int = 24) -> Path:
    for number in range(patients):
        name = f"person{number}_view{number % 2}.jpeg"
        save(drawn(number), folder / ("NORMAL", "OPACITY")[number % 2] / name)
    return folder
