"""Know which films are of which origin, and which classes can be compared within an origin."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
from jaxtyping import Bool

from training.config import DataConfig
from training.data.manifest import Film, class_names, labels, of_split
from training.evaluation.evaluation import true_classes
from training.evaluation.subgroups import SMALLEST
from training.statistics.metrics import IsClass
from training.statistics.pairs import Pair

PAIR, NORMAL = "pair_auroc", "normal_auroc"
"""Names of the figures within origins."""


@dataclass(frozen=True)
class OriginFilms:
    """The films of the train split with their origins, and which origins are left out in turn.

    Attributes:
        films: Of train.
        origins: Of each film.
        left_out: Origins that a network is trained without, and then scores.
        class_names: In the order of the logits.
        normal: Class of the healthy films; None where there is no such class.
        confounded: Origins in which the machine tells the class.
    """

    films: tuple[Film, ...]
    origins: tuple[str, ...]
    left_out: tuple[str, ...]
    class_names: tuple[str, ...]
    normal: str | None = None
    confounded: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, data: DataConfig, films: Sequence[Film], *, compared: bool = False
    ) -> "OriginFilms":
        """Return the films of train; every origin is left out.

        Args:
            data: Says which sources are one origin.
            films: Of all splits.
            compared: Leave out only origins within which classes can be compared.

        Raises:
            ValueError: Films have findings instead of a class, there is only one origin, classes
                can be compared within none, or fewer than two stay whichever is left out.
        """
        train = of_split(films, "train")
        labels(train)
        origins = tuple(data.origin(film.source) for film in train)
        if len(set(origins)) < 2:
            raise ValueError(f"films must be of two origins or more, not only of {set(origins)}")
        every, known = tuple(sorted(set(origins))), (data.normal, data.confounded_origins)
        own = cls(train, origins, every, class_names(films), *known)
        if compared:
            own = replace(own, left_out=own.comparable)
        if len(own.kept) < 2:
            raise ValueError("two classes must stay, or be compared, whichever origin is left out")
        return own

    @property
    def comparable(self) -> tuple[str, ...]:
        """The origins left out that have a figure within them."""
        return tuple(sorted({*self.having(PAIR), *self.having(NORMAL)}))

    @property
    def kept(self) -> list[int]:
        """The classes that networks know whichever origin is left out; none if none is."""
        known = [set(self.learnt(origin)) for origin in self.left_out]
        return sorted(set.intersection(*known)) if known else []

    @cached_property
    def is_class(self) -> IsClass:
        """For each film and class, whether the film has it."""
        return true_classes(self.films, self.class_names)

    def rows(self, origin: str) -> Bool[np.ndarray, " films"]:
        """Return for each film whether it is of this origin."""
        return np.array([own == origin for own in self.origins])

    def counts(self, origin: str) -> list[int]:
        """Return the number of films of each class in an origin."""
        return [int(films) for films in self.is_class[self.rows(origin)].sum(axis=0)]

    def learnt(self, origin: str) -> list[int]:
        """Return the classes that a network knows which never saw this origin."""
        return np.flatnonzero(self.is_class[~self.rows(origin)].any(axis=0)).tolist()

    def pairs(self, origin: str) -> list[Pair]:
        """Return the pairs of an origin's classes that can be compared within it."""
        return [pair for pair in self.all_pairs(origin) if not self.obstacle(origin, pair)]

    def all_pairs(self, origin: str) -> list[Pair]:
        """Return the pairs of an origin's classes: the earlier name is the negative class."""
        own = np.flatnonzero(self.counts(origin)).tolist()
        return [(positive, negative) for negative, positive in combinations(own, 2)]

    def obstacle(self, origin: str, pair: Pair) -> str:
        """Return why two classes cannot be compared within an origin; empty if they can."""
        unknown = [self.class_names[k] for k in sorted(pair) if k not in self.learnt(origin)]
        if unknown:
            names = " and ".join(unknown)
            return f"no other origin has {names}, so that no network without this one knows it"
        few = min(self.counts(origin)[number] for number in pair)
        return f"fewer than {SMALLEST} films of a class" if few < SMALLEST else ""

    def has_normal(self, origin: str) -> bool:
        """Return whether an origin has enough normal and other films, and networks know normal."""
        if self.normal not in self.class_names:
            return False
        number = self.class_names.index(self.normal)
        normal, films = self.counts(origin)[number], sum(self.counts(origin))
        return number in self.learnt(origin) and min(normal, films - normal) >= SMALLEST

    def having(self, name: str) -> tuple[str, ...]:
        """Return the origins left out that have this figure."""
        if name == PAIR:
            return tuple(origin for origin in self.left_out if self.pairs(origin))
        return tuple(origin for origin in self.left_out if self.has_normal(origin))

    def means(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield each figure's name and the origins that it is averaged over.

        First all that have it, then those in which the machine does not tell the class.
        """
        for name in (PAIR, NORMAL):
            every = self.having(name)
            clear = tuple(origin for origin in every if origin not in self.confounded)
            yield from ((name, origins) for origins in dict.fromkeys((every, clear)) if origins)
