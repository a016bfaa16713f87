"""Compute the figures of `cxr leave-out` from what networks said of origins they never saw.

Within an origin all scores come from one network, so that a network that knows the origin's usual
classes and nothing of a film gets an AUROC of 0.5.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations, compress
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from models.card import Metric
from training.config import Config
from training.evaluation.comparison import minus
from training.evaluation.evaluation import figure, numbered
from training.evaluation.leave_out_films import NORMAL, PAIR, OriginFilms
from training.evaluation.leave_out_result import (
    LeaveOutRecipe,
    LeftOutSets,
    OriginMean,
    OriginPair,
    RecipeDifference,
    WithinOrigin,
)
from training.evaluation.subgroups import among
from training.statistics.bootstrap import Statistic, averaged
from training.statistics.conformal import decision_statistics, set_statistics
from training.statistics.metrics import auroc, mean_auroc
from training.statistics.pairs import Pair, mean_pair_auroc, pair_auroc, renormalised

SeedScores = Float[np.ndarray, "seeds films classes"]
"""Probabilities of each film by a network without its origin; NaN of classes it never saw."""
SeedSets = Bool[np.ndarray, "seeds films classes"]
"""Prediction sets of each film by the same; classes it never saw are in none."""


def within(name: str, origins: Sequence[str], scores: SeedScores, films: OriginFilms) -> Statistic:
    """Return a figure within each origin, averaged over origins and seeds.

    Args:
        name: `pair_auroc` or `normal_auroc`.
        origins: That have it.
        scores: Of the films.
        films: All films of train.
    """
    return averaged([_of_origin(name, o, own, films) for own in scores for o in origins])


def _of_origin(
    name: str, origin: str, scores: Float[np.ndarray, "films classes"], films: OriginFilms
) -> Statistic:
    rows = films.rows(origin)
    own, is_class = scores[rows], films.is_class[rows]
    if name == PAIR:
        return among(rows, partial(mean_pair_auroc, own, is_class, pairs=films.pairs(origin)))
    number = films.class_names.index(str(films.normal))
    return among(rows, partial(auroc, own[:, number], is_class[:, number]))


def recipe_figures(
    name: str,
    config: Config,
    seeds: Sequence[int],
    scores: SeedScores,
    films: OriginFilms,
    sets: SeedSets | None = None,
) -> LeaveOutRecipe:
    """Return a recipe's figures, within origins and pooled.

    Args:
        name: Of the recipe.
        config: The recipe, whatever its seed.
        seeds: Of the trainings, in the order of the scores.
        scores: Of the films by networks that never saw their origin.
        films: All films of train.
        sets: Prediction sets of the films, if they are to be measured.
    """
    kept = tuple(films.class_names[number] for number in films.kept)
    nothing = constant_scores(films, balanced=is_balanced(config))
    constant, pooled = _pooled(nothing[None], films), _pooled(scores, films)
    is_pooled = _is_pooled(films).tolist()
    return LeaveOutRecipe(
        name=name,
        kept_classes=kept,
        dropped_classes=_dropped(films),
        aurocs=pooled.aurocs,
        macro_auroc=pooled.mean,
        films_by_origin=dict(Counter(compress(films.origins, is_pooled))),
        constant_aurocs=constant.aurocs,
        constant_macro_auroc=constant.mean,
        within=tuple(_within_origin(one, scores, films) for one in sorted(set(films.origins))),
        means=tuple(_origin_mean(*mean, scores, films) for mean in films.means()),
        sets=() if sets is None else tuple(left_out_sets(scores, sets, films)),
        seeds=tuple(seeds),
        epochs=config.training.epochs,
        image_size=config.network.image_size,
    )


def _dropped(films: OriginFilms) -> dict[str, str]:
    """Return the classes that some network does not know, each with the reason."""
    dropped = set(range(len(films.class_names))) - set(films.kept)
    reason = "all its films are of one origin"
    return {films.class_names[number]: reason for number in sorted(dropped)}


def constant_scores(films: OriginFilms, *, balanced: bool) -> Float[np.ndarray, "films classes"]:
    """Return what a network says that knows nothing of a film: a constant for each origin.

    It is the class frequencies of the other origins' films as the training weighs them.

    Args:
        films: All films of train.
        balanced: Whether classes count alike in training, however many films they have.
    """
    scores = np.zeros(films.is_class.shape)
    for origin in set(films.origins):
        rows = films.rows(origin)
        frequencies = films.is_class[~rows].mean(axis=0)
        scores[rows] = frequencies > 0 if balanced else frequencies
    return renormalised(scores)


def is_balanced(config: Config) -> bool:
    """Return whether classes count alike in a recipe's training."""
    sampling = config.training.sampling
    return sampling.by != "shuffle" or sampling.class_weights == "balanced"


class _Pooled(NamedTuple):
    """AUROC of each class that stays against the others, over the films of all origins."""

    aurocs: tuple[Metric, ...]
    mean: Metric


def _is_pooled(films: OriginFilms) -> Bool[np.ndarray, " films"]:
    """Return for each film whether its origin is left out and its class stays."""
    is_out = np.array([origin in films.left_out for origin in films.origins])
    return np.asarray(is_out & films.is_class[:, films.kept].any(axis=1))


