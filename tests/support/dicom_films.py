"""A chest film as an archive has it: with a patient, a study, and the tiny model's pixels."""

import io
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from tests.support.tiny_model import quadrants

PATIENT = "Doe^Jane"
LIKE = quadrants([0.8, 0.2, 0.2, 0.4])
UNLIKE = quadrants([1.0, 0.9, 0.9, 1.0])


def chest_film(
    pixels: NDArray[np.uint8] = LIKE, *, number: int = 1, without: str = "", **elements: Any
) -> bytes:
    """Return a DICOM file of a study of its own.

    Args:
        pixels: rows x columns.
        number: Ends the film's UIDs.
        without: Keyword of an element to leave out.
        elements: Others, or other values.
    """
    dataset = Dataset()
    for keyword, value in (_header(number) | _image(pixels) | elements).items():
        setattr(dataset, keyword, value)
    if without:
        del dataset[without]
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.10.1.3.{number}"
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def _header(number: int) -> dict[str, Any]:
    return {
        "SOPClassUID": ComputedRadiographyImageStorage,
        "SOPInstanceUID": f"1.2.826.0.1.3680043.10.1.3.{number}",
        "StudyInstanceUID": f"1.2.826.0.1.3680043.10.1.1.{number}",
        "SeriesInstanceUID": f"1.2.826.0.1.3680043.10.1.2.{number}",
        "PatientName": PATIENT,
        "PatientID": f"P{number}",
        "PatientBirthDate": "19500102",
        "PatientSex": "F",
        "StudyDate": "20240102",
        "StudyTime": "1030",
        "StudyID": "S1",
        "AccessionNumber": f"A{number}",
        "ReferringPhysicianName": "Roe^Richard",
        "Modality": "CR",
        "BodyPartExamined": "CHEST",
        "PatientOrientation": ["L", "F"],
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "Manufacturer": "none",
    }


def _image(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    return {
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "WindowCenter": 128,
        "WindowWidth": 256,
        "PixelData": pixels.tobytes(),
    }
