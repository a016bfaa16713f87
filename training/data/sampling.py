"""Choose the films of an epoch and their order: shuffled, or balanced by class and source."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from training.data.dataset import Targets
from training.training_config import Sampling


def epoch_order(
    targets: Targets, sources: Sequence[str], *, sampling: Sampling, seed: int, epoch: int
) -> list[int]:
    """Return as many film numbers as there are films, in the order of one epoch.

    `shuffle` shows every film once. `class` shows every class equally often, to within one film,
    and `class_and_source` within it every source: rare films come several times, frequent ones not
    in every epoch. The second time a film comes as its number + the number of films, the third time
    as that + the number again, and so on: datasets augment each copy differently.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(targets))
    if sampling == "shuffle":
        return [int(film) for film in order]
    by_source = sampling == "class_and_source"
    strata = list(zip(targets, sources if by_source else [""] * len(targets), strict=True))
    together = np.array(sorted(order, key=lambda film: strata[film]))
    drawn = systematic_sample(equal_shares(strata)[together], random.random())
    return list(_numbered_copies(random.permutation(together[drawn]).tolist(), len(targets)))


def equal_shares(strata: Sequence[tuple[int, str]]) -> Float[np.ndarray, " films"]:
    """Return each film's share of the draws: classes have equal ones, and sources within a class.

    Args:
        strata: Class and source of each film.
    """
    films = Counter(strata)
    sources = Counter(target for target, _ in films)
    shares = [1 / (len(sources) * sources[stratum[0]] * films[stratum]) for stratum in strata]
    return np.array(shares)


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
