"""An audit finds a shortcut that a network uses, and none where the network uses none."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cxr
from models.card import LungSpec
from tests.support.cell_network import CELLS, SIDE, cells, write_cell_network
from tests.support.tiny_model import write_model
from training.audit.audit import Audit, audited
from training.audit.evidence_place import evidence_rows, outside_row, peak_row
from training.audit.rows import AuditRow, row_at_most, worst
from training.audit.source_leak import auroc_of_the_class_alone, last_features, source_rows
from training.data.dataset import class_numbers
from training.data.lung_regions import lung_ellipses, read_lung_masks, seen_films
from training.data.manifest import Film, of_split, read_manifest
from training.data.phantom import write_phantom_set
from training.maps.localisation import OUTLINE_NOTE
from training.statistics.bootstrap import Estimate
from xai.measures.faithfulness import on_pixels

pytestmark = pytest.mark.slow

NAMES = ("effusion", "normal")
LUNG_CELLS = cells(255 * lung_ellipses((SIDE, SIDE))[None].astype(int)).reshape(CELLS, CELLS) == 1
CORNER_CELLS = np.zeros((CELLS, CELLS), bool)
CORNER_CELLS[:2, -2:] = True


def drawn_films(folder: Path, marker_class: str | None = None) -> list[Film]:
    """Return drawn films of two classes, from two sources that are drawn by lot."""
    manifest = write_phantom_set(folder, patients=240, marker_class=marker_class, columns=64)
    lots = np.random.default_rng(0)
    return [
        replace(film, source=str(lots.choice(["a", "b"])))
        for film in read_manifest(manifest)
        if film.label in NAMES
    ]


def audit(folder: Path, *, looks_at: np.ndarray, marker_class: str | None = None) -> Audit:
    films = drawn_films(folder / "films", marker_class)
    train, others = of_split(films, "train"), [film for film in films if film.split != "train"]
    model = write_cell_network(train, NAMES, folder / "cells.onnx", looks_at=looks_at)
    return audited(model, others, {})


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return audit(tmp_path_factory.mktemp("honest"), looks_at=LUNG_CELLS)


@pytest.fixture(scope="module")
def misled(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    folder = tmp_path_factory.mktemp("misled")
    return audit(folder, looks_at=CORNER_CELLS, marker_class="effusion")


def verdicts(rows: Sequence[AuditRow]) -> dict[str, str]:
    return {row.question: row.verdict for row in rows}


def test_a_network_that_looks_at_lungs_passes_every_row(honest: Audit) -> None:
    assert set(verdicts(honest.rows).values()) == {"passes"}
    assert honest.report.verdict == "passes"


def test_a_network_that_reads_the_planted_marker_is_found_out(misled: Audit) -> None:
    found = verdicts(misled.rows)
    assert {question for question, verdict in found.items() if verdict == "fails"} >= {
        "AUROC of effusion with the lungs blanked",
        "change of probability when a corner is covered",
        "AUROC of a class from the corners alone, no network",
        "density of evidence for effusion outside the lungs",
        "share of effusion films with the peak in one border cell",
    }
    assert misled.report.verdict == "fails"


def test_the_corner_of_the_marker_is_named(misled: Audit) -> None:
    row = next(row for row in misled.rows if "corner is covered" in row.question)
    assert "effusion, top right" in row.note
    worst_edge = max(misled.report.edges, key=lambda edge: edge.mean_absolute_change)
    assert worst_edge.region in {"top right", "top", "right"}
    assert worst_edge.mean_change < 0


def model_of(audit: Audit) -> Path:
    return audit.seen.films[0].path.parents[2] / "cells.onnx"


def test_features_are_those_that_the_head_multiplies(honest: Audit) -> None:
    pixels = honest.seen.pixels[:5]
    found = last_features(model_of(honest), pixels)
    assert found == pytest.approx(cells(255 * pixels[:, 0]), abs=1e-5)


def test_a_file_whose_features_cannot_be_found_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="logits must come from a product"):
        last_features(write_model(tmp_path), np.zeros((2, 1, 32, 48), np.float32))


def test_sources_that_features_tell_apart_fail_within_a_class(honest: Audit) -> None:
    telling = np.array([[film.source == "a", 0.5] for film in honest.seen.films], float)
    over_all, *within = source_rows(telling, honest.seen)
    assert {over_all.verdict, *(row.verdict for row in within)} == {"fails"}
    assert [row.question for row in within] == [f"which source, among films of {n}" for n in NAMES]


def test_where_class_and_source_are_one_the_figure_over_all_films_says_nothing(
    honest: Audit,
) -> None:
    films = tuple(replace(film, source=film.label) for film in honest.seen.films)
    telling = np.array([[film.source == "normal", 0.5] for film in films], float)
    rows = list(source_rows(telling, replace(honest.seen, films=films)))
    assert {row.verdict for row in rows} == {"cannot tell"}
    assert auroc_of_the_class_alone(films) == 1
    assert rows[0].figure == 1
    assert "confounded" in rows[0].note


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 0.2, "passes"), (0.4, 0.6, "cannot tell"), (0.6, 0.7, "fails")],
)
def test_the_whole_interval_decides(low: float, high: float, verdict: str) -> None:
    row = row_at_most(0.5, "?", Estimate((low + high) / 2, low, high), why="a test")
    assert row.verdict == verdict


def test_one_failed_row_fails_the_audit() -> None:
    rows = [row_at_most(0.5, "?", Estimate(x, x, x), why="a test") for x in (0.1, 0.9)]
    assert (worst(rows), worst(rows[:1]), worst([])) == ("fails", "passes", "cannot tell")


def test_an_even_map_is_as_dense_outside_as_the_limit() -> None:
    lungs = np.broadcast_to(lung_ellipses((32, 32)), (6, 32, 32))
    groups = list("abcdef")
    even, inside = (
        np.stack([on_pixels(cells, (32, 32), None)] * 6)
        for cells in (np.ones((8, 8)), lung_ellipses((8, 8)).astype(float))
    )
    row = outside_row("x", even, lungs, origin="drawn", groups=groups)
    assert row.figure == pytest.approx(1)
    row = outside_row("x", inside, lungs, origin="drawn", groups=groups)
    assert row.figure is not None
    assert row.figure < 0.6


def test_a_constant_peak_counts_at_the_border_only() -> None:
    maps = np.zeros((2, 6, 4, 4))
    maps[0, :, 0, 3] = maps[1, :, 1, 1] = 1
    border, inside = (peak_row("x", part, groups=list("abcdef")) for part in maps)
    assert (border.figure, inside.figure) == (1, 0)
    assert "row 1 column 4 of 4x4" in border.note
    assert "row 2 column 2 of 4x4 in 100% of the films" in inside.note


def write_lung_folder(folder: Path, films: Sequence[Film], split: str) -> Path:
    """Write masks, white in the left half, in the layout of a localisation set."""
    (folder / "lung_masks").mkdir(parents=True)
    lines = ["split,lung_mask,cxr_manifest_path"]
    for film in films:
        mask = np.zeros((100, 100), np.uint8)
        mask[:, :50] = 255
        Image.fromarray(mask).save(folder / "lung_masks" / film.path.name)
        lines.append(f"{split},lung_masks/{film.path.name},images/{film.path.name}")
    (folder / "images.csv").write_text("\n".join(lines))
    return folder


def test_masks_move_to_network_pixels_and_test_masks_stay_away(
    honest: Audit, tmp_path: Path
) -> None:
    film = honest.seen.films[0]
    manifest = film.path.parents[1] / "manifest.csv"
    folder = write_lung_folder(tmp_path / "lungs", [film], "val")
    assert read_lung_masks(folder, manifest, split="test") == {}
    masks = read_lung_masks(folder, manifest, split="val")
    films = honest.seen.films[:2]
    seen = seen_films(films, masks, image_size=(32, 32), resize_mode="stretch")
    own, nobodys = seen.lungs.own
    assert nobodys is None
    assert own is not None
    assert own[:, :15].all()
    assert not own[:, 17:].any()


def test_films_with_and_without_masks_are_blanked_alike(honest: Audit, tmp_path: Path) -> None:
    film, other = honest.seen.films[:2]
    folder = write_lung_folder(tmp_path / "lungs", [film], "val")
    masks = read_lung_masks(folder, film.path.parents[1] / "manifest.csv", split="val")
    for films, are_complete in (((film, other), False), ((film,), True)):
        lungs = seen_films(films, masks, image_size=(32, 32), resize_mode="stretch").lungs
        assert lungs.are_complete == are_complete
        assert all(np.array_equal(region, lungs.typical) for region in lungs.for_blanking())


def test_a_folder_without_masks_is_refused(honest: Audit, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be a folder with images\.csv"):
        read_lung_masks(tmp_path, tmp_path / "manifest.csv", split="val")
    (tmp_path / "images.csv").write_text("split,lung_mask\n")
    with pytest.raises(ValueError, match="lacks the columns \\['cxr_manifest_path'\\]"):
        read_lung_masks(tmp_path, tmp_path / "manifest.csv", split="val")


def test_the_command_prints_a_verdict_per_row_and_writes_a_report(
    misled: Audit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = misled.seen.films[0].path.parents[1]
    rows = (films / "manifest.csv").read_text().splitlines(keepends=True)
    two = [row for row in rows if ",nodule," not in row and ",opacity," not in row]
    (films / "two.csv").write_text("".join(two))
    model, report = model_of(misled), tmp_path / "out"
    arguments = ["audit", str(model), "--manifest", str(films / "two.csv"), "--report", str(report)]
    assert cxr.main(arguments) == 0
    written = json.loads((report / "audit.json").read_text())
    printed = capsys.readouterr().out
    assert all(row["question"] in printed for row in written["rows"])
    assert "fails: " in printed
    assert written["verdict"] == "fails"
    assert (report / "audit.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("lungs", [None, LungSpec()])
def test_of_a_model_with_an_outline_evidence_outside_the_lungs_is_called_the_outlines(
    honest: Audit, lungs: LungSpec | None
) -> None:
    card = honest.card.model_copy(update={"lungs": lungs})
    targets = np.array(class_numbers(honest.seen.films, card.class_names))
    rows = list(evidence_rows(card, honest.answers, honest.seen, targets))
    of_outside = [row for row in rows if "outside the lungs" in row.question and row.figure]
    assert of_outside
    assert all((OUTLINE_NOTE in row.note) == bool(lungs) for row in of_outside)
