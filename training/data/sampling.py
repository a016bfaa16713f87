"""Choose the films of an epoch and their order: shuffled, or balanced by class and place.

A place is a film's source, or its origin (`[data.origins]`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from training.data.dataset import Targets
from training.training_config import Sampling

ROUNDING = 1e-9


def epoch_order(
    targets: Targets,
    places: Sequence[str],
    *,
    sampling: Sampling,
    at_most: float | None = None,
    seed: int,
    epoch: int,
) -> list[int]:
    """Return as many film numbers as there are films, in the order of one epoch.

    `shuffle` shows every film once. `class` shows every class equally often, to within one film,
    and `class_and_source` or `class_and_origin` within it every place, unless its films would come
    more than `at_most` times as often as films of their class on average: rare films come several
    times, frequent ones not in every epoch. The second time a film comes as its number + the number
    of films, the third time as that + the number again, and so on: datasets augment each copy
    differently.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(targets))
    if sampling == "shuffle":
        return [int(film) for film in order]
    by_class = sampling == "class"
    strata = list(zip(targets, [""] * len(targets) if by_class else places, strict=True))
    together = np.array(sorted(order, key=lambda film: strata[film]))
    shares = bounded_shares(equal_shares(strata), np.asarray(targets), at_most)
    drawn = systematic_sample(shares[together], random.random())
    return list(_numbered_copies(random.permutation(together[drawn]).tolist(), len(targets)))


def equal_shares(strata: Sequence[tuple[int, str]]) -> Float[np.ndarray, " films"]:
    """Return each film's share of the draws: classes have equal ones, and places within a class.

    Args:
        strata: Class and place of each film.
    """
    films = Counter(strata)
    places = Counter(target for target, _ in films)
    shares = [1 / (len(places) * places[stratum[0]] * films[stratum]) for stratum in strata]
    return np.array(shares)


def bounded_shares(
    shares: Float[np.ndarray, " films"], classes: Int[np.ndarray, " films"], at_most: float | None
) -> Float[np.ndarray, " films"]:
    """Return shares of which none is above `at_most` times the mean of its class.

    What is cut off goes to the other films of the class, in proportion to their shares.

    Args:
        shares: At least 0.
        classes: Of each film.
        at_most: At least 1; None bounds nothing.
    """
    bounded = shares.copy()
    for number in np.unique(classes) if at_most else ():
        films = classes == number
        largest = at_most * shares[films].mean()
        while bounded[films].max() > largest * (1 + ROUNDING):
            free = films & (bounded < largest)
            held = largest * (films & ~free).sum()
            bounded[free] *= (shares[films].sum() - held) / bounded[free].sum()
            bounded[films] = np.minimum(bounded[films], largest)
    return bounded


def systematic_sample(shares: Float[np.ndarray, " films"], offset: float) -> NDArray[np.integer]:
    """Return as many positions as there are shares, by systematic (evenly spaced) sampling.

    Any run of neighbours gets its share of the draws to within one.

    Args:
        shares: Their sum is 1.
        offset: Place of the first draw, in [0, 1) of the distance between two.
    """
    draws = (np.arange(len(shares)) + offset) / len(shares)
    positions = np.searchsorted(np.cumsum(shares), draws, side="right")
    return np.minimum(positions, len(shares) - 1)  # the sum may fall short of 1 by rounding


def _numbered_copies(drawn: Iterable[int], films: int) -> Iterator[int]:
    times: Counter[int] = Counter()
    for film in drawn:
        yield film + films * times[film]
        times[film] += 1
