"""Boxes become planes of where evidence should not lie, and move with the film."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.config import AugmentationConfig
from training.data.augmentation import FilmAugmentation, LungOpacities
from training.data.boxes import planes_outside_boxes
from training.data.dataset import FilmDataset
from training.data.manifest import Film

HEAD = "path,x,y,width,height\n"


def film(folder: Path) -> Film:
    """Return a film of 60x80 noisy pixels in an even frame of 10, with a bright box."""
    pixels = np.zeros((80, 100), np.uint8)
    pixels[10:70, 10:90] = np.random.default_rng(0).integers(40, 120, (60, 80))
    pixels[30:50, 50:80] = 220
    Image.fromarray(pixels).save(folder / "a.png")
    return Film(folder / "a.png", "pneumonia", "p", "p", "clinic", "train")


def plane(folder: Path, box: str) -> np.ndarray:
    (folder / "boxes.csv").write_text(HEAD + f"a.png,{box}\nb.png,1,1,2,2\n")
    other = Film(folder / "c.png", "normal", "q", "q", "clinic", "train")
    planes = planes_outside_boxes(
        folder / "boxes.csv",
        [other, film(folder)],
        folder / "manifest.csv",
        image_size=(30, 40),
        resize_mode="stretch",
    )
    assert list(planes) == [1]
    return planes[1]


def test_a_box_lies_where_it_was_drawn_on_the_trimmed_film(tmp_path: Path) -> None:
    seen = plane(tmp_path, "50,30,29,19")
    expected = np.full((30, 40), 255)
    expected[10:20, 20:35] = 0
    assert np.abs(seen.astype(int) - expected).mean() < 12


def test_several_boxes_of_a_film_are_all_free(tmp_path: Path) -> None:
    seen = plane(tmp_path, "50,30,29,19\na.png,10,10,9,9")
    assert seen[2, 2] == seen[15, 25] == 0
    assert seen[25, 5] == 255


@pytest.mark.parametrize(
    ("row", "message"),
    [("b.png,1,1,2,2", "has boxes of none"), ("a.png,1,one,2,2", r"line 2 of .*must be numbers")],
)
def test_boxes_that_are_unfit_are_named(row: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text(HEAD + row + "\n")
    with pytest.raises(ValueError, match=message):
        planes_outside_boxes(
            tmp_path / "boxes.csv",
            [film(tmp_path)],
            tmp_path / "manifest.csv",
            image_size=(30, 40),
            resize_mode="stretch",
        )


SIDE = 64
LUNGS = np.zeros((2, SIDE, SIDE), np.uint8)
LUNGS[:, 16:48, 8:28] = 255


def dataset(*, drawing: dict[int, LungOpacities] | None = None, **changes: float) -> FilmDataset:
    """Return two dim films that show their plane of barred evidence; the second has none."""
    barred = np.zeros((SIDE, SIDE), np.uint8)
    barred[8:40, 20:60] = 200
    config = AugmentationConfig.off().model_copy(update=changes)
    pixels = np.stack([barred // 2, np.full_like(barred, 60)])
    return FilmDataset(
        pixels,
        [0, 1],
        lungs=LUNGS,
        barred={0: barred},
        drawing=drawing,
        augmentation=FilmAugmentation(config),
    )


def test_the_plane_moves_with_the_film_and_is_never_widened() -> None:
    moved = dataset(rotation=20, shift=0.1, zoom=0.1, outline=0.1)
    for moved.epoch in range(5):
        planes, _ = moved[0]
        assert (planes[2] - dataset()[0][0][2]).abs().mean() > 0.02
        assert (2 * planes[0] - planes[2]).abs().max() < 0.05


def test_films_without_boxes_bar_nothing() -> None:
    assert not dataset(rotation=20, shift=0.1)[1][0][2].any()


def test_an_opacity_is_drawn_into_lungs_and_marked() -> None:
    drawn = dataset(drawing={1: LungOpacities(1.0)})
    places = []
    for drawn.epoch in range(6):
        planes, _ = drawn[1]
        brighter = planes[0] - 60 / 255
        assert brighter.min() >= 0
        assert not brighter[planes[1] == 0].any()
        assert 0.1 < brighter.max() / planes[2].max() < 0.55
        places.append(int(planes[2].argmax()))
    assert len(set(places)) > 3
    assert torch.equal(drawn[0][0], dataset()[0][0])


def test_opacities_are_drawn_on_the_share_of_films_that_is_asked_for() -> None:
    drawn = dataset(drawing={1: LungOpacities(0.25)})
    marked = [bool(drawn[1 + 2 * copy][0][2].any()) for copy in range(200)]
    assert 0.15 < np.mean(marked) < 0.35


def test_where_there_are_no_lungs_nothing_is_drawn() -> None:
    planes = torch.zeros(3, 8, 8, dtype=torch.uint8)
    assert torch.equal(LungOpacities(1.0)(planes, np.random.default_rng(0)), planes)
