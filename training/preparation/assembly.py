"""Give the films of a collection hashes, groups and splits; refuse leaks between splits."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Annotated

import numpy as np
from pydantic import Field

from models.card import Record
from training.data.manifest import Split
from training.preparation.fingerprint import Fingerprint, fingerprints
from training.preparation.groups import joined_groups, kept, leaks
from training.preparation.listing import FINDING_PREFIX, ListedFilm, Listing, names
from training.preparation.near_duplicates import DEFAULT_DISTANCE, Pair, near_duplicates
from training.preparation.stratification import split_films

MOST_LEAKS_NAMED = 20
Share = Annotated[float, Field(ge=0, lt=1)]


class Preparation(Record):
    """Settings of `cxr prepare`.

    Attributes:
        val_fraction: Share of the films without a split that become val, where the collection
            brings no val split.
        test_fraction: Likewise, test.
        seed: The same seed makes the same split.
        max_distance: Bits of 256 by which the perceptual hashes of copies may differ.
        drop_duplicates: If a patient or a copy is in two splits, keep the films of one only (test
            before val before train) instead of refusing.
        skip_unreadable: Skip films that are missing or cannot be decoded, instead of refusing.
    """

    val_fraction: Share = 0.1
    test_fraction: Share = 0.1
    seed: int = 0
    max_distance: int = DEFAULT_DISTANCE
    drop_duplicates: bool = False
    skip_unreadable: bool = False


@dataclass(frozen=True)
class PreparedFilms:
    """A collection that is ready for training; all sequences are in the order of the films.

    Attributes:
        films: As listed.
        hashes: Of each film's file, SHA-256.
        groups: Films of the same one are in the same split.
        splits: None where the film was dropped.
        copies: All pairs of films that look the same.
        skipped: Number of films that were left out, by reason.
        notes: Sentences for users of these films.
    """

    films: tuple[ListedFilm, ...]
    hashes: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[Split | None, ...]
    copies: tuple[Pair, ...]
    skipped: Counter[str]
    notes: tuple[str, ...]


def prepare(listing: Listing, preparation: Preparation) -> PreparedFilms:
    """Hash the films, find copies, join films that must stay together, and split the groups.

    Raises:
        ValueError: A film is missing or unreadable, is not the file that its sha256 names, or is in
            another split than its patient's other films or a copy of it; the message names them.
            Or the films cannot be split as asked.
    """
    films, prints, skipped = _read(listing, preparation.skip_unreadable)
    _check_hashes(films, prints)
    hashes = np.stack([fingerprint.hashes for fingerprint in prints])
    copies = near_duplicates(hashes, max_distance=preparation.max_distance)
    groups = joined_groups(films, copies)
    if not preparation.drop_duplicates:
        _refuse(leaks(films, copies))
    stays = kept(films, groups)
    skipped["patients and copies of val or test, dropped"] += stays.count(False)
    return PreparedFilms(
        films=films,
        hashes=tuple(fingerprint.sha256 for fingerprint in prints),
        groups=tuple(groups),
        splits=_splits(films, groups, stays, preparation),
        copies=tuple(copies),
        skipped=+skipped,
        notes=listing.notes,
    )


def _read(
    listing: Listing, skip_unreadable: bool
) -> tuple[tuple[ListedFilm, ...], list[Fingerprint], Counter[str]]:
    """Return the films that can be read, their fingerprints, and counts of skipped films."""
    taken, faults = fingerprints([film.path for film in listing.films])
    if faults and not skip_unreadable:
        first = next(f"{path}: {fault}" for path, fault in faults.items())
        raise ValueError(
            f"{len(faults)} films cannot be read: {names(faults)}. {first} "
            "(--skip-unreadable leaves them out)"
        )
    films = tuple(film for film in listing.films if film.path in taken)
    if not films:
        raise ValueError(f"there must be films to prepare; {len(faults)} listed, none readable")
    skipped = listing.skipped + Counter(f"unreadable: {fault}" for fault in faults.values())
    return films, [taken[film.path] for film in films], skipped


def _check_hashes(films: Iterable[ListedFilm], prints: Iterable[Fingerprint]) -> None:
    changed = [
        film.path
        for film, fingerprint in zip(films, prints, strict=True)
        if film.sha256 not in ("", fingerprint.sha256)
    ]
    if changed:
        raise ValueError(f"{len(changed)} films are not as sha256 says: {names(changed)}")


def _refuse(found: Sequence[str]) -> None:
    if not found:
        return
    lines = "\n  ".join(found[:MOST_LEAKS_NAMED])
    more = len(found) - MOST_LEAKS_NAMED
    raise ValueError(
        f"{len(found)} patients, groups or copies stand on two sides of the split:\n  {lines}"
        + (f"\n  and {more} more" if more > 0 else "")
        + "\n--drop-duplicates drops those on the train side"
    )


def _splits(
    films: Sequence[ListedFilm],
    groups: Sequence[str],
    stays: Sequence[bool],
    preparation: Preparation,
) -> tuple[Split | None, ...]:
    made = iter(
        split_films(
            list(compress(films, stays)),
            list(compress(groups, stays)),
            val_fraction=preparation.val_fraction,
            test_fraction=preparation.test_fraction,
            seed=preparation.seed,
        )
    )
    return tuple(next(made) if stay else None for stay in stays)


def film_counts(prepared: PreparedFilms) -> dict[str, Counter[Split]]:
    """Return films, patients, and films of each class or finding, per split."""
    targets = sorted({name for film in prepared.films for name in film.positives})
    counts: dict[str, Counter[Split]] = {
        row: Counter() for row in ("films", "patients", "groups", *targets)
    }
    patients: set[tuple[str, str, Split]] = set()
    for film, group, split in zip(prepared.films, prepared.groups, prepared.splits, strict=True):
        if split is None:
            continue
        patients |= {("patients", film.patient_id, split), ("groups", group, split)}
        for row in ("films", *film.positives, *_unknown(film.targets)):
            counts.setdefault(row, Counter())[split] += 1
    for row, _, split in patients:
        counts[row][split] += 1
    return counts


def _unknown(targets: Mapping[str, str]) -> list[str]:
    return [
        f"{column.removeprefix(FINDING_PREFIX)} (unknown)"
        for column, value in targets.items()
        if not value
    ]
