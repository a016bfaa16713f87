"""Refused images are counted by kind, and listed file by file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cxr
from models.card import LungLimits
from tests.support.drawn_answers import evaluation, films
from tests.support.tiny_model import CLASS_NAMES, FILM, REFUSED_FILM, write_model
from training.data.manifest import Film, of_split, read_manifest
from training.evaluation.curves import refusal_scores
from training.evaluation.refusal import Reaction, kind_share, refusal_report
from xai.explainer import Explainer

FILMS = 12


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Return dark films: the tiny model's distance is ten times the mean pixel, its limit 8."""
    rows = ["path,label,patient_id,group_id,source,split"]
    for number in range(FILMS):
        film = np.random.default_rng(number).integers(2, 40, (32, 48), np.uint8)
        Image.fromarray(film).save(tmp_path / f"{number}.png")
        split = "val" if number else "train"
        rows.append(f"{number}.png,{CLASS_NAMES[number % 2]},p{number},g{number},s,{split}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    return tmp_path / "manifest.csv"


@pytest.fixture
def unlike(tmp_path: Path) -> Path:
    """Return a folder of images: one refused, one answered, one broken, and a file of text."""
    folder = tmp_path / "unlike"
    folder.mkdir()
    (folder / "bright.png").write_bytes(REFUSED_FILM)
    (folder / "dark.png").write_bytes(FILM)
    (folder / "broken.png").write_bytes(FILM[:40])
    (folder / "README.md").write_text("no image")
    return folder


def test_kinds_and_files_are_told(
    manifest: Path, unlike: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, output = write_model(tmp_path), tmp_path / "refusal.json"
    words = ["refusal", str(model), "--manifest", str(manifest), "--unlike", str(unlike)]
    assert cxr.main([*words, "--films", "5", "-o", str(output)]) == 0
    report = json.loads(output.read_text())
    silent = {kind["kind"]: (kind["silent"], kind["images"]) for kind in report["kinds"]}
    assert silent["films as they are"] == (0, 5)
    assert silent["films upside down"] == (0, 5)
    assert silent["inverted films"] == (1, 5)
    assert silent["drawings"][1] == 30
    outcomes = {image["image"]: image["outcome"] for image in report["images"]}
    assert outcomes == {"bright.png": "refused", "broken.png": "unreadable", "dark.png": "answered"}
    text = capsys.readouterr().out
    assert "2 of 3 images refused or undecided" in text
    figures = "1.000 (1.000 to 1.000) of 5; refused 1.000"
    assert f"inverted films         {figures}: lungs 0.000, distance 1.000, novelty 0.000" in text
    assert "bright.png normal (distance)" in text or "bright.png pneumonia (distance)" in text


def test_what_is_undecided_is_not_answered(unlike: Path, manifest: Path, tmp_path: Path) -> None:
    explainer = Explainer(write_model(tmp_path, confidence_threshold=0.9))
    report = refusal_report(explainer, _films(manifest), [unlike / "dark.png"])
    assert report.images[0].outcome == "undecided"
    kind = report.kinds[0]
    assert (kind.kind, kind.silent, kind.refused) == ("films as they are", 1, 0)


def test_an_evaluation_takes_films_without_lungs_for_refused() -> None:
    made = evaluation(films(3))
    limits = LungLimits(area=(0.1, 0.6), balance=0.5, stray=0.02)
    asked = replace(
        made,
        card=made.card.model_copy(update={"lung_limits": limits}),
        distance=np.array([1.0, 1.0, 9.0]),
        lung_figures=np.array([[0.3, 0.9, 0.0], [0.3, 0.1, 0.0], [0.3, 0.9, 0.0]]),
    )
    assert asked.is_refused.tolist() == [False, True, True]


def test_each_reason_is_counted_by_itself() -> None:
    reactions = [
        Reaction(image="", outcome="refused", refusals=refusals)
        for refusals in (("lungs", "novelty"), ("novelty",), ("distance",))
    ]
    found = kind_share("films", [*reactions, Reaction(image="", outcome="answered")], list("abcd"))
    assert (found.refused, found.without_lungs, found.distant, found.novel) == (
        0.75,
        0.25,
        0.25,
        0.5,
    )


def test_an_evaluation_takes_films_of_a_new_acquisition_for_refused() -> None:
    made = evaluation(films(3))
    card = made.card.model_copy(update={"novelty_threshold": 2.0})
    asked = replace(made, card=card, distance=np.ones(3), novelty=np.array([1.0, 2.5, np.nan]))
    assert asked.is_refused.tolist() == [False, True, True]
    assert not replace(asked, novelty=None).is_refused.any()
    assert set(refusal_scores(asked)) == {"uncertainty", "distance", "novelty"}


def test_no_films_are_refused(manifest: Path, tmp_path: Path) -> None:
    words = ["refusal", str(write_model(tmp_path)), "--manifest", str(manifest), "--films", "0"]
    assert cxr.main(words) == 1


def _films(manifest: Path) -> list[Film]:
    return list(of_split(read_manifest(manifest), "val"))
