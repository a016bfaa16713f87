"""Read boxes and masks that experts marked on films, in the layouts of five publishers.

`localisation`  images.csv, boxes.csv and lung_masks/ in one folder (../shared/data/localisation)
`chexlocalize`  gt_segmentations_val.json or ..._test.json (run lengths), and the films' folder
`nih`           BBox_List_2017.csv of ChestX-ray14, and the films' folder
`rsna`          stage_2_train_labels.csv of RSNA 2018, and the films' folder
`masks`         a folder with <finding>/<film's name>.png, white inside it, and the films' folder
"""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool
from PIL import Image

from training.data.tables import read_table
from xai.measures.localisation import Box, boxes_region, region_from_runs

Layout = Literal["localisation", "chexlocalize", "nih", "rsna", "masks"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
Region = Bool[np.ndarray, "rows columns"]
FILM_SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".tif", ".tiff")

FINDING_CLASSES: Mapping[str, tuple[str, ...]] = {
    # RSNA's readers marked opacities suspicious of pneumonia; their films' class is pneumonia.
    "lung_opacity": ("pneumonia", "opacity"),
    "pneumonia": ("pneumonia", "lung_opacity"),
    # NIH's list: the class pneumonia has only films whose boxes say pneumonia or infiltrate.
    "infiltrate": ("infiltration", "pneumonia"),
    # CheXpert's word, which includes consolidation and pneumonia.
    "airspace_opacity": ("lung_opacity", "pneumonia"),
    "consolidation": ("pneumonia",),
    # TBX11K's boxes say active or old; the class tuberculosis mixes both.
    "activetuberculosis": ("tuberculosis",),
    "obsoletepulmonarytuberculosis": ("tuberculosis",),
    "pleural_effusion": ("effusion",),
}
"""Classes whose map is compared with a marked finding, if the model has no class of its name.

Fixed before anything was measured, by what the annotators were asked to mark. It is never the
predicted class: a map of another class is not meant to show the finding.
"""


class Runs(NamedTuple):
    """A mask as CheXlocalize's JSON holds it."""

    rows: int
    columns: int
    counts: str


@dataclass(frozen=True)
class Annotation:
    """One finding marked on one film, or the film's lungs.

    Attributes:
        film: Its file.
        finding: What was marked, in the publisher's word; "lungs" for the lungs.
        patient_id: The film's patient.
        split: `val` or `test`; films of other splits are not measured.
        label: The film's class if the publisher gives it, else "".
        boxes: Left, top, width, height in film pixels.
        mask: File of a mask, white inside; None if there are boxes or runs.
        runs: Compressed mask; likewise.
    """

    film: Path
    finding: str
    patient_id: str
    split: str
    label: str = ""
    boxes: tuple[Box, ...] = ()
    mask: Path | None = None
    runs: Runs | None = None

    def region(self, rows: int, columns: int) -> Region:
        """Return the marked pixels of a film of this size.

        Raises:
            ValueError: The mask has another size.
        """
        if self.mask:
            with Image.open(self.mask) as picture:
                marked = np.asarray(picture.convert("L")) > 127
        elif self.runs:
            marked = region_from_runs(
                self.runs.counts, rows=self.runs.rows, columns=self.runs.columns
            )
        else:
            return boxes_region(self.boxes, rows=rows, columns=columns)
        if marked.shape != (rows, columns):
            raise ValueError(f"{self.film} has {rows} x {columns} pixels, its mask {marked.shape}")
        return marked


LUNGS = "lungs"


def class_of(finding: str, class_names: tuple[str, ...]) -> str | None:
    """Return the class whose map should show a finding, or None if the model has none."""
    own = {_word(name): name for name in class_names}
    word = _word(finding)
    return next((own[one] for one in (word, *FINDING_CLASSES.get(word, ())) if one in own), None)


