"""Sanity checks of heat maps: similarity of two maps, and stability under small changes of a film.

A map that stays the same when the network's weights are randomised shows the film, not the network.

Source:
    Adebayo et al. 2018, Sanity Checks for Saliency Maps, arXiv:1810.03292.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.floating]
"""[rows, columns], signed or positive. NaN where a position does not count: outside the lungs, for
a network that looks only there."""

WINDOW = 7
"""Side of SSIM's square windows, in cells."""

K1, K2 = 0.01, 0.03
"""Constants of SSIM, those of its authors."""

NOISE = 0.01
"""Standard deviation of the noise added to pixels in [0, 1]: 2.5 grey levels of 255."""

SHIFTS = ((0, 1), (0, -1), (1, 0), (-1, 0))
"""One pixel to the right, left, down and up."""


def ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return each value's rank from 1; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def rank_correlation(first: Map, second: Map) -> float:
    """Return Spearman's correlation of two maps, from -1 to 1; 0 if one of them is constant.

    It is over the positions that count in both.

    Raises:
        ValueError: The maps have different shapes.

    Source:
        Spearman 1904, The proof and measurement of association between two things.
    """
    _check_alike(first, second)
    counts = ~np.isnan(first + second)
    one, other = first[counts], second[counts]
    if not one.size or np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


def structural_similarity(first: Map, second: Map) -> float:
    """Return the mean SSIM of two maps, each first scaled to [0, 1]; from -1 to 1.

    The mean is over squares of `WINDOW` x `WINDOW` cells, or fewer if the map is smaller.
    Covariances are sample covariances. Of a square those cells are taken that count in both maps,
    and squares with fewer than two of them are left out; it is 0 if all are.

    Raises:
        ValueError: The maps have different shapes.

    Source:
        Wang et al. 2004, Image Quality Assessment, equation 13; scaled as in Adebayo et al.
    """
    _check_alike(first, second)
    counts = ~np.isnan(first + second)
    among = _windows(counts)
    is_asked = among.sum(axis=-1) > 1
    if not is_asked.any():
        return 0.0
    among = among[is_asked]
    one, other = (_windows(_stretched(values, counts))[is_asked] for values in (first, second))
    mean_one, mean_other = (values.mean(axis=-1, where=among) for values in (one, other))
    cells = among.sum(axis=-1)
    sample = cells / (cells - 1)
    variance_one, variance_other = (sample * v.var(axis=-1, where=among) for v in (one, other))
    covariance = sample * ((one * other).mean(axis=-1, where=among) - mean_one * mean_other)
    likeness = (2 * mean_one * mean_other + K1**2) * (2 * covariance + K2**2)
    scale = (mean_one**2 + mean_other**2 + K1**2) * (variance_one + variance_other + K2**2)
    return float((likeness / scale).mean())


def _check_alike(first: Map, second: Map) -> None:
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(
            f"maps must have one shape of two axes, not {first.shape} and {second.shape}"
        )


def _stretched(values: Map, counts: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return a map scaled to [0, 1] by the positions that count; the others are 0."""
    known = values[counts]
    span = float(np.ptp(known))
    if not span:
        return np.zeros(values.shape)
    return np.where(counts, (values.astype(np.float64) - known.min()) / span, 0)


def _windows(values: NDArray[Any]) -> NDArray[Any]:
    """Return the cells of every window that fits, [windows down, windows across, cells]."""
    largest = min(values.shape)
    side = min(WINDOW, largest - 1 + largest % 2)  # odd
    windows = np.lib.stride_tricks.sliding_window_view(values, (side, side))
    return windows.reshape(*windows.shape[:2], -1)


def perturbed(
    pixels: NDArray[np.float32], *, seed: int, noises: int = 4
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield slightly changed films: (`noise` or `shift`, pixels).

    Args:
        pixels: [rows, columns] in [0, 1].
        seed: Seed of the noise.
        noises: Number of films with noise.
    """
    random = np.random.default_rng(seed)
    for _ in range(noises):
        noise = random.normal(scale=NOISE, size=pixels.shape).astype(np.float32)
        yield "noise", np.clip(pixels + noise, 0, 1)
    for down, across in SHIFTS:
        yield "shift", shifted(pixels, down=down, across=across)


def shifted(pixels: NDArray[np.float32], *, down: int, across: int) -> NDArray[np.float32]:
    """Return the film shifted by whole pixels; its edge pixels are repeated."""
    rows, columns = pixels.shape
    from_row = np.clip(np.arange(rows) - down, 0, rows - 1)
    from_column = np.clip(np.arange(columns) - across, 0, columns - 1)
    return pixels[np.ix_(from_row, from_column)]


def stability(
    map_of: Callable[[NDArray[np.float32]], Map], pixels: NDArray[np.float32], *, seed: int
) -> dict[str, tuple[float, float]]:
    """Return the similarity of a film's map and the maps of the film slightly changed.

    Args:
        map_of: From pixels [rows, columns] to the map of one class.
        pixels: The film.
        seed: Seed of the noise.

    Returns:
        Mean rank correlation and mean SSIM, for `noise` and for `shift`.
    """
    before = map_of(pixels)
    found: dict[str, list[tuple[float, float]]] = {"noise": [], "shift": []}
    for kind, changed in perturbed(pixels, seed=seed):
        after = map_of(changed)
        pair = rank_correlation(before, after), structural_similarity(before, after)
        found[kind].append(pair)
    return {kind: _mean_pair(pairs) for kind, pairs in found.items()}


def _mean_pair(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    correlation, similarity = np.mean(pairs, axis=0).tolist()
    return correlation, similarity
