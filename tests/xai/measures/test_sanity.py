"""Likeness of maps is the references', and what must not matter to a map is what it says."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity as reference_ssim

from xai.measures.sanity import (
    NOISE,
    perturbed,
    rank_correlation,
    ranks,
    shifted,
    stability,
    structural_similarity,
)


def maps(seed: int, shape: tuple[int, int] = (14, 14)) -> tuple[NDArray[np.float64], ...]:
    random = np.random.default_rng(seed)
    first = random.normal(size=shape)
    return first, first + random.normal(size=shape)


@pytest.mark.parametrize("seed", range(5))
def test_the_rank_correlation_is_scipys_ties_included(seed: int) -> None:
    first, second = (np.round(one, 1) for one in maps(seed))
    assert len(np.unique(first)) < first.size
    expected = spearmanr(first.ravel(), second.ravel()).statistic
    assert rank_correlation(first, second) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(14, 14), (5, 9), (4, 6)])
def test_the_similarity_is_scikit_images_on_maps_from_0_to_1(shape: tuple[int, int]) -> None:
    first, second = maps(1, shape)
    one, other = ((m - m.min()) / np.ptp(m) for m in (first, second))
    side = min(7, min(shape) - 1 + min(shape) % 2)
    expected = reference_ssim(one, other, win_size=side, data_range=1.0)
    assert structural_similarity(first, second) == pytest.approx(expected, abs=1e-6)


def test_both_are_quantus_own() -> None:
    """Its model parameter randomisation test compares maps by these two functions."""
    quantus = pytest.importorskip("quantus", reason="Quantus is not installed: make install")
    first, second = ((m - m.min()) / np.ptp(m) for m in maps(2))
    spearman = quantus.similarity_func.correlation_spearman(first.ravel(), second.ravel())
    assert rank_correlation(first, second) == pytest.approx(spearman, abs=1e-6)
    ssim = quantus.similarity_func.ssim(first, second)
    assert structural_similarity(first, second) == pytest.approx(ssim, abs=1e-6)


def test_a_constant_map_is_like_no_other_in_rank() -> None:
    first, _ = maps(0)
    assert rank_correlation(first, np.full(first.shape, 3.0)) == 0


@pytest.mark.parametrize("likeness", [rank_correlation, structural_similarity])
def test_maps_of_two_shapes_are_refused(likeness: object) -> None:
    assert callable(likeness)
    with pytest.raises(ValueError, match=r"one shape of two axes, not \(14, 14\) and \(7, 7\)"):
        likeness(np.zeros((14, 14)), np.zeros((7, 7)))


def test_a_shift_moves_every_pixel_by_one_and_repeats_the_edge() -> None:
    film = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert shifted(film, down=1, across=0).tolist() == [[0, 1, 2, 3], [0, 1, 2, 3], [4, 5, 6, 7]]
    assert shifted(film, down=0, across=-1)[0].tolist() == [1, 2, 3, 3]


def test_noise_is_small_and_stays_within_the_grey_scale() -> None:
    film = np.full((64, 64), 0.5, np.float32)
    noisy = [changed for kind, changed in perturbed(film, seed=0) if kind == "noise"]
    assert np.std(noisy) == pytest.approx(NOISE, rel=0.05)
    (white,) = [c for k, c in perturbed(np.ones((8, 8), np.float32), seed=0, noises=1)][:1]
    assert white.max() == 1


def test_a_map_of_the_film_itself_is_stable_and_one_of_its_noise_is_not() -> None:
    ramp = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    assert stability(lambda film: film, ramp, seed=0)["noise"][0] > 0.99
    of_noise = stability(lambda film: film - ramp, ramp, seed=0)["noise"]
    assert abs(of_noise[0]) < 0.1


def test_a_planted_map_that_ignores_the_film_is_perfectly_stable() -> None:
    first, _ = maps(0)
    found = stability(lambda film: first, np.zeros((8, 8), np.float32), seed=0)
    assert found == {
        "noise": (pytest.approx(1), pytest.approx(1)),
        "shift": (pytest.approx(1), pytest.approx(1)),
    }


def whole_similarity(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return SSIM as it was written before positions could be left out."""
    windows = [
        np.lib.stride_tricks.sliding_window_view((m - m.min()) / np.ptp(m), (7, 7)).reshape(-1, 49)
        for m in (first, second)
    ]
    (mean, other), (own, their) = (
        [w.mean(axis=1) for w in windows],
        [w.var(axis=1) for w in windows],
    )
    own, their = 49 / 48 * own, 49 / 48 * their
    covariance = 49 / 48 * ((windows[0] * windows[1]).mean(axis=1) - mean * other)
    above = (2 * mean * other + 0.01**2) * (2 * covariance + 0.03**2)
    below = (mean**2 + other**2 + 0.01**2) * (own + their + 0.03**2)
    return float((above / below).mean())


@pytest.mark.parametrize("seed", range(5))
def test_of_maps_of_whole_films_nothing_changes_to_the_last_bit(seed: int) -> None:
    first, second = maps(seed)
    assert structural_similarity(first, second) == whole_similarity(first, second)
    whole = np.corrcoef(ranks(first.ravel()), ranks(second.ravel()))[0, 1]
    assert rank_correlation(first, second) == whole


def test_positions_left_out_of_one_map_are_left_out_of_both() -> None:
    first, second = maps(0)
    first[:, :7] = np.nan
    half = first[:, 7:], second[:, 7:]
    assert rank_correlation(first, second) == pytest.approx(rank_correlation(*half))
    before = structural_similarity(first, second)
    second[:, :7] = 1e9
    assert structural_similarity(first, second) == before
