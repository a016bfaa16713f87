"""Measure a map by ROAD: remove the hottest or coldest pixels and see what the class loses.

A constant patch would show a network that something was removed, and where; noisy linear imputation
fills it from its neighbours instead. It needs SciPy, which the server does not have.

Source:
    Rong et al. 2022, A consistent and efficient evaluation strategy for attribution methods,
    arXiv:2202.00449, section 4.2.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy.sparse import csc_matrix, eye_array
from scipy.sparse.linalg import spsolve

from xai.measures.faithfulness import Probabilities

Pixels = Float32[np.ndarray, "rows columns"]
Kept = Bool[np.ndarray, "rows columns"]

NOISE = 0.01
"""Standard deviation of the noise added to imputed pixels, whose range is 0 to 1."""

PERCENTILES = (10, 20, 30, 40, 50, 60, 70, 80, 90)
NEIGHBOURS = (
    ((0, 1), 1 / 6),
    ((0, -1), 1 / 6),
    ((1, 0), 1 / 6),
    ((-1, 0), 1 / 6),
    ((1, 1), 1 / 12),
    ((1, -1), 1 / 12),
    ((-1, 1), 1 / 12),
    ((-1, -1), 1 / 12),
)
"""Row and column offset of each neighbour, and its weight."""


def road(
    answer: Probabilities,
    pixels: Pixels,
    evidence: Float[np.ndarray, "rows columns"],
    class_index: int,
    *,
    seed: int = 0,
    percentiles: Sequence[float] = PERCENTILES,
) -> float:
    """Return how much more probability a class loses with the hottest pixels than the coldest.

    Half the mean difference between the probability without the least and without the most
    relevant pixels, from -0.5 to 0.5: the higher, the more faithful. 18 films in one batch.

    Args:
        answer: The model.
        pixels: Network pixels of one film.
        evidence: The map to test, at each of those pixels.
        class_index: The class whose probability is measured.
        seed: Of the noise.
        percentiles: Share of the pixels, in per cent, that stay. Pixels of one value, as those are
            that a network of the lungs leaves at 0, are taken in random order.
    """
    random = np.random.default_rng(seed)
    kept = [
        least(relevance, percentile, random)
        for relevance in (evidence, -evidence)
        for percentile in percentiles
    ]
    films = [imputed(pixels, one, random.standard_normal(pixels.shape)) for one in kept]
    found = answer(np.stack(films)[:, None])[:, class_index]
    hottest, coldest = found[: len(percentiles)], found[len(percentiles) :]
    return float(coldest.mean() - hottest.mean()) / 2


def least(
    relevance: Float[np.ndarray, "rows columns"],
    percentile: float | int,
    random: np.random.Generator,
) -> Kept:
    """Return which pixels are the least relevant ones; those of one value in random order.

    Args:
        relevance: Of each pixel.
        percentile: How many, in per cent of the pixels.
        random: Draws the order.
    """
    values = relevance.ravel()
    order = np.lexsort((random.random(values.size), values))
    kept = np.zeros(values.size, np.bool_)
    kept[order[: np.ceil(percentile / 100 * (values.size - 1)).astype(int)]] = True
    return kept.reshape(relevance.shape)


def imputed(
    pixels: Pixels, kept: Kept, noise: Float[np.ndarray, "rows columns"] | None = None
) -> Pixels:
    """Return a film whose removed pixels are weighted means of their neighbours, plus noise.

    Args:
        pixels: The film.
        kept: The pixels that stay; at least one.
        noise: Added to imputed pixels, times `NOISE`; None for no noise.

    Raises:
        ValueError: No pixel stays, so that there is nothing to impute the others from.
    """
    if not kept.any():
        raise ValueError("kept must hold at least one pixel")
    filled = pixels.astype(np.float64)
    filled[~kept] = _solution(filled, kept)
    if noise is not None:
        filled[~kept] += NOISE * noise[~kept]
    return filled.astype(np.float32)


def _solution(
    pixels: Float[np.ndarray, "rows columns"], kept: Kept
) -> Float[np.ndarray, " unknown"]:
    """Return the removed pixels, each the weighted mean of its neighbours."""
    if kept.all():
        return np.empty(0)
    number = np.cumsum(~kept).reshape(kept.shape) - 1
    unknown = int((~kept).sum())
    weights, known = np.zeros(unknown), np.zeros(unknown)
    links = csc_matrix((unknown, unknown))
    for offset, weight in NEIGHBOURS:
        own, other = _pairs(kept.shape, offset)
        own, other = own[:, ~kept[*own]], other[:, ~kept[*own]]
        weights[number[*own]] += weight
        given = kept[*other]
        known[number[*own]] += weight * np.where(given, pixels[*other], 0)
        ends = number[*own][~given], number[*other][~given]
        links += csc_matrix((np.full(len(ends[0]), weight), ends), (unknown, unknown))
    return np.asarray(spsolve(csc_matrix(eye_array(unknown).multiply(weights) - links), known))


def _pairs(size: tuple[int, ...], offset: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return places [2, pairs] of all pixels that have this neighbour, and of the neighbours."""
    own = np.indices(size).reshape(2, -1)
    other = own + np.array(offset)[:, None]
    inside = ((other >= 0) & (other < np.array(size)[:, None])).all(axis=0)
    return own[:, inside], other[:, inside]
