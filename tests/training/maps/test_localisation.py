"""`cxr localise` on films whose maps are known by hand: the tiny model sees bright cells."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

import cxr
from models.card import LungSpec
from tests.support.tiny_lungs import write_lung_model
from tests.support.tiny_model import card, quadrants, write_model
from training.commands.localise import sentences
from training.maps.annotations import Annotation
from training.maps.localisation import OUTLINE_NOTE, localisation_report, mark_figures
from training.maps.localised import CENTRE, MODEL, RANDOM, UNCUT, Localised, Marked
from xai.explainer import Explainer
from xai.measures.localisation import THRESHOLDS, Scores

FILM = quadrants([0.8, 0.2, 0.2, 0.4])
"""The top left quarter argues for pneumonia."""

SHARED = Path("../shared/data/localisation")


def write_marks(folder: Path, box: str = "0,0,24,16") -> Path:
    """Write four films of two splits in the layout of a localisation set, one box each."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    films, boxes = (
        ["path,label,split,patient_id,lung_mask"],
        ["path,x,y,width,height,finding,kind"],
    )
    mask = np.zeros(FILM.shape, np.uint8)
    mask[:, :24] = 255
    for number, split in enumerate(("val", "val", "test", "test")):
        Image.fromarray(FILM).save(folder / f"images/{number}.png")
        Image.fromarray(mask).save(folder / f"masks/{number}.png")
        lungs = f"masks/{number}.png"
        films.append(f"images/{number}.png,pneumonia,{split},p{number},{lungs}")
        boxes.append(f"images/{number}.png,{box},Lung Opacity,pathology")
        boxes.append(f"images/{number}.png,{box},Fracture,pathology")
    (folder / "images.csv").write_text("\n".join(films))
    (folder / "boxes.csv").write_text("\n".join(boxes))
    return folder


@pytest.fixture
def told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the verb and return what it wrote and printed."""

    def told(*arguments: str, box: str = "0,0,24,16") -> tuple[dict[str, Any], str]:
        data = write_marks(tmp_path / "marks", box)
        report = ["--report", str(tmp_path / "out")]
        model = str(write_model(tmp_path))
        assert cxr.main(["localise", model, "--data", str(data), *report, *arguments]) == 0
        written = json.loads((tmp_path / "out/localisation.json").read_text())
        return written, capsys.readouterr().out

    return told


def of(rows: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(row for row in rows if row["map"] == kind)


def test_a_map_that_falls_on_the_box_has_every_hit(told: Any):
    written, printed = told()
    model, centre, random = (of(written["marks"], kind) for kind in (MODEL, CENTRE, RANDOM))
    assert (model["films"], model["hit_rate"]["estimate"]) == (2, 1)
    assert model["energy_ratio"]["estimate"] > centre["energy_ratio"]["estimate"]
    assert model["iou_otsu"]["estimate"] > random["iou_otsu"]["estimate"]
    assert "marked as Fracture: the model has no such class" in printed


def test_a_map_beside_the_box_has_none(told: Any):
    written, _ = told(box="24,16,24,16")
    model = of(written["marks"], MODEL)
    assert model["hit_rate"]["estimate"] == 0
    assert model["iou_otsu"]["estimate"] == 0


def test_the_share_inside_the_lungs_is_of_all_masked_films(told: Any):
    """The left half is lung; the heat between the centres of its last cells falls off beyond."""
    written, printed = told()
    lungs = of(written["lungs"], MODEL)
    assert lungs["films"] == 4
    assert lungs["inside"]["estimate"] > 0.75
    assert "pneumonia, 4 films of this class alone: at least 0.75 is met" in printed


def test_a_model_of_the_lungs_is_measured_as_it_is_drawn_and_without_the_outline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The left half is lung; of the ellipses that the model finds one lies in it."""
    data, model = write_marks(tmp_path / "marks"), str(write_lung_model(tmp_path))
    report = ["--report", str(tmp_path / "out"), "--pictures", "1"]
    assert cxr.main(["localise", model, "--data", str(data), *report]) == 0
    written = json.loads((tmp_path / "out/localisation.json").read_text())
    drawn, uncut = (of(written["lungs"], kind)["inside"] for kind in (MODEL, UNCUT))
    assert drawn["estimate"] > uncut["estimate"] + 0.02
    assert of(written["marks"], UNCUT)["films"] == 2
    assert "pneumonia      model, uncut" in capsys.readouterr().out


def test_a_model_of_the_whole_film_has_one_map(told: Any):
    written, _ = told()
    assert UNCUT not in {row["map"] for row in (*written["lungs"], *written["marks"])}


def test_validation_leaves_test_films_alone(told: Any):
    written, _ = told("--split", "val")
    assert {film["split"] for film in written["films"]} == {"val"}
    assert of(written["lungs"], MODEL)["films"] == 2


def test_pictures_show_the_best_and_the_worst(told: Any, tmp_path: Path):
    told("--pictures", "1")
    for name in ("best.png", "worst.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def one(split: str, best: float) -> Localised:
    """Return a film whose IoU is 1 at one threshold and 0 at all others."""
    at = tuple(float(threshold == best) for threshold in THRESHOLDS)
    annotation = Annotation(Path("film"), "x", f"{split}-{best}", split)
    marked = Marked((annotation,), "pneumonia", is_lungs=False)
    return Localised(marked, "normal", 0.1, False, {MODEL: Scores(1.0, 0.5, at, 2.0)}, {})


def test_the_threshold_is_tuned_on_validation_films_alone():
    films = [one("val", 0.3), one("test", 0.6), one("test", 0.6), one("test", 0.3)]
    [figures] = mark_figures(films, "test")
    assert figures.threshold == 0.3
    assert figures.iou_tuned is not None
    assert figures.iou_tuned.estimate == pytest.approx(1 / 3)


def test_without_validation_films_there_is_no_tuned_figure():
    [figures] = mark_figures([one("test", 0.6)], "test")
    assert figures.iou_tuned is None


def test_mean_maps_of_another_model_are_refused(
    told: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "maps.json").write_text(json.dumps({"sha256": "0" * 64, "films": {}, "maps": {}}))
    model = str(write_model(tmp_path))
    maps = ["--mean-maps", str(tmp_path / "maps.json")]
    assert cxr.main(["localise", model, "--data", str(tmp_path), *maps]) == 1
    assert "mean maps of another model" in capsys.readouterr().err


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data/localisation here")
def test_the_shared_set_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = "service/default_model/chest_cnn.onnx"
    assert cxr.main(["localise", model, "--data", str(SHARED), "--films", "4"]) == 0
    assert "pneumonia      model" in capsys.readouterr().out


@pytest.mark.parametrize("lungs", [None, LungSpec()])
def test_of_a_model_with_an_outline_the_share_inside_the_lungs_is_called_the_outlines(
    lungs: LungSpec | None,
):
    annotation = Annotation(Path("film"), "x", "p", "test")
    marked = Marked((annotation,), "pneumonia", is_lungs=True)
    explainer = Mock(spec=Explainer, card=card(lungs=lungs), sha256="0" * 64)
    found = [Localised(marked, "normal", 0.1, False, {}, {MODEL: 0.9})]
    made = localisation_report(explainer, found, layout="localisation", split="test")
    assert made.notes == ((OUTLINE_NOTE,) if lungs else ())
    assert list(sentences(made))[-1] == (OUTLINE_NOTE if lungs else "")
