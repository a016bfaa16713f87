"""Tell films of an origin that was left out from films at home: by novelty, and by distance.

For every origin, novelty and distance are fitted on the train films of the others, and their limits
chosen on val films of the others, as `cxr export` does. Nothing is trained.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float

from models.card import Metric, NetworkSpec
from models.checkpoint import load_checkpoint, lung_field
from models.lungs.window import LungWindow, window_of
from models.network import Network
from training.config import Config, NetworkConfig
from training.data.dataset import FilmDataset, class_numbers
from training.data.film_cache import FilmMemory
from training.data.manifest import Film, Split, class_names, of_split
from training.evaluation.evaluation import figure
from training.evaluation.subgroups import among
from training.export.distance import fitted_distance
from training.export.export import layouts
from training.export.model_card import DISTANCE_QUANTILE, NOVELTY_QUANTILE
from training.export.novelty import film_statistics, fitted_novelty
from training.export.trained_run import FilmSet
from training.fitting.start import checked_films
from training.novelty.result import Flagged, NoveltyResult, OriginLeftOut, ToldApart
from training.statistics.bootstrap import Statistic, averaged
from training.statistics.metrics import auroc, share

Rows = Bool[np.ndarray, " films"]
Values = Float[np.ndarray, " films"]
Told = tuple[Values, float]
"""A number of each film, and the limit that most val films at home pass."""


@dataclass(frozen=True)
class MeasuredFilms:
    """Films with all that novelty and distance are computed from.

    Attributes:
        films: Of train, val and the split asked for.
        origins: Of each film.
        statistics: Of its acquisition.
        features: By which a network's distance is measured; None without a network.
    """

    films: tuple[Film, ...]
    origins: tuple[str, ...]
    statistics: Float[np.ndarray, "films statistics"]
    features: Float[np.ndarray, "films features"] | None = None

    @cached_property
    def classes(self) -> np.ndarray:
        """The class number of each film."""
        return np.array(class_numbers(self.films, class_names(self.films)))

    def of(self, split: Split) -> Rows:
        """Return which films are of a split."""
        return np.array([film.split == split for film in self.films])

    def from_origin(self, origin: str | None) -> Rows:
        """Return which films are of an origin; none are of None."""
        return np.array([own == origin for own in self.origins])

    def novelty_without(self, origin: str | None) -> Told:
        """Return the novelty of all films, fitted without an origin, and its limit."""
        learnt = self.of("train") & ~self.from_origin(origin)
        sources = [self.films[row].source for row in np.flatnonzero(learnt)]
        found = fitted_novelty(self.statistics[learnt], sources)
        with torch.inference_mode():
            values = found.of(torch.from_numpy(self.statistics)).numpy()
        return self._with_limit(values, origin, NOVELTY_QUANTILE)

    def distance_without(self, origin: str) -> Told:
        """Return the distance of all films, fitted without an origin, and its limit."""
        assert self.features is not None
        learnt = self.of("train") & ~self.from_origin(origin)
        _, classes = np.unique(self.classes[learnt], return_inverse=True)
        found = fitted_distance(self.features[learnt], classes)
        with torch.inference_mode():
            values = found(torch.from_numpy(self.features)).numpy()
        return self._with_limit(values, origin, DISTANCE_QUANTILE)

    def _with_limit(self, values: Values, origin: str | None, passing: float) -> Told:
        at_home = self.of("val") & ~self.from_origin(origin)
        return values, float(np.quantile(values[at_home], passing))


def measured_films(
    config: Config, films: Sequence[Film], checkpoint: Path | None = None
) -> MeasuredFilms:
    """Return films with their statistics and, of a trained network, their features.

    Args:
        config: Says what the network's input is, and which sources are one origin.
        films: Of some splits, one split after the other.
        checkpoint: Folder of a trained network, whose own input is then measured.
    """
    network, seen = _network(config, checkpoint)
    memory = FilmMemory(config.data.cache, seen.image_size, seen.resize_mode, seen.crop_pct)
    window = window_of(network) if network else _window(config.network)
    statistics, features = [], []
    for split in dict.fromkeys(film.split for film in films):  # as they are cached
        own = of_split(films, split)
        dataset = FilmDataset(memory.pixels(own), [0] * len(own))
        statistics.append(film_statistics(dataset, window))
        if network:
            features.append(layouts(network, FilmSet(own, dataset)))
    return MeasuredFilms(
        tuple(films),
        tuple(config.data.origin(film.source) for film in films),
        np.concatenate(statistics),
        np.concatenate(features) if features else None,
    )


def _network(
    config: Config, checkpoint: Path | None
) -> tuple[Network | None, NetworkSpec | NetworkConfig]:
    if checkpoint is None:
        return None, config.network
    network, spec = load_checkpoint(checkpoint)
    return network.eval(), spec


def _window(wanted: NetworkConfig) -> LungWindow | None:
    if wanted.lungs is None:
        return None
    return LungWindow(lung_field()[0], wanted.lungs, wanted.image_size)


def asked_films(config: Config, split: Split) -> tuple[Film, ...]:
    """Return the films of train, val and a split, each once."""
    films = checked_films(config)
    splits: dict[Split, None] = dict.fromkeys(("train", "val", split))
    return tuple(film for one in splits for film in of_split(films, one))


def left_out_novelty(config: Config, measured: MeasuredFilms, split: Split) -> NoveltyResult:
    """Return how well novelty and distance tell each origin left out from the others.

    Args:
        config: The recipe whose input was measured.
        measured: Films of train, val and the split.
        split: Of the films at home, and of those left out where it has some of their origin.
    """
    origins = sorted(set(measured.origins))
    if len(origins) < 2:
        raise ValueError(f"films must be of two origins or more, not only of {origins}")
    novelty = [_without(measured, one, split, measured.novelty_without(one)) for one in origins]
    distance: list[_Without | None] = [None] * len(origins)
    if measured.features is not None:
        distance = [_without(measured, o, split, measured.distance_without(o)) for o in origins]
    return NoveltyResult(
        config=f"{config.name} {config.version}",
        split=split,
        statistics=measured.statistics.shape[1],
        origins=tuple(
            OriginLeftOut(
                origin=origin,
                films=len(one.own),
                split=one.own[0].split,
                home=one.home,
                novelty=one.told,
                distance=other and other.told,
            )
            for origin, one, other in zip(origins, novelty, distance, strict=True)
        ),
        novelty_auroc=_mean(novelty),
        distance_auroc=_mean([one for one in distance if one]) if any(distance) else None,
        at_home=tuple(flagged_at_home(measured, split)),
    )


def flagged_at_home(measured: MeasuredFilms, split: Split) -> Iterator[Flagged]:
    """Yield the share of each class's and source's films beyond the limit, no origin left out."""
    values, limit = measured.novelty_without(None)
    asked = measured.of(split)
    films, is_beyond = of_split(measured.films, split), ~(values[asked] <= limit)
    for attribute in ("label", "source"):
        own = np.array([str(getattr(film, attribute)) for film in films])
        for value in sorted(set(own.tolist())):
            rows = own == value
            flagged = figure("flagged", partial(share, is_beyond, rows), films)
            yield Flagged(attribute=attribute, value=value, films=int(rows.sum()), flagged=flagged)


class _Without(NamedTuple):
    """What one number tells of an origin left out.

    Attributes:
        told: Its figures.
        auroc: The first of these, as a statistic of `films`.
        films: Of all figures, so that their resamples are the same.
        own: The origin's.
        home: Number of the others.
    """

    told: ToldApart
    auroc: Statistic
    films: list[Film]
    own: list[Film]
    home: int


def _without(measured: MeasuredFilms, origin: str, split: Split, told: Told) -> _Without:
    shown, (values, limit) = _shown(measured, split), told
    films = [measured.films[row] for row in shown]
    away, home = (rows[shown] for rows in _sides(measured, origin, split))
    rows, is_beyond = away | home, ~(values[shown] <= limit)
    told_apart = among(rows, partial(auroc, values[shown][rows], away[rows]))
    return _Without(
        ToldApart(
            auroc=figure("auroc", told_apart, films),
            flagged=figure("flagged", partial(share, is_beyond, away), films),
            flagged_at_home=figure("flagged_at_home", partial(share, is_beyond, home), films),
        ),
        told_apart,
        films,
        [film for film, is_away in zip(films, away, strict=True) if is_away],
        int(home.sum()),
    )


def _mean(origins: Sequence[_Without]) -> Metric:
    return figure("auroc", averaged([one.auroc for one in origins]), origins[0].films)


def _sides(measured: MeasuredFilms, origin: str, split: Split) -> tuple[Rows, Rows]:
    """Return the films of an origin that are asked about, and those at home."""
    own, asked = measured.from_origin(origin), measured.of(split)
    away = own & asked
    return (away if away.any() else own & measured.of("train")), ~own & asked


def _shown(measured: MeasuredFilms, split: Split) -> np.ndarray:
    """Return the films that take part in a figure, those of the split first."""
    sides = [_sides(measured, origin, split)[0] for origin in set(measured.origins)]
    taken, asked = np.logical_or.reduce(sides), measured.of(split)
    return np.concatenate([np.flatnonzero(asked), np.flatnonzero(taken & ~asked)])
