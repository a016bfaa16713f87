"""Films that must stay together: a patient's, a group's, and copies of each other."""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from training.listing import ListedFilm
from training.near_duplicates import Pair


def joined_groups(films: Sequence[ListedFilm], copies: Iterable[Pair]) -> list[str]:
    """Return the `group_id` of every film, the same for all that must stay together.

    Films belong together that share a patient, a group or a copy, and so do their neighbours'
    neighbours. A joined group is named after the first of the groups in it.
    """
    own = [film.group_id or film.patient_id for film in films]
    links = [(pair.first, pair.second) for pair in copies]
    links += _links([film.patient_id for film in films]) + _links(own)
    first, second = np.array(links, int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(links), bool), (first, second)), shape=(len(films),) * 2)
    _, components = connected_components(graph, directed=False)
    names: dict[int, str] = {}
    return [names.setdefault(part, name) for part, name in zip(components, own, strict=True)]


def _links(values: Sequence[str]) -> list[tuple[int, int]]:
    """Return every film with the first film of the same value."""
    first = {value: number for number, value in reversed(list(enumerate(values)))}
    return [(first[value], number) for number, value in enumerate(values)]
