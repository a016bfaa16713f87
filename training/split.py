"""Splits are by patient: nobody, and no group of near-duplicates, stands on two sides."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable

from training.manifest import Film


def check_split(films: Iterable[Film]) -> None:
    """Refuse films whose patient or group stands in more than one split.

    Raises:
        ValueError: With the number of such patients or groups and the first of them.
    """
    films = tuple(films)
    for column in ("patient_id", "group_id"):
        splits = defaultdict(set)
        for film in films:
            splits[getattr(film, column)].add(film.split)
        straddling = sorted(value for value, found in splits.items() if len(found) > 1)
        if straddling:
            raise ValueError(
                f"{len(straddling)} values of {column} stand in more than one split, "
                f"first {straddling[:5]}: a patient's films must all be in one"
            )


def split_sha256(films: Iterable[Film]) -> str:
    """Return a hash of which film is in which split."""
    pairs = sorted((film.path.name, film.split) for film in films)
    return hashlib.sha256(repr(pairs).encode()).hexdigest()
