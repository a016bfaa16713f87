"""Augmented films stay films: same size, same side, drawn from the generator alone."""

import numpy as np
import pytest
import torch

from training.augmentation import FilmAugmentation
from training.config import AugmentationConfig

EVERYTHING = AugmentationConfig(blur=1, downsampling=1, jpeg=1)
NOTHING = AugmentationConfig(
    rotation=0, shift=0, zoom=0, gamma=0, contrast=0, brightness=0, blur=0, downsampling=0, jpeg=0
)


@pytest.fixture
def film() -> torch.Tensor:
    """Dark, with a bright square in the upper left quarter."""
    pixels = torch.full((1, 64, 64), 60, dtype=torch.uint8)
    pixels[:, 12:24, 12:24] = 200
    return pixels


def test_size_and_type_stay(film: torch.Tensor) -> None:
    changed = FilmAugmentation(EVERYTHING)(film, np.random.default_rng(0))
    assert (changed.shape, changed.dtype) == (film.shape, torch.uint8)


def test_with_everything_off_nothing_changes(film: torch.Tensor) -> None:
    assert torch.equal(FilmAugmentation(NOTHING)(film, np.random.default_rng(0)), film)


def test_the_same_generator_gives_the_same_film(film: torch.Tensor) -> None:
    augment = FilmAugmentation(EVERYTHING)
    first, second = (augment(film, np.random.default_rng(7)) for _ in range(2))
    assert torch.equal(first, second)


def test_different_generators_give_different_films(film: torch.Tensor) -> None:
    augment = FilmAugmentation(EVERYTHING)
    first, second = (augment(film, np.random.default_rng(seed)) for seed in (1, 2))
    assert not torch.equal(first, second)


def test_nothing_is_ever_mirrored(film: torch.Tensor) -> None:
    augment = FilmAugmentation(EVERYTHING)
    for seed in range(50):
        changed = augment(film, np.random.default_rng(seed)).float()
        row, column = divmod(int(changed.argmax()), 64)
        assert row < 32
        assert column < 32


def test_the_original_is_left_alone(film: torch.Tensor) -> None:
    before = film.clone()
    FilmAugmentation(EVERYTHING)(film, np.random.default_rng(0))
    assert torch.equal(film, before)