def _word(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


def read_annotations(
    layout: Layout, data: Path, *, images: Path | None = None, split: str = "test"
) -> tuple[Annotation, ...]:
    """Return all annotations; those of films that are not below `images` are left out.

    Args:
        layout: The publisher's.
        data: The table, JSON file, or folder.
        images: Folder of the films, at any depth; not needed for `localisation`.
        split: The films' split, if the layout doesn't give it.

    Raises:
        ValueError: A file or column is missing, or a row is malformed; with file and line.
    """
    if layout == "localisation":
        return tuple(_localisation(data))
    if images is None or not images.is_dir():
        raise ValueError(f"images must be the folder of the films for {layout}, not {images}")
    films = _FilmFiles.below(images)
    readers = {"chexlocalize": _chexlocalize, "nih": _nih, "rsna": _rsna, "masks": _masks}
    found = tuple(readers[layout](data, films, split))
    if not found:
        raise ValueError(f"none of the films marked in {data} lies below {images}")
    return found


@dataclass(frozen=True)
class _FilmFiles:
    """Film files by the end of their path, without suffix: `study1/view1_frontal`."""

    folder: Path
    by_name: dict[str, list[Path]] = field(default_factory=dict)

    @classmethod
    def below(cls, folder: Path) -> "_FilmFiles":
        by_name = defaultdict(list)
        for file in sorted(folder.rglob("*")):
            if file.suffix.lower() in FILM_SUFFIXES:
                by_name[file.stem].append(file)
        return cls(folder, by_name)

    def find(self, path: str) -> Path | None:
        wanted = Path(path).parts
        of_name = self.by_name.get(wanted[-1], ())
        return next((f for f in of_name if f.with_suffix("").parts[-len(wanted) :] == wanted), None)


def _localisation(folder: Path) -> Iterator[Annotation]:
    boxes: dict[tuple[str, str], list[Box]] = defaultdict(list)
    columns = {"path", "x", "y", "width", "height", "finding", "kind"}
    for where, row in read_table(folder / "boxes.csv", columns):
        if row["kind"] == "pathology":
            boxes[row["path"], row["finding"]].append(_box(row, where))
    for _, row in read_table(
        folder / "images.csv", {"path", "label", "split", "patient_id", "lung_mask"}
    ):
        about = folder / row["path"], row["patient_id"], row["split"], row["label"]
        for (path, finding), marked in boxes.items():
            if path == row["path"]:
                yield _annotation(*about, finding, boxes=tuple(marked))
        if row["lung_mask"]:
            yield _annotation(*about, LUNGS, mask=folder / row["lung_mask"])


def _annotation(
    film: Path,
    patient: str,
    split: str,
    label: str,
    finding: str,
    *,
    boxes: tuple[Box, ...] = (),
    mask: Path | None = None,
) -> Annotation:
    return Annotation(film, finding, patient, split, label, boxes, mask)


def _box(row: Mapping[str, str], where: str) -> Box:
    try:
        return (float(row["x"]), float(row["y"]), float(row["width"]), float(row["height"]))
    except (KeyError, ValueError) as error:
        raise ValueError(f"{where}: x, y, width and height must be numbers: {error}") from error


def _chexlocalize(file: Path, films: _FilmFiles, split: str) -> Iterator[Annotation]:
    """Yield the masks that have pixels: `patient1_study1_view1_frontal` by finding."""
    try:
        by_film = json.loads(file.read_text())
        for name, by_finding in by_film.items():
            patient, study, view = name.split("_", 2)
            film = films.find(f"{patient}/{study}/{view}") or films.find(name)
            for finding, mask in by_finding.items() if film else ():
                runs = Runs(mask["size"][0], mask["size"][1], mask["counts"])
                marked = region_from_runs(runs.counts, rows=runs.rows, columns=runs.columns)
                if film and marked.any():
                    yield Annotation(film, finding, patient, split, runs=runs)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is not CheXlocalize's JSON of masks: {error!r}") from error


def _nih(table: Path, films: _FilmFiles, split: str) -> Iterator[Annotation]:
    """Yield the boxes of `Image Index,Finding Label,Bbox [x,y,w,h],,,`, a row each."""
    boxes: dict[tuple[str, str], list[Box]] = defaultdict(list)
    if not table.is_file():
        raise ValueError(f"{table} does not exist")
    with table.open(newline="", encoding="utf-8-sig") as lines:
        rows = csv.reader(lines)
        if next(rows, [""])[0] != "Image Index":
            raise ValueError(f"{table} must begin with the column 'Image Index'")
        for name, finding, *corners in rows:
            named = dict(zip(("x", "y", "width", "height"), corners, strict=False))
            boxes[name, finding].append(_box(named, f"line {rows.line_num} of {table}"))
    for (name, finding), marked in boxes.items():
        film = films.find(Path(name).stem)
        if film:
            patient = name.partition("_")[0]
            yield _annotation(film, patient, split, "", finding, boxes=tuple(marked))


def _rsna(table: Path, films: _FilmFiles, split: str) -> Iterator[Annotation]:
    boxes: dict[str, list[Box]] = defaultdict(list)
    columns = {"patientId", "x", "y", "width", "height", "Target"}
    for where, row in read_table(table, columns):
        if row["Target"] == "1":
            boxes[row["patientId"]].append(_box(row, where))
    for name, marked in boxes.items():
        film = films.find(name)
        if film:
            yield _annotation(film, name, split, "", "Lung Opacity", boxes=tuple(marked))


def _masks(folder: Path, films: _FilmFiles, split: str) -> Iterator[Annotation]:
    """Yield the masks of `<finding>/<film's name>.png`; each film is a patient of its own."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder of masks")
    for mask in sorted(folder.glob("*/*.png")):
        film = films.find(mask.stem)
        if film:
            yield _annotation(film, mask.stem, split, "", mask.parent.name, mask=mask)
