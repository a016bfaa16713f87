"""Splits by group, each class in every split in its share."""

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
    """Return the split of every film; whoever has one keeps it.

    The others are the train side. A test and a val split are cut from it where the collection
    brings none, and whole groups go one way.

    Args:
        films: All films.
        groups: Which must stay together; none may stand on two sides.
        val_fraction: Share of the train side's films; met as nearly as whole groups, and twentieths
            at the finest, permit.
        test_fraction: Likewise.
        seed: The same seed makes the same split.

    Raises:
        ValueError: The fractions leave nothing to train on, or there is one group alone or no
            class has two films.
    """
    if val_fraction < 0 or test_fraction < 0 or val_fraction + test_fraction >= 1:
        raise ValueError(
            "val_fraction and test_fraction must not be negative, and below 1 together; "
            f"not {val_fraction} and {test_fraction}"
        )
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


def _strata(films: Sequence[ListedFilm]) -> list[str]:
    """Return each film's class, or the rarest of its findings: the one that is hard to share out.

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
    """Return the films that are undecided and shall make up this fraction of all such films."""
    undecided = np.flatnonzero([split is None for split in splits])
    if not undecided.size:
        return []
    classes, own_groups = np.array(strata)[undecided], np.array(groups)[undecided]
    largest_class = max(Counter(classes.tolist()).values())
    share = _whole_folds(fraction, min(MOST_FOLDS, largest_class, len(set(own_groups))))
    folds = StratifiedGroupKFold(share.denominator, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer films than folds: the counts that are printed say so as well.
        warnings.filterwarnings("ignore", message="The least populated class")
        parts = [test for _, test in folds.split(classes, classes, own_groups)]
    return undecided[np.concatenate(parts[: share.numerator])].tolist()


def _whole_folds(fraction: float, most: int) -> Fraction:
    """Return how many folds of how many come nearest to a fraction."""
    if most < 2:
        raise ValueError("there must be two patients, and two films of a class, to make a split")
    nearest = Fraction(fraction).limit_denominator(most)
    return min(max(nearest, Fraction(1, most)), Fraction(most - 1, most))
