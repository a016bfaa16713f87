"""Boxes and masks in the files of five publishers."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.maps.annotations import class_of, read_annotations

CLASSES = ("covid19", "normal", "pneumonia", "tuberculosis")


def draw(file: Path, pixels: np.ndarray | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 6), np.uint8) if pixels is None else pixels).save(file)


def marked(region: np.ndarray) -> list[list[int]]:
    return np.argwhere(region).tolist()


def test_chexlocalizes_masks_are_found_by_patient_study_and_view(tmp_path: Path):
    """0 four times (the first column), then 1 twice, then 0: 48 + 4, 2 and 18 (in one group)."""
    counts = {"size": [4, 6], "counts": "42b0"}
    empty = {"size": [4, 6], "counts": "h0"}
    by_film = {"patient7_study1_view1_frontal": {"Consolidation": counts, "Edema": empty}}
    (tmp_path / "gt.json").write_text(json.dumps(by_film))
    for study in ("study1", "study2"):
        draw(tmp_path / f"films/patient7/{study}/view1_frontal.png")
    [found] = read_annotations("chexlocalize", tmp_path / "gt.json", images=tmp_path / "films")
    assert found.film.parts[-2] == "study1"
    assert (found.finding, found.patient_id, found.split) == ("Consolidation", "patient7", "test")
    assert marked(found.region(4, 6)) == [[0, 1], [1, 1]]


def test_nihs_boxes_of_one_film_belong_together(tmp_path: Path):
    (tmp_path / "BBox_List_2017.csv").write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
        "00000007_003.png,Infiltrate,0.0,0.0,1.0,1.0,,,\n"
        "00000007_003.png,Infiltrate,5.0,3.0,1.0,1.0,,,\n"
        "00000008_000.png,Mass,0.0,0.0,1.0,1.0,,,\n"
    )
    draw(tmp_path / "films/images_001/00000007_003.png")
    table = tmp_path / "BBox_List_2017.csv"
    [found] = read_annotations("nih", table, images=tmp_path / "films", split="val")
    assert (found.patient_id, found.split) == ("00000007", "val")
    assert marked(found.region(4, 6)) == [[0, 0], [3, 5]]


def test_rsnas_films_without_an_opacity_have_no_marks(tmp_path: Path):
    (tmp_path / "labels.csv").write_text(
        "patientId,x,y,width,height,Target\na,1.0,1.0,1.0,2.0,1\nb,,,,,0\n"
    )
    for name in "ab":
        draw(tmp_path / f"films/{name}.png")
    [found] = read_annotations("rsna", tmp_path / "labels.csv", images=tmp_path / "films")
    assert found.finding == "Lung Opacity"
    assert marked(found.region(4, 6)) == [[1, 1], [2, 1]]


def test_a_mask_must_have_its_films_size(tmp_path: Path):
    draw(tmp_path / "films/one.jpg")
    draw(tmp_path / "masks/Consolidation/one.png", np.full((4, 6), 255, np.uint8))
    [found] = read_annotations("masks", tmp_path / "masks", images=tmp_path / "films")
    assert found.region(4, 6).all()
    with pytest.raises(ValueError, match="has 5 x 6 pixels, its mask"):
        found.region(5, 6)


def test_a_malformed_box_is_said_with_its_line(tmp_path: Path):
    (tmp_path / "labels.csv").write_text("patientId,x,y,width,height,Target\na,1.0,,1.0,2.0,1\n")
    draw(tmp_path / "films/a.png")
    with pytest.raises(ValueError, match=r"line 2 of .*: x, y, width and height must be numbers"):
        read_annotations("rsna", tmp_path / "labels.csv", images=tmp_path / "films")


def test_the_films_folder_is_needed(tmp_path: Path):
    with pytest.raises(ValueError, match="images must be the folder of the films"):
        read_annotations("masks", tmp_path)


@pytest.mark.parametrize(
    ("finding", "name"),
    [
        ("Lung Opacity", "pneumonia"),
        ("Pneumonia", "pneumonia"),
        ("ActiveTuberculosis", "tuberculosis"),
        ("COVID19", "covid19"),
        ("Pneumothorax", None),
    ],
)
def test_a_finding_asks_for_the_map_of_its_class(finding: str, name: str | None):
    assert class_of(finding, CLASSES) == name


def test_a_class_of_the_findings_own_name_comes_first():
    assert class_of("Lung Opacity", ("pneumonia", "lung_opacity")) == "lung_opacity"
