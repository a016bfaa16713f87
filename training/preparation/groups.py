"""Group films that must stay in one split: a patient's, a group's, and copies of each other."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from training.data.manifest import Split
from training.preparation.fingerprint import HASH_BITS
from training.preparation.listing import ListedFilm
from training.preparation.near_duplicates import Pair


def joined_groups(films: Sequence[ListedFilm], copies: Iterable[Pair]) -> list[str]:
    """Return the `group_id` of every film, the same for all that must stay together.

    Films that share a patient or a group, or are copies, are joined, and so are all films joined
    to them. A joined group is named after the first group in it.
    """
    own = [film.group_id or film.patient_id for film in films]
    links = [(pair.first, pair.second) for pair in copies]
    links += _links([film.patient_id for film in films]) + _links(own)
    first, second = np.array(links, int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(links), bool), (first, second)), shape=(len(films),) * 2)
    _, components = connected_components(graph, directed=False)
    names: dict[int, str] = {}
    pairs = zip(components, own, strict=True)
    return [names.setdefault(component, name) for component, name in pairs]


def _links(values: Sequence[str]) -> list[tuple[int, int]]:
    """Return every film with the first film of the same value."""
    first = {value: number for number, value in reversed(list(enumerate(values)))}
    return [(first[value], number) for number, value in enumerate(values)]


SIDES: tuple[Split, ...] = ("train", "val", "test")
"""By rising priority: of a group in two splits, the films of the earlier one are dropped."""


def side_of(film: ListedFilm) -> Split:
    """Return the film's split; films without one count as train."""
    return film.split or "train"


def leaks(films: Sequence[ListedFilm], copies: Sequence[Pair]) -> list[str]:
    """Return a sentence for each patient, group or pair of copies in two splits, naming files."""
    return [
        *_straddling(films, "patient", [film.patient_id for film in films]),
        *_straddling(films, "group", [film.group_id for film in films]),
        *_copies_apart(films, copies),
    ]


def _straddling(films: Sequence[ListedFilm], noun: str, values: Sequence[str]) -> Iterator[str]:
    sides: dict[str, dict[Split, Path]] = defaultdict(dict)
    for film, value in zip(films, values, strict=True):
        sides[value].setdefault(side_of(film), film.path)
    for value, paths in sides.items():
        if value and len(paths) > 1:
            yield f"{noun} {value}: {_named(paths)}"


def _named(paths: Mapping[Split, Path]) -> str:
    return ", ".join(f"{paths[side]} ({side})" for side in SIDES if side in paths)


def _copies_apart(films: Sequence[ListedFilm], copies: Sequence[Pair]) -> Iterator[str]:
    for first, second, distance in copies:
        pair = films[first], films[second]
        if side_of(pair[0]) != side_of(pair[1]):
            both = " and ".join(f"{f.path} ({side_of(f)}, patient {f.patient_id})" for f in pair)
            yield f"copies, {distance} of {HASH_BITS} bits apart: {both}"


def kept(films: Sequence[ListedFilm], groups: Sequence[str]) -> list[bool]:
    """Return whether each film stays when every group keeps the films of one split only.

    Test has priority over val, and val over train: a copy in train is dropped, and with it the
    other train films of the same patient.
    """
    sides: dict[str, int] = defaultdict(int)
    for film, group in zip(films, groups, strict=True):
        sides[group] = max(sides[group], SIDES.index(side_of(film)))
    return [side_of(film) == SIDES[sides[group]] for film, group in zip(films, groups, strict=True)]
