"""From what a collection lists to films with hashes, groups and splits, or a refusal with names."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Annotated

import numpy as np
from pydantic import Field

from models.card import Record
from training.data.manifest import Split
from training.preparation.fingerprint import Fingerprint, fingerprints
from training.preparation.groups import joined_groups, kept, leaks
from training.preparation.listing import ListedFilm, Listing, names
from training.preparation.near_duplicates import DEFAULT_DISTANCE, Pair, near_duplicates
from training.preparation.stratification import split_films

MOST_LEAKS_NAMED = 20
Share = Annotated[float, Field(ge=0, lt=1)]


class Preparation(Record):
    """How a manifest is made.

    Attributes:
        val_fraction: Share of the films without a split that become val, where the collection
            brings no val split.
        test_fraction: Likewise, test.
        seed: The same seed makes the same split.
        max_distance: Bits of 256 by which the perceptual hashes of copies may differ.
        drop_duplicates: Where a patient or a copy stands on two sides, give up the films on the
            train side (val gives up to test) instead of refusing.
        skip_unreadable: Leave out films that are missing or cannot be decoded, instead of refusing.
    """

    val_fraction: Share = 0.1
    test_fraction: Share = 0.1
    seed: int = 0
    max_distance: int = DEFAULT_DISTANCE
    drop_duplicates: bool = False
    skip_unreadable: bool = False


@dataclass(frozen=True)
class PreparedFilms:
    """A collection that is ready to be learnt from; all sequences go by the film's number.

    Attributes:
        films: As listed.
        hashes: Of each film's file, SHA-256.
        groups: Films of the same one are in the same split.
        splits: None where the film was dropped.
        copies: All pairs of films that look the same.
        left_out: Number of films by the reason why they are not here.
        notes: What whoever uses these films should know.
    """

    films: tuple[ListedFilm, ...]
    hashes: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[Split | None, ...]
    copies: tuple[Pair, ...]
    left_out: Counter[str]
    notes: tuple[str, ...]


def prepare(listing: Listing, preparation: Preparation) -> PreparedFilms:
    """Hash the films, find copies, keep together what belongs together, and split the rest.

    Raises:
        ValueError: A film is missing or unreadable, is not the file that its sha256 names, or
            stands with its patient's other films or a copy of it on two sides; the message names
            them. Or the films cannot be split as asked.
    """
    films, prints, left_out = _read(listing, preparation.skip_unreadable)
    _check_hashes(films, prints)
    hashes = np.stack([fingerprint.hashes for fingerprint in prints])
    copies = near_duplicates(hashes, max_distance=preparation.max_distance)
    groups = joined_groups(films, copies)
    if not preparation.drop_duplicates:
        _refuse(leaks(films, copies))
    stays = kept(films, groups)
    left_out["patients and copies of val or test, dropped"] += stays.count(False)
    return PreparedFilms(
        films=films,
        hashes=tuple(fingerprint.sha256 for fingerprint in prints),
        groups=tuple(groups),
        splits=_splits(films, groups, stays, preparation),
        copies=tuple(copies),
        left_out=+left_out,
        notes=listing.notes,
    )


def _read(
    listing: Listing, skip_unreadable: bool
) -> tuple[tuple[ListedFilm, ...], list[Fingerprint], Counter[str]]:
    """Return the films that can be read, their fingerprints, and what was left out so far."""
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
    left_out = listing.left_out + Counter(f"unreadable: {fault}" for fault in faults.values())
    return films, [taken[film.path] for film in films], left_out


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
        + "\n--drop-duplicates gives up those on the train side"
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
