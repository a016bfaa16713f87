"""Augmented films stay films: same size, same side, drawn from the generator alone."""

import numpy as np
import pytest
import torch

from training.config import AugmentationConfig
from training.data.augmentation import FilmAugmentation
from training.data.style_mixing import StyleBank, histogram_matched

SHARES = (
    "blur",
    "downsampling",
    "jpeg",
    "sharpness",
    "noise",
    "tone_curve",
    "clahe",
    "histogram_matching",
    "style_mixing",
    "opacities",
    "shading",
    "letters",
    "corner_masking",
)
EVERYTHING = AugmentationConfig(**dict.fromkeys(SHARES, 1.0))
NOTHING = AugmentationConfig(
    rotation=0, shift=0, zoom=0, gamma=0, contrast=0, brightness=0, blur=0, downsampling=0, jpeg=0
)


def other_films() -> StyleBank:
    """Return three films of two sources: dark ones and a bright one."""
    pixels = np.random.default_rng(0).normal(90, 25, (3, 64, 64))
    pixels[2] += 80
    return StyleBank(pixels.clip(0, 255).astype(np.uint8), ["dark", "dark", "bright"])


def only(name: str) -> FilmAugmentation:
    """Return the augmentation that always does one thing and nothing else."""
    return FilmAugmentation(NOTHING.model_copy(update={name: 1.0}), other_films())


@pytest.fixture
def film() -> torch.Tensor:
    """Dark, with a bright square in the upper left quarter."""
    pixels = torch.full((1, 64, 64), 60, dtype=torch.uint8)
    pixels[:, 12:24, 12:24] = 200
    return pixels


def test_size_and_type_stay(film: torch.Tensor) -> None:
    changed = FilmAugmentation(EVERYTHING, other_films())(film, np.random.default_rng(0))
    assert (changed.shape, changed.dtype) == (film.shape, torch.uint8)


def test_with_everything_off_nothing_changes(film: torch.Tensor) -> None:
    assert torch.equal(
        FilmAugmentation(NOTHING, other_films())(film, np.random.default_rng(0)), film
    )


def test_the_same_generator_gives_the_same_film(film: torch.Tensor) -> None:
    augment = FilmAugmentation(EVERYTHING, other_films())
    first, second = (augment(film, np.random.default_rng(7)) for _ in range(2))
    assert torch.equal(first, second)


def test_different_generators_give_different_films(film: torch.Tensor) -> None:
    augment = FilmAugmentation(EVERYTHING, other_films())
    first, second = (augment(film, np.random.default_rng(seed)) for seed in (1, 2))
    assert not torch.equal(first, second)


def test_nothing_is_ever_mirrored(film: torch.Tensor) -> None:
    brighter = dict.fromkeys(("letters", "opacities", "shading"), 0.0)
    augment = FilmAugmentation(EVERYTHING.model_copy(update=brighter), other_films())
    for seed in range(50):
        changed = augment(film, np.random.default_rng(seed)).float()
        row, column = divmod(int(changed.argmax()), 64)
        assert row < 32
        assert column < 32


def test_mirror_turns_a_film_about_its_middle_column(film: torch.Tensor) -> None:
    changed = only("mirror")(film, np.random.default_rng(0))
    assert torch.equal(changed, film.flip(2))


def test_stretching_changes_the_height_alone(film: torch.Tensor) -> None:
    stretched = FilmAugmentation(NOTHING.model_copy(update={"stretch": 0.4}))
    heights = set()
    for seed in range(10):
        square = stretched(film, np.random.default_rng(seed))[0] > 130
        assert abs(int(square.any(dim=0).sum()) - 12) <= 1
        heights.add(int(square.any(dim=1).sum()))
    assert min(heights) < 11
    assert max(heights) > 13


def test_an_outline_moves_with_its_film_and_keeps_its_own_grey(film: torch.Tensor) -> None:
    inside = (film > 130).to(torch.uint8) * 255
    moves = {"rotation": 20.0, "shift": 0.1, "zoom": 0.2, "stretch": 0.2, "mirror": 0.5}
    moved = FilmAugmentation(NOTHING.model_copy(update=moves))
    for seed in range(10):
        seen, outline = moved(torch.cat([film, inside]), np.random.default_rng(seed))
        assert ((seen > 130) != (outline > 127)).float().mean() < 0.01
    noisy = FilmAugmentation(NOTHING.model_copy(update={"noise": 1.0, "shading": 1.0}))
    _, outline = noisy(torch.cat([film, inside]), np.random.default_rng(0))
    assert torch.equal(outline, inside[0])


