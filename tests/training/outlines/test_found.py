"""Outlines are found once, move with their film, and reach the network as a second plane."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.card import LungSpec
from models.lungs.window import MASK_SIZE, LungWindow
from tests.support.drawn_lungs import drawn_film
from tests.support.lung_networks import DarkCells
from training.config import AugmentationConfig
from training.data.augmentation import FilmAugmentation
from training.data.dataset import FilmDataset
from training.data.manifest import Film
from training.outlines.found import found_lungs

SIDE = 96


def pixels(films: int) -> np.ndarray:
    drawn = torch.cat([drawn_film(seed) for seed in range(films)])
    small = nn.functional.interpolate(drawn, (SIDE, SIDE), mode="bilinear", antialias=True)
    return (255 * small[:, 0]).round().byte().numpy()


def files(folder: Path, films: int) -> list[Film]:
    paths = [folder / f"{number}.png" for number in range(films)]
    for path in paths:
        path.write_bytes(b"film")
    return [
        Film(path, "normal", path.stem, path.stem, source="drawn", split="train") for path in paths
    ]


@pytest.fixture
def window() -> LungWindow:
    return LungWindow(DarkCells(), LungSpec(size=(64, 64)), (SIDE, SIDE))


def test_the_lungs_are_those_that_the_network_would_find(window: LungWindow, tmp_path: Path):
    films = pixels(3)
    found = found_lungs(files(tmp_path, 3), films, window, tmp_path / "cache")
    assert found.shape == (3, *MASK_SIZE)
    expected = window.probabilities(torch.from_numpy(films)[:, None] / 255)[:, 0]
    assert np.abs(found / 255 - expected.detach().numpy()).max() <= 0.5 / 255 + 1e-6


def test_they_are_found_once_for_one_lung_field(
    window: LungWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films, names = pixels(2), files(tmp_path, 2)
    first = found_lungs(names, films, window, tmp_path / "cache")

    def find_again(_film: torch.Tensor) -> torch.Tensor:
        raise AssertionError("the lungs were found before")

    monkeypatch.setattr(window, "probabilities", find_again)
    assert (found_lungs(names, films, window, tmp_path / "cache") == first).all()
    with torch.no_grad():
        window.field.get_parameter("scale").mul_(2)
    with pytest.raises(AssertionError, match="found before"):
        found_lungs(names, films, window, tmp_path / "cache")


def outlined_set(**changes: float) -> FilmDataset:
    lungs = np.zeros((1, 64, 64), np.uint8)
    lungs[0, 16:48, 16:48] = 255
    films = np.repeat(np.repeat(lungs, 2, axis=1), 2, axis=2)  # a film that shows its outline
    config = AugmentationConfig.off().model_copy(update=changes)
    return FilmDataset(films, [0], lungs=lungs, augmentation=FilmAugmentation(config))


def test_film_and_outline_move_together() -> None:
    planes, _ = outlined_set(rotation=20, shift=0.1, zoom=0.1)[0]
    unmoved, _ = outlined_set()[0]
    assert (planes - unmoved).abs().mean() > 0.02
    assert (planes[0] - planes[1]).abs().mean() < 0.01


def test_only_the_outline_is_widened_or_narrowed() -> None:
    dataset = outlined_set(outline=0.05)
    before, _ = outlined_set()[0]
    areas = []
    for dataset.epoch in range(20):
        planes, _ = dataset[0]
        assert torch.equal(planes[0], before[0])
        areas.append(float(planes[1].mean() / before[1].mean()))
    assert min(areas) < 0.85
    assert max(areas) > 1.15
    assert max(abs(area - 1) for area in areas) < 0.5


def test_without_an_outline_a_film_is_one_plane() -> None:
    assert FilmDataset(pixels(1), [0])[0][0].shape == (1, SIDE, SIDE)
