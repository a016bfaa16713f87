"""Masks come onto network pixels as their film does, and say nothing where they know nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.drawn_outlines import write_outlined_set
from training.data.film_cache import FilmMemory
from training.outlines.dataset import OutlineDataset
from training.outlines.outlined_films import OutlinedFilm, read_outlined_films
from training.outlines.planes import cached_planes, cell_shares, mask_planes, unknown_part

SIZE = (64, 64)
DRAWN = np.array(
    [
        list("......"),
        list(".L??L."),
        list(".LL?L."),
        list(".L???."),
        list(".L???."),
        list(".????."),
        list("......"),
    ]
)
FIELDS, UNKNOWN = DRAWN == "L", DRAWN == "?"


@pytest.fixture
def films(tmp_path: Path) -> tuple[OutlinedFilm, ...]:
    return read_outlined_films(write_outlined_set(tmp_path / "films", films=6, columns=96))


def test_fields_say_nothing_between_the_lungs_and_closely_beneath_them() -> None:
    np.testing.assert_array_equal(unknown_part(FIELDS, "fields"), UNKNOWN)


def test_whole_lungs_say_all() -> None:
    assert not unknown_part(FIELDS, "whole").any()


def test_an_empty_mask_of_fields_says_that_there_is_no_lung() -> None:
    assert not unknown_part(np.zeros((4, 5), bool), "fields").any()


def test_a_mask_moves_as_its_film_does_when_a_border_is_trimmed(tmp_path: Path) -> None:
    """The mask of a film's bright part is its bright part, whatever frame is around the film."""
    bright = np.zeros((50, 60), bool)
    bright[10:30, 20:45] = True
    noise = np.random.default_rng(0).integers(0, 60, bright.shape)
    framed = np.pad(np.where(bright, 200, noise), ((8, 3), (0, 9)))
    Image.fromarray(framed.astype(np.uint8)).save(tmp_path / "film.png")
    Image.fromarray(np.pad(bright, ((8, 3), (0, 9)))).save(tmp_path / "mask.png")
    film = outlined(tmp_path)
    lung, unknown = mask_planes(film, SIZE)
    pixels = FilmMemory(tmp_path / "cache", SIZE, "stretch").pixels([film])[0]
    assert np.mean((lung > 127) == (pixels > 130)) > 0.98
    assert not unknown.any()


def outlined(folder: Path) -> OutlinedFilm:
    return OutlinedFilm(
        path=folder / "film.png",
        label=None,
        patient_id="p",
        group_id="p",
        source="drawn",
        split="train",
        mask=folder / "mask.png",
        mask_by="human",
        convention="whole",
    )


def test_a_mask_of_another_size_than_its_film_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 30), np.uint8)).save(tmp_path / "film.png")
    Image.fromarray(np.zeros((30, 40), bool)).save(tmp_path / "mask.png")
    with pytest.raises(ValueError, match="must have the film's size"):
        mask_planes(outlined(tmp_path), SIZE)


def test_masks_are_read_once(
    films: tuple[OutlinedFilm, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = np.array(cached_planes(films, tmp_path, SIZE))
    monkeypatch.setattr("training.outlines.planes.mask_planes", None)
    np.testing.assert_array_equal(cached_planes(films, tmp_path, SIZE), first)
    assert first.shape == (6, 2, *SIZE)
    assert 0.15 < (first[:, 0] > 127).mean() < 0.6


def test_a_cell_has_its_share_of_lung_or_is_unknown() -> None:
    planes = torch.zeros(2, 2, 4, dtype=torch.uint8)
    planes[0, 0, :2] = 255
    planes[1, 1, 3] = 1
    shares = cell_shares(planes, 2)
    assert shares.shape == (1, 1, 2)
    assert shares[0, 0, 0] == 0.5
    assert shares[0, 0, 1].isnan()


def test_without_augmentation_a_film_has_the_shares_that_the_dataset_lists(
    films: tuple[OutlinedFilm, ...], tmp_path: Path
) -> None:
    pixels = FilmMemory(tmp_path, SIZE, "stretch").pixels(films)
    masks = cached_planes(films, tmp_path, SIZE)
    dataset = OutlineDataset(pixels, masks, cell=2, sources=[film.source for film in films])
    seen, shares = dataset[1]
    np.testing.assert_array_equal(shares, dataset.targets[1])
    np.testing.assert_allclose(seen[0].numpy() * 255, pixels[1], atol=1e-4)
    assert shares.shape == (1, 32, 32)
    assert np.isnan(dataset.targets[1::2]).any()
    assert not np.isnan(dataset.targets[::2]).any()
