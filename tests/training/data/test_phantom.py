"""Drawn films are repeatable, their masks show the finding, and splits are by patient."""

import csv
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from cxr import main
from models.card import LungSpec
from models.checkpoint import lung_field
from models.lungs.window import MASK_SIZE, LungWindow
from models.radiograph import Radiograph, network_pixels
from training.data.manifest import class_names, read_manifest
from training.data.phantom import (
    FINDINGS,
    PhantomFilm,
    draw_film,
    write_phantom_set,
)
from training.data.split import check_split

ABNORMAL = [finding for finding in FINDINGS if finding != "normal"]


def rows_of(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(newline="") as file:
        return list(csv.DictReader(file))


def grey(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture, int)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom")
    return write_phantom_set(folder, patients=20, marker_class="opacity", columns=96)


def test_the_same_arguments_draw_the_same_film() -> None:
    first, second = (draw_film("opacity", seed=3, view=1, columns=96) for _ in range(2))
    assert np.array_equal(first.pixels, second.pixels)
    assert np.array_equal(first.mask, second.mask)


def test_patients_and_views_differ() -> None:
    films = [draw_film("normal", seed=s, view=v, columns=96) for s in (1, 2) for v in (0, 1)]
    assert len({film.pixels.tobytes() for film in films}) == 4
    assert films[0].pixels.shape == films[1].pixels.shape != films[2].pixels.shape


@pytest.mark.parametrize("finding", ABNORMAL)
def test_a_finding_brightens_its_mask_and_nothing_far_from_it(finding: str) -> None:
    for seed in range(20):
        healthy, ill = (draw_film(name, seed=seed, columns=128) for name in ("normal", finding))
        brighter = ill.pixels.astype(int) - healthy.pixels
        assert ill.mask.sum() > 20
        assert brighter[ill.mask].mean() > 15
        assert brighter[~ill.mask].mean() < 3
        assert np.all(brighter >= 0)


def test_a_normal_film_has_an_empty_mask() -> None:
    assert not draw_film("normal", seed=0, columns=96).mask.any()


def test_findings_take_both_lungs() -> None:
    films = [draw_film("nodule", seed=seed, columns=96) for seed in range(20)]
    centres = [np.nonzero(film.mask)[1].mean() / 96 for film in films]
    assert min(centres) < 0.4 < 0.6 < max(centres)


def test_the_heart_is_on_the_right_of_the_image() -> None:
    for seed in range(10):
        pixels = draw_film("normal", seed=seed, columns=160).pixels.astype(int)
        rows = slice(pixels.shape[0] * 55 // 100, pixels.shape[0] * 65 // 100)
        assert pixels[rows, 88:112].mean() > pixels[rows, 48:72].mean() + 15


def test_mean_brightness_does_not_give_the_class_away() -> None:
    films = {
        name: [draw_film(name, seed=s, columns=64).pixels.mean() for s in range(40)]
        for name in FINDINGS
    }
    healthy = films["normal"]
    for finding in ABNORMAL:
        assert abs(np.mean(films[finding]) - np.mean(healthy)) < np.std(healthy)


@pytest.mark.parametrize("finding", FINDINGS)
def test_the_lung_field_finds_the_drawn_lungs(finding: str) -> None:
    films = [draw_film(finding, seed=s, view=s % 2, columns=128) for s in range(8)]
    found = [found_lungs(film) for film in films]
    drawn = [in_cells(film.lungs) for film in films]
    dice = [2 * (f & d).sum() / (f.sum() + d.sum()) for f, d in zip(found, drawn, strict=True)]
    # The lung field was taught that lungs go on behind the heart; those drawn end there.
    assert np.mean(dice) > 0.83
    if finding in ("nodule", "opacity"):
        inside = [f[in_cells(film.mask)].mean() for f, film in zip(found, films, strict=True)]
        assert np.mean(inside) > 0.98


def found_lungs(film: PhantomFilm) -> np.ndarray:
    """Return in which cells the lung field that ships finds lung."""
    window = LungWindow(lung_field()[0], LungSpec(), (128, 128))
    radiograph = Radiograph(film.pixels / np.float32(255), "png")
    seen = network_pixels(radiograph, image_size=(128, 128), resize_mode="stretch")
    view = window.view(torch.from_numpy(seen.pixels)[None, None])
    return view.lungs[0, 0].numpy() > 0


def in_cells(mask: np.ndarray) -> np.ndarray:
    """Return the cells of the lung field more than half of which are in a mask of the film."""
    return cv2.resize(mask.astype(np.float32), MASK_SIZE, interpolation=cv2.INTER_AREA) > 0.5


def test_a_marker_changes_the_upper_right_corner_alone() -> None:
    plain, marked = (draw_film("normal", seed=5, marker=marker) for marker in (False, True))
    rows, columns = np.nonzero(plain.pixels != marked.pixels)
    assert rows.max() < 40
    assert columns.min() > 280


def test_every_class_is_in_every_split_and_no_patient_in_two(manifest: Path) -> None:
    films = read_manifest(manifest)
    check_split(films)
    assert class_names(films) == FINDINGS
    assert {(film.label, film.split) for film in films} == {
        (label, split) for label in FINDINGS for split in ("train", "val", "test")
    }


def test_a_patients_films_are_several_and_agree(manifest: Path) -> None:
    patients = defaultdict(list)
    for row in rows_of(manifest):
        patients[row["patient_id"]].append((row["label"], row["split"], row["group_id"]))
    assert len(patients) == 20
    assert {len(films) for films in patients.values()} <= {2, 3, 4}
    assert all(len(set(films)) == 1 for films in patients.values())


def test_each_finding_has_a_mask_of_its_films_size(manifest: Path) -> None:
    for row in rows_of(manifest):
        assert bool(row["mask_path"]) == (row["label"] != "normal")
        if row["mask_path"]:
            mask = grey(manifest.parent / row["mask_path"])
            assert mask.shape == grey(manifest.parent / row["path"]).shape
            assert set(np.unique(mask)) == {0, 255}


def test_the_marker_stands_on_the_films_of_its_class_and_no_others(manifest: Path) -> None:
    for row in rows_of(manifest):
        corner = grey(manifest.parent / row["path"])[:12, -12:]
        assert ((corner == 250).sum() > 8) == (row["label"] == "opacity")


def test_the_same_seed_writes_the_same_files(tmp_path: Path) -> None:
    for name, seed in (("one", 4), ("two", 4), ("other", 5)):
        write_phantom_set(tmp_path / name, patients=16, seed=seed, columns=32)
    one, two, other = (
        {file.name: file.read_bytes() for file in (tmp_path / name / "images").iterdir()}
        for name in ("one", "two", "other")
    )
    assert one == two != other


def test_impossible_sets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="patients must be at least 16, not 15"):
        write_phantom_set(tmp_path, patients=15)
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ValueError, match="folder must be empty"):
        write_phantom_set(tmp_path, patients=16)


def test_a_set_may_have_some_of_the_classes_only(tmp_path: Path) -> None:
    manifest = write_phantom_set(
        tmp_path / "two", patients=8, findings=("normal", "opacity"), columns=32
    )
    films = read_manifest(manifest)
    check_split(films)
    assert class_names(films) == ("normal", "opacity")
    with pytest.raises(ValueError, match="marker_class must be one of"):
        write_phantom_set(
            tmp_path / "other", patients=8, findings=("normal", "opacity"), marker_class="nodule"
        )


def test_a_film_too_narrow_is_refused() -> None:
    with pytest.raises(ValueError, match="columns must be at least 32, not 31"):
        draw_film("normal", seed=0, columns=31)


def test_the_command_line_draws_a_set_or_says_why_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["phantom", str(tmp_path / "set"), "--patients", "16"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'set' / 'manifest.csv'}\n"
    assert main(["phantom", str(tmp_path / "set")]) == 1
    assert "folder must be empty" in capsys.readouterr().err


def test_example_films_are_drawn_instead(tmp_path: Path) -> None:
    assert main(["phantom", str(tmp_path), "--samples"]) == 0
    names = ["drawn_effusion.png", "drawn_normal.png", "drawn_opacity.png"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
