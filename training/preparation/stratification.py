"""Split films by group, stratified by class."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from training.data.manifest import Split
from training.preparation.listing import ListedFilm

MOST_FOLDS = 20


def split_films(
    films: Sequence[ListedFilm],
    groups: Sequence[str],
    *,
    val_fraction: float,
    test_fraction: float,
    seed: int,
) -> list[Split]:
    """Return a split for every film; films that have one keep it.

    The others are train. If no film is test, or val, that split is cut from them in whole groups.

    Args:
        films: All films.
        groups: Of each film; none may be in two splits already.
        val_fraction: Share of the films without a split; met as closely as whole groups, and
            twentieths at the finest, allow.
        test_fraction: Likewise.
        seed: The same seed makes the same split.

    Raises:
        ValueError: The fractions leave nothing to train on, there is only one group, or no class
            has two films.
    """
    _check_fractions(val_fraction, test_fraction)
    splits = [film.split for film in films]
    strata = _strata(films)
    left = 1.0
    fractions: Mapping[Split, float] = {"test": test_fraction, "val": val_fraction}
    for split, fraction in fractions.items():
        if fraction == 0 or any(film.split == split for film in films):
            continue
        for number in _cut(splits, strata, groups, fraction / left, seed):
            splits[number] = split
        left -= fraction
    return [split or "train" for split in splits]


def _check_fractions(val_fraction: float, test_fraction: float) -> None:
    if val_fraction < 0 or test_fraction < 0 or val_fraction + test_fraction >= 1:
        raise ValueError(
            "val_fraction and test_fraction must not be negative, and below 1 together; "
            f"not {val_fraction} and {test_fraction}"
        )


def _strata(films: Sequence[ListedFilm]) -> list[str]:
    """Return each film's class, or the rarest of its findings, which is hardest to share out.

    That is cruder than iterative stratification (Sechidis et al. 2011), which looks at all
    findings and knows no groups.
    """
    counts = Counter(name for film in films for name in film.positives)
    return [
        min(film.positives, key=lambda name: (counts[name], name), default="") for film in films
    ]


def _cut(
    splits: Sequence[Split | None],
    strata: Sequence[str],
    groups: Sequence[str],
    fraction: float,
    seed: int,
) -> list[int]:
    """Return the numbers of films without a split that make up this fraction of all such films."""
    undecided = np.flatnonzero([split is None for split in splits])
    if not undecided.size:
        return []
    classes, own_groups = np.array(strata)[undecided], np.array(groups)[undecided]
    largest_class = max(Counter(classes.tolist()).values())
    share = _whole_folds(fraction, min(MOST_FOLDS, largest_class, len(set(own_groups))))
    folds = StratifiedGroupKFold(share.denominator, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer films than folds: the counts that are printed show it as well.
        warnings.filterwarnings("ignore", message="The least populated class")
        chosen = [test for _, test in folds.split(classes, classes, own_groups)]
    return undecided[np.concatenate(chosen[: share.numerator])].tolist()


def _whole_folds(fraction: float, most: int) -> Fraction:
    """Return the nearest fraction whose denominator, the number of folds, is at most `most`."""
    if most < 2:
        raise ValueError("there must be two patients, and two films of a class, to make a split")
    nearest = Fraction(fraction).limit_denominator(most)
    return min(max(nearest, Fraction(1, most)), Fraction(most - 1, most))
