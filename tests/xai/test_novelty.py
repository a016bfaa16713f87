"""Acquisition statistics tell how a film was made, and the novelty how new that is."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from training.data.phantom import FINDINGS, draw_film
from training.export.novelty import fitted_novelty
from xai.novelty import LUNGS, STATISTICS, Novelty, acquisition

SIDE = 128


def drawings(first: int, number: int) -> Tensor:
    """Return drawn films, each with a finding or none and noise of its own."""
    seeds = range(first, first + number)
    drawn = (draw_film(FINDINGS[seed % len(FINDINGS)], seed=seed).pixels for seed in seeds)
    films = (torch.from_numpy(film)[None, None].float() / 255 for film in drawn)
    return torch.cat([interpolate(film, (SIDE, SIDE), mode="area") for film in films])


@pytest.fixture(scope="module")
def novelty() -> Novelty:
    return fitted_novelty(acquisition(drawings(0, 60)).numpy(), ["drawn"] * 60)


def second(film: np.ndarray, axis: int) -> np.ndarray:
    """Return half the second difference with the opposite sign."""
    return -np.diff(film, 2, axis=axis) / 2


def twin(film: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """Return the statistics of one film in numpy."""
    mean, variance = film.mean(), max(film.var(), 1e-8)
    moments = [((film - mean) ** power).mean() for power in (3, 4)]
    strip = SIDE // 32
    left, right = film[:, :strip].mean(), film[:, -strip:].mean()
    values = [
        mean,
        np.log(variance) / 2,
        moments[0] / variance**1.5,
        np.log(moments[1] / variance**2 + 0.1),
        np.clip(1 - 64 * film, 0, None).mean(),
        np.clip(1 - 64 * (1 - film), 0, None).mean(),
        film[:strip].mean(),
        film[-strip:].mean(),
        (left + right) / 2,
        abs(left - right),
    ]
    small = film
    for _ in range(4):
        for axis in (0, 1):
            sizes = np.abs(second(small, axis))
            values += [np.log(np.sqrt((sizes**2).mean()) + 1e-4), np.log(sizes.mean() + 1e-4)]
        small = small.reshape(len(small) // 2, 2, -1, 2).mean(axis=(1, 3))
    inside, area = lungs, lungs.sum() + 1
    inner = (film * inside).sum() / area
    rest = (film * (1 - inside)).sum() / (film.size + 2 - area)
    spread = ((film - inner) ** 2 * inside).sum() / area
    return np.array([*values, inner, rest - inner, np.log(spread + 1e-4) / 2])


def test_the_statistics_are_those_of_the_definition() -> None:
    films = drawings(0, 3).double()
    mask = torch.rand(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)).double()
    expected = [
        twin(film[0].numpy(), own[0].numpy()) for film, own in zip(films, mask, strict=True)
    ]
    np.testing.assert_allclose(acquisition(films, mask).numpy(), expected, rtol=1e-9, atol=1e-9)
    assert acquisition(films).shape == (3, len(STATISTICS) - len(LUNGS))


def test_a_mask_in_fewer_cells_is_laid_over_the_film() -> None:
    films, mask = drawings(0, 2), torch.zeros(2, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1
    places = torch.zeros(2, 1, SIDE, SIDE)
    places[..., 32:96, 32:96] = 1
    blurred, sharp = acquisition(films, mask)[:, -3:], acquisition(films, places)[:, -3:]
    torch.testing.assert_close(blurred, sharp, atol=0.05, rtol=0)


def test_a_film_and_its_mirror_image_are_acquired_alike() -> None:
    films, mask = drawings(0, 4), torch.rand(4, 1, 16, 16)
    mirrored = acquisition(films.flip(3), mask.flip(3))
    torch.testing.assert_close(mirrored, acquisition(films, mask), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_film_of_one_grey_has_finite_statistics(value: float, novelty: Novelty) -> None:
    film = torch.full((1, 1, 24, 24), value)
    assert acquisition(film, torch.zeros(1, 1, 16, 16)).isfinite().all()
    assert novelty(film) > 3 * novelty(drawings(100, 20)).max()


def smoothed(films: Tensor) -> Tensor:
    return avg_pool2d(films, 3, stride=1, padding=1, count_include_pad=False)


def resampled(films: Tensor) -> Tensor:
    return interpolate(avg_pool2d(films, 2), scale_factor=2, mode="bilinear")


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "smoothed": smoothed,
    "resampled": resampled,
    "another tone curve": lambda films: films**2,
    "noise": lambda films: (films + 0.05 * torch.randn(films.shape)).clamp(0, 1),
    "a white frame": lambda films: torch.nn.functional.pad(
        films[..., 8:-8, 8:-8], [8] * 4, value=1.0
    ),
    "clipped": lambda films: (1.5 * films - 0.25).clamp(0, 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_films_acquired_otherwise_are_more_novel(change: str, novelty: Novelty) -> None:
    torch.manual_seed(0)
    films = drawings(100, 30)
    known, changed = novelty(films), novelty(CHANGES[change](films))
    assert (changed > known.quantile(0.95)).float().mean() > 0.9


def test_novelty_is_the_distance_from_the_nearest_film() -> None:
    random = np.random.default_rng(0)
    known, asked = random.normal(size=(50, 4)), random.normal(size=(3, 4))
    found = fitted_novelty(known, ["a"] * 50)
    whitening = found.whitening.numpy()
    expected = [np.linalg.norm((known - one) @ whitening.T, axis=1).min() for one in asked]
    np.testing.assert_allclose(found.of(torch.tensor(asked).float()).numpy(), expected, rtol=1e-4)
    assert found.of(torch.tensor(known).float()).max() < 0.01


def test_what_varies_within_a_source_counts_less_than_what_does_not() -> None:
    random = np.random.default_rng(0)
    sources = np.arange(200) % 2
    films = random.normal(size=(200, 2)) * [1.0, 0.1] + sources[:, None] * [0.0, 4.0]
    found = fitted_novelty(films, list(map(str, sources)))
    along, across = torch.tensor([[5.0, 0.0], [0.0, -5.0]])
    assert found.of(across[None]) > 3 * found.of(along[None])


def test_films_of_one_distribution_are_not_novel() -> None:
    """Nothing is new: the AUROC is one half, and one film in twenty is above the limit."""
    random = np.random.default_rng(0)
    train, val, new = (random.normal(size=(number, 12)).astype(np.float32) for number in [600] * 3)
    found = fitted_novelty(train, ["a"] * 600)
    known, unknown = (found.of(torch.from_numpy(films)) for films in (val, new))
    assert (unknown[:, None] > known[None]).float().mean().item() == pytest.approx(0.5, abs=0.05)
    limit = known.quantile(0.95)
    assert (unknown > limit).float().mean().item() == pytest.approx(0.05, abs=0.025)


def test_many_films_are_stored_as_some_evenly_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.export.novelty.MOST_FILMS", 3)
    films = np.arange(10.0).reshape(5, 2).astype(np.float32)
    found = fitted_novelty(films, ["a"] * 5)
    assert len(found.references) == 3
    assert found.of(torch.from_numpy(films[[0, 2, 4]])).max() < 1e-3
