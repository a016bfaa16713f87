"""A small archive: films of every format and of none, in folders, some without ending."""

from pathlib import Path

from tests.browser.films import dicom
from tests.support.tiny_model import FILM, REFUSED_FILM, picture, quadrants

PATIENT = "Doe_Jane"


def write_archive(folder: Path) -> list[str]:
    """Write 30 files and return the paths of the 27 that are to be scored, in their order."""
    grey = quadrants([0.8, 0.2, 0.2, 0.4])
    (folder / PATIENT / "study").mkdir(parents=True)
    films = {f"{PATIENT}/film{number:02}.png": FILM for number in range(20)}
    films |= {
        "IM0001": dicom(grey),
        f"{PATIENT}/study/IM0002": dicom(grey),
        "film.jpeg": picture(grey, "JPEG"),
        "film.tif": picture(grey, "TIFF"),
        "refused.png": REFUSED_FILM,
        "broken.PNG": FILM[:60],
        "letter.dcm": b"Dear colleague,",
    }
    other = {"notes.txt": b"no film", "DICOMDIR": bytes(128) + b"DICM", "empty": b""}
    for name, content in (films | other).items():
        (folder / name).write_bytes(content)
    return sorted(films)


def make_unreadable(film: Path) -> None:
    """Put a film in place that opens for nobody, not even root."""
    film.unlink(missing_ok=True)
    film.symlink_to("nowhere")