def _pooled(scores: SeedScores, films: OriginFilms) -> _Pooled:
    rows, kept = _is_pooled(films), films.kept
    own, is_class = tuple(compress(films.films, rows.tolist())), films.is_class[rows][:, kept]
    shares = [renormalised(one[rows][:, kept]) for one in scores]
    names = [films.class_names[number] for number in kept]
    aurocs = (
        figure(
            "auroc",
            averaged([partial(auroc, one[:, number], is_class[:, number]) for one in shares]),
            own,
            class_name=name,
        )
        for number, name in numbered(is_class, names)
    )
    mean = averaged([partial(mean_auroc, one, is_class) for one in shares])
    return _Pooled(tuple(aurocs), figure("macro_auroc", mean, own))


def _within_origin(origin: str, scores: SeedScores, films: OriginFilms) -> WithinOrigin:
    has = {name: origin in films.having(name) for name in (PAIR, NORMAL)}
    found = {
        name: figure(name, within(name, [origin], scores, films), films.films)
        for name in has
        if has[name]
    }
    counts = dict(zip(films.class_names, films.counts(origin), strict=True))
    own = {name: number for name, number in counts.items() if number}
    reason = f"only one class: {next(iter(own))}" if len(own) == 1 else "no classes to compare"
    return WithinOrigin(
        origin=origin,
        films=own,
        pairs=tuple(_origin_pair(origin, pair, scores, films) for pair in films.all_pairs(origin)),
        pair_auroc=found.get(PAIR),
        normal_auroc=found.get(NORMAL),
        reason="" if found else reason,
    )


def _origin_pair(origin: str, pair: Pair, scores: SeedScores, films: OriginFilms) -> OriginPair:
    positive, negative = (films.class_names[number] for number in pair)
    rows, counts = films.rows(origin), films.counts(origin)
    obstacle = films.obstacle(origin, pair)
    statistic = averaged(
        [
            among(rows, partial(pair_auroc, own[rows], films.is_class[rows], pair=pair))
            for own in scores
        ]
    )
    return OriginPair(
        positive=positive,
        negative=negative,
        films=(counts[pair[0]], counts[pair[1]]),
        auroc=None if obstacle else figure("auroc", statistic, films.films, class_name=positive),
        reason=obstacle,
    )


def left_out_sets(scores: SeedScores, sets: SeedSets, films: OriginFilms) -> Iterator[LeftOutSets]:
    """Yield figures of prediction sets of each origin left out, and of all of them together."""
    every = [(origin,) for origin in films.left_out]
    for origins in [*every, films.left_out] if len(every) > 1 else every:
        is_own = np.array([origin in origins for origin in films.origins])
        is_known = np.full(len(is_own), False)
        for origin in origins:
            of_known = films.is_class[:, films.learnt(origin)].any(axis=1)
            is_known |= films.rows(origin) & of_known
        unknown = films.is_class[is_own & ~is_known].sum(axis=0).tolist()
        yield LeftOutSets(
            origins=origins,
            films=int(is_known.sum()),
            never_trained={
                name: count for name, count in zip(films.class_names, unknown, strict=True) if count
            },
            figures=tuple(_set_figures(scores, sets, is_known, films)) if is_known.any() else (),
        )


def _set_figures(
    scores: SeedScores, sets: SeedSets, among: Bool[np.ndarray, " films"], films: OriginFilms
) -> Iterator[Metric]:
    targets = films.is_class.argmax(axis=1)
    of_seeds = []
    for own, own_sets in zip(scores, sets, strict=True):
        is_right = np.nan_to_num(own, nan=-1.0).argmax(axis=1) == targets
        is_decided = own_sets.sum(axis=1) == 1
        of_seeds.append(
            set_statistics(own_sets, films.is_class, among)
            | decision_statistics(is_decided, is_right, among)
        )
    for name in of_seeds[0]:
        if all(name in statistics for statistics in of_seeds):
            mean = averaged([statistics[name] for statistics in of_seeds])
            yield figure(name, mean, films.films)


def _origin_mean(
    name: str, origins: tuple[str, ...], scores: SeedScores, films: OriginFilms
) -> OriginMean:
    return OriginMean(
        origins=origins,
        auroc=figure(name, within(name, origins, scores, films), films.films),
        by_seed=_by_seed([within(name, origins, own[None], films) for own in scores], films),
    )


def _by_seed(statistics: Sequence[Statistic], films: OriginFilms) -> tuple[float, ...]:
    once = np.ones((1, len(films.films)), np.int64)
    return tuple(float(statistic(once)[0]) for statistic in statistics)


def recipe_differences(
    scores: Mapping[str, SeedScores], films: OriginFilms
) -> Iterator[RecipeDifference]:
    """Yield the differences between all pairs of recipes: within each origin, and of the means.

    Args:
        scores: By each recipe's name; all with the same seeds.
        films: All films of train.
    """
    single = [(name, (origin,)) for name in (PAIR, NORMAL) for origin in films.having(name)]
    figures = list(dict.fromkeys([*films.means(), *single]))
    for first, second in combinations(scores, 2):
        for name, origins in figures:
            yield _difference(name, origins, (first, second), scores, films)


def _difference(
    name: str,
    origins: tuple[str, ...],
    recipes: tuple[str, str],
    scores: Mapping[str, SeedScores],
    films: OriginFilms,
) -> RecipeDifference:
    first, second = (scores[recipe] for recipe in recipes)
    whole = minus(*(within(name, origins, own, films) for own in (first, second)))
    of_seeds = [
        minus(*(within(name, origins, own[None], films) for own in pair))
        for pair in zip(first, second, strict=True)
    ]
    return RecipeDifference(
        first=recipes[0],
        second=recipes[1],
        origins=origins,
        difference=figure(name, whole, films.films),
        by_seed=_by_seed(of_seeds, films),
    )
