"""Copies are found under other names; other patients, alike as chests are, are not copies."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from tests.support.published import dicom, drawn
from training.preparation.fingerprint import fingerprint
from training.preparation.near_duplicates import DEFAULT_DISTANCE, Pair, near_duplicates

EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": lambda film: film,
    "halved": lambda film: film.resize((film.width // 2, film.height // 2)),
    "squashed": lambda film: film.resize((224, 224)),
    "brighter": lambda film: ImageEnhance.Brightness(film).enhance(1.2),
    "darker": lambda film: ImageEnhance.Brightness(film).enhance(0.7),
    "contrast": lambda film: ImageEnhance.Contrast(film).enhance(1.3),
    "framed": lambda film: ImageOps.expand(film, 12, 0),
}


def file_of(film: Image.Image, file_format: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    film.save(buffer, file_format, **({"quality": 60} if file_format == "JPEG" else {}))
    return buffer.getvalue()


def hashes_of(*files: bytes) -> np.ndarray:
    return np.stack([fingerprint(file).hashes for file in files])


def all_distances(hashes: np.ndarray) -> np.ndarray:
    bits = np.unpackbits(hashes.view(np.uint8), axis=2).astype(int)
    return np.array([[min(abs(a - b).sum(1)) for b in bits] for a in bits])


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_copy_is_found(edit: str) -> None:
    for seed in range(3):
        film = drawn(seed)
        hashes = hashes_of(file_of(film, "PNG"), file_of(EDITS[edit](film)))
        assert len(near_duplicates(hashes)) == 1


def test_a_dicom_film_and_its_jpeg_are_copies() -> None:
    hashes = hashes_of(dicom(drawn(3)), file_of(drawn(3)))
    assert len(near_duplicates(hashes)) == 1


def test_drawn_patients_are_hardly_ever_taken_for_each_other() -> None:
    hashes = hashes_of(*(file_of(drawn(seed), "PNG") for seed in range(40)))
    assert len(near_duplicates(hashes)) <= 0.002 * 40 * 39 / 2


def test_the_pairs_are_those_of_a_slow_comparison() -> None:
    hashes = np.random.default_rng(0).integers(0, 2**63, (30, 2, 4), np.uint64)
    hashes[20, 1] = hashes[3, 1] ^ np.uint64(0b1011)
    hashes[29] = hashes[8]
    distances = all_distances(hashes)
    for limit in (0, 12, 110):
        first, second = np.nonzero(np.triu(distances <= limit, 1))
        expected = [Pair(a, b, distances[a, b]) for a, b in zip(first, second, strict=True)]
        assert near_duplicates(hashes, max_distance=limit) == expected


def test_the_distance_is_a_limit_that_is_kept() -> None:
    hashes = np.zeros((2, 2, 4), np.uint64)
    hashes[1, :, 0] = 0b11111
    assert near_duplicates(hashes, max_distance=4) == []
    assert near_duplicates(hashes, max_distance=5) == [Pair(0, 1, 5)]


def test_an_inverted_hash_does_not_overflow() -> None:
    hashes = np.zeros((2, 2, 4), np.uint64)
    hashes[1] = ~hashes[1]
    assert near_duplicates(hashes) == []


@pytest.mark.parametrize("distance", [-1, 128])
def test_a_senseless_distance_is_refused(distance: int) -> None:
    with pytest.raises(ValueError, match=f"max_distance must be 0 to 127, not {distance}"):
        near_duplicates(np.zeros((2, 2, 4), np.uint64), max_distance=distance)


def test_real_films_searched_before_hold_no_copies_and_edited_ones_do(shared: Path) -> None:
    with (shared / "data/cxr/manifest.csv").open(newline="") as file:
        paths = [shared / "data/cxr" / row["path"] for row in csv.DictReader(file)][::30]
    files = [path.read_bytes() for path in paths]
    assert near_duplicates(hashes_of(*files)) == []
    for file in files[::8]:
        copy = EDITS["squashed"](EDITS["brighter"](Image.open(io.BytesIO(file))))
        ((_, _, distance),) = near_duplicates(hashes_of(file, file_of(copy)))
        assert distance <= DEFAULT_DISTANCE
