"""Splits are by patient: nobody, and no group of near-duplicates, stands on two sides."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from models.card import TrainingData
from training.config import Config
from training.manifest import Film, manifest_sha256


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


def check_classes(films: Iterable[Film]) -> None:
    """Refuse films with a class that cannot be learnt, or on which nothing can be chosen.

    Raises:
        ValueError: A class is absent from train or val.
    """
    films = tuple(films)
    for split in ("train", "val"):
        absent = {film.label for film in films} - {f.label for f in films if f.split == split}
        if absent:
            raise ValueError(f"no film of the classes {sorted(absent)} is in {split}")


def split_sha256(films: Iterable[Film]) -> str:
    """Return a hash of which film is in which split."""
    pairs = sorted((film.path.name, film.split) for film in films)
    return hashlib.sha256(repr(pairs).encode()).hexdigest()


def training_data(films: Sequence[Film], config: Config) -> TrainingData:
    """Return which films a run learns from, as hashes and counts."""
    return TrainingData(
        manifest_sha256=manifest_sha256(config.data.manifest),
        split_sha256=split_sha256(films),
        films=dict(Counter(film.split for film in films)),
        description=config.data.description,
    )
