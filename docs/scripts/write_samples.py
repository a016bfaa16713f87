"""Write the viewer's sample films, from sources whose terms allow it.

python docs/scripts/write_samples.py ../shared/data        # writes service/viewer/samples

Of each kind it is the film of the public test split whose class has the median probability by the
default model (of two, the higher): a typical answer, neither the best nor the worst.
samples/CREDITS.md names the sources and their terms.
"""

import csv
import io
import re
import shutil
import sys
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from models.radiograph import read_radiograph
from service.settings import OWN_MODELS
from training.data.dataset import seen_by
from xai.explainer import Explainer

SAMPLES = Path(__file__).resolve().parents[2] / "service/viewer/samples"
NIH, CC_BY = r"NIH: no restrictions", r"CC BY \d\.\d \(per-image"
UID = "2.25.297309840124391287365410927354102973548"
SMALL = 128


def main() -> int:
    """Write the films, and a small picture of each for the page's buttons."""
    data = Path(sys.argv[1])
    shutil.copyfile(typical(data / "cxr", "normal", NIH), SAMPLES / "normal.jpg")
    shutil.copyfile(typical(data / "cxr", "covid19", CC_BY), SAMPLES / "covid19.jpg")
    shutil.copyfile(data / "ood/xray_ankle_cr.png", SAMPLES / "ankle.png")
    with Image.open(typical(data / "cxr", "pneumonia", NIH)) as image:
        pneumonia = np.asarray(image.convert("L"))
    (SAMPLES / "pneumonia.dcm").write_bytes(as_dicom(pneumonia))
    seen = [file for file in SAMPLES.iterdir() if file.suffix in (".jpg", ".png")]
    pictures = {file.stem: Image.open(file) for file in seen}
    for name, picture in (pictures | {"pneumonia": Image.fromarray(pneumonia)}).items():
        small = picture.convert("L")
        small.thumbnail((SMALL, SMALL))
        small.save(SAMPLES / f"small/{name}.jpg", quality=80)
    return 0


def typical(data: Path, label: str, licence: str) -> Path:
    """Return the film of a class, with such a licence, whose class has the median probability."""
    with (data / "manifest.csv").open(newline="") as file:
        films = [
            data / row["path"]
            for row in csv.DictReader(file)
            if (row["split"], row["label"]) == ("test", label) and re.match(licence, row["licence"])
        ]
    explainer = Explainer(OWN_MODELS / "chest_cnn.onnx")
    number = explainer.card.class_names.index(label)

    def probability(film: Path) -> float:
        pixels = seen_by(explainer.card, read_radiograph(film.read_bytes())).pixels
        return float(explainer(pixels[None, None]).probabilities[0, number])

    return sorted(films, key=probability)[len(films) // 2]


def as_dicom(pixels: UInt8[np.ndarray, "rows columns"]) -> bytes:
    """Return a film as a DICOM file with nothing in its header but what the pixels need."""
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID = DigitalXRayImageStorageForPresentation
    film.SOPInstanceUID = UID
    film.Modality, film.BodyPartExamined, film.ViewPosition = "DX", "CHEST", "AP"
    film.ImageComments = "NIH Clinical Center, ChestX-ray14"
    film.Rows, film.Columns = pixels.shape
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME2"
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 8, 8, 7, 0
    film.WindowCenter, film.WindowWidth = 128, 256
    film.PixelData = pixels.tobytes()
    file = io.BytesIO()
    film.save_as(file, enforce_file_format=True)
    return file.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
