"""A film is recognised by its bytes and by its appearance."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from models.film_files.errors import NotAnImageError
from tests.support.published import drawn, save
from training.preparation.fingerprint import fingerprint, fingerprints


def test_the_sha256_is_the_files(tmp_path: Path) -> None:
    film = save(drawn(1), tmp_path / "a.png").read_bytes()
    assert fingerprint(film).sha256 == hashlib.sha256(film).hexdigest()


def test_losslessly_rewritten_films_look_the_same_and_are_other_files(tmp_path: Path) -> None:
    one, two = (fingerprint(save(drawn(1), tmp_path / n).read_bytes()) for n in ("a.png", "a.tif"))
    assert np.array_equal(one.hashes, two.hashes)
    assert one.sha256 != two.sha256


def test_a_hash_has_about_as_many_ones_as_zeros(tmp_path: Path) -> None:
    hashes = fingerprint(save(drawn(1), tmp_path / "a.png").read_bytes()).hashes
    assert hashes.shape == (2, 4)
    assert np.bitwise_count(hashes).sum(1).tolist() == [128, 128]


def test_what_is_no_film_is_refused() -> None:
    with pytest.raises(NotAnImageError):
        fingerprint(b"text")


def test_films_that_cannot_be_read_are_told_apart_from_those_that_can(tmp_path: Path) -> None:
    film = save(drawn(1), tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(film.read_bytes()[:300])
    taken, faults = fingerprints([film, tmp_path / "b.png", tmp_path / "c.png"])
    assert list(taken) == [film]
    assert "truncated" in faults[tmp_path / "b.png"]
    assert faults[tmp_path / "c.png"] == "The file does not exist."