def test_the_original_is_left_alone(film: torch.Tensor) -> None:
    before = film.clone()
    FilmAugmentation(EVERYTHING, other_films())(film, np.random.default_rng(0))
    assert torch.equal(film, before)


@pytest.fixture
def grey() -> torch.Tensor:
    """A film with all grey levels from 40 to 215, brighter from left to right, a little noisy."""
    ramp = np.linspace(40, 215, 64) + np.random.default_rng(1).normal(0, 3, (64, 64))
    return torch.from_numpy(ramp.astype(np.uint8))[None]


@pytest.mark.parametrize("name", SHARES)
def test_each_change_alone_changes_the_film_by_the_generator_alone(
    name: str, grey: torch.Tensor
) -> None:
    first, second = (only(name)(grey, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert (first.shape, first.dtype) == (grey.shape, torch.uint8)
    assert not torch.equal(first, grey)


@pytest.mark.parametrize("name", ["noise", "sharpness", "style_mixing", "clahe"])
def test_a_film_stays_recognisable(name: str, grey: torch.Tensor) -> None:
    for seed in range(10):
        changed = only(name)(grey, np.random.default_rng(seed))
        assert np.corrcoef(changed.ravel(), grey.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("name", ["tone_curve", "histogram_matching"])
def test_no_curve_turns_a_film_into_a_negative(name: str) -> None:
    ramp = torch.arange(256, dtype=torch.uint8).repeat(64, 1)[None]
    for seed in range(20):
        changed = only(name)(ramp, np.random.default_rng(seed)).int()
        assert torch.all(changed.diff(dim=2) >= 0)


def test_a_matched_film_comes_nearer_to_its_model(film: torch.Tensor) -> None:
    bright = StyleBank(np.full((1, 64, 64), 220, np.uint8), ["bright"])
    changed = histogram_matched(film, np.random.default_rng(0), bank=bright)
    assert film.float().mean() < changed.float().mean() <= 220


def test_mixing_styles_leaves_the_fine_detail(grey: torch.Tensor) -> None:
    changed = only("style_mixing")(grey, np.random.default_rng(2))
    detail = [film.float().diff(dim=1).std().item() for film in (grey, changed)]
    assert detail[1] == pytest.approx(detail[0], rel=0.1)
    assert abs(changed.float().mean() - grey.float().mean()) > 2


@pytest.mark.parametrize("name", ["corner_masking", "letters"])
def test_the_middle_of_the_film_stays_as_it_was(name: str, grey: torch.Tensor) -> None:
    for seed in range(20):
        changed = only(name)(grey, np.random.default_rng(seed))
        assert torch.equal(changed[:, 22:42, 22:42], grey[:, 22:42, 22:42])


def test_every_corner_is_covered_in_some_film(grey: torch.Tensor) -> None:
    films = [only("corner_masking")(grey, np.random.default_rng(seed)) for seed in range(20)]
    changed = torch.stack([film != grey for film in films]).float().mean(dim=0)[0]
    for row, column in ((1, 1), (1, -2), (-2, 1), (-2, -2)):
        assert 0.3 < changed[row, column] < 1


def test_letters_are_bright(grey: torch.Tensor) -> None:
    dark = torch.zeros_like(grey)
    assert only("letters")(dark, np.random.default_rng(0)).max() > 150


def test_downsampling_reaches_as_far_as_it_may(grey: torch.Tensor) -> None:
    def detail(smallest: float) -> float:
        config = NOTHING.model_copy(update={"downsampling": 1.0, "smallest_size": smallest})
        augment = FilmAugmentation(config)
        films = [augment(grey, np.random.default_rng(seed)) for seed in range(20)]
        return min(film.float().diff(dim=1).std().item() for film in films)

    assert detail(0.2) < 0.9 * detail(0.6)


def test_every_source_lends_its_style_equally_often() -> None:
    bank, random = other_films(), np.random.default_rng(0)
    brightness = [bank.drawn(random).float().mean().item() for _ in range(200)]
    assert 0.4 < np.mean(np.array(brightness) > 130) < 0.6


def test_styles_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="style_bank must be given"):
        FilmAugmentation(NOTHING.model_copy(update={"style_mixing": 0.1}))
    with pytest.raises(ValueError, match="sources must be one per film: 2 films, 1"):
        StyleBank(np.zeros((2, 4, 4), np.uint8), ["a"])
