"""Check that splits are by patient: no patient, and no group of copies, is in two of them."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from models.card import TrainingData
from training.config import Config, DataConfig
from training.data.manifest import Film, manifest_sha256


def with_held_out(films: Sequence[Film], data: DataConfig) -> tuple[Film, ...]:
    """Return the films, those of train that are of the origin held out moved to val.

    Raises:
        ValueError: No film of train is of that origin.
    """
    if data.hold_out is None:
        return tuple(films)
    is_held = [
        film.split == "train" and data.origin(film.source) == data.hold_out for film in films
    ]
    if not any(is_held):
        known = sorted({data.origin(film.source) for film in films if film.split == "train"})
        raise ValueError(f"hold_out must be an origin of train, {known}, not {data.hold_out!r}")
    return tuple(
        replace(film, split="val") if held else film
        for film, held in zip(films, is_held, strict=True)
    )


def check_split(films: Iterable[Film]) -> None:
    """Raise if a patient or a group is in more than one split.

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
    """Raise if a class, or a value (1, 0) of a finding, is missing from train or val.

    Raises:
        ValueError: With the split and what it lacks.
    """
    films = tuple(films)
    wanted = _truths(films) | {
        f"{name}={value}" for film in films for name, _ in film.findings for value in (0, 1)
    }
    for split in ("train", "val"):
        absent = wanted - _truths(film for film in films if film.split == split)
        if absent:
            raise ValueError(f"no film of the classes {sorted(absent)} is in {split}")


def _truths(films: Iterable[Film]) -> set[str]:
    """Return all labels, or all known values of findings as `<finding>=<0 or 1>`."""
    known: set[str] = set()
    for film in films:
        known |= {film.label} if film.label else set()
        known |= {f"{name}={value:d}" for name, value in film.findings if value is not None}
    return known


def split_sha256(films: Iterable[Film]) -> str:
    """Return a hash of which film is in which split."""
    pairs = sorted((film.path.name, film.split) for film in films)
    return hashlib.sha256(repr(pairs).encode()).hexdigest()


def training_data(films: Sequence[Film], config: Config) -> TrainingData:
    """Return the record of the films that a run learns from: hashes and counts.

    Args:
        films: Of all splits, those held out in val.
        config: Of the run.
    """
    held = config.data.hold_out
    chose = f" Films of {held} chose epoch and thresholds, and taught nothing." if held else ""
    return TrainingData(
        manifest_sha256=manifest_sha256(config.data.manifest),
        split_sha256=split_sha256(films),
        films=dict(Counter(film.split for film in films)),
        description=config.data.description + chose,
    )
