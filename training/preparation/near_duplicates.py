"""Find copies of a film under another name: compressed, resized, brightened or framed."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt64
from tqdm import tqdm

from training.preparation.fingerprint import HASH_BITS

DEFAULT_DISTANCE = 32
"""Bits of 256; benchmarks/near_duplicates.py measures how many copies and mistakes it finds."""


class Pair(NamedTuple):
    """Two films, by number, that look the same.

    Attributes:
        first: The smaller number.
        second: The larger number.
        distance: Bits in which their perceptual hashes differ.
    """

    first: int
    second: int
    distance: int


def near_duplicates(
    hashes: UInt64[np.ndarray, "films kinds words"], *, max_distance: int = DEFAULT_DISTANCE
) -> list[Pair]:
    """Return all pairs of films that differ in at most `max_distance` bits of any kind of hash.

    Every pair is compared, so that none is missed: time grows with the square of the number of
    films, memory with the number.

    Args:
        hashes: Each film's perceptual hashes of 256 bits; each kind is compared with itself.
        max_distance: Most bits by which copies may differ.

    Raises:
        ValueError: `max_distance` is below 0 or at least 128, where half of all bits differ and
            unrelated films would be copies.
    """
    if not 0 <= max_distance < HASH_BITS // 2:
        raise ValueError(f"max_distance must be 0 to {HASH_BITS // 2 - 1}, not {max_distance}")
    words = np.ascontiguousarray(np.moveaxis(hashes, 0, -1))

    def pairs_from(film: int) -> list[Pair]:
        distances = _distances_to_later(words, film)
        near = np.flatnonzero(distances <= max_distance)
        return [Pair(film, film + 1 + int(i), int(distances[i])) for i in near]

    films = range(len(hashes))
    with ThreadPoolExecutor() as pool:
        found = tqdm(pool.map(pairs_from, films), "comparing", len(films), unit="film", leave=False)
        return [pair for pairs in found for pair in pairs]


def _distances_to_later(
    words: UInt64[np.ndarray, "kinds words films"], film: int
) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    """Return the Hamming distances of one film to all that come after it."""
    differing = np.bitwise_count(words[:, :, film, None] ^ words[:, :, film + 1 :])
    return differing.sum(axis=1, dtype=np.uint16).min(axis=0)
