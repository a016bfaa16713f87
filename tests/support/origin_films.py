"""Films of four origins that were never taken, and what networks might say of them."""

from pathlib import Path
from typing import Any

import numpy as np

from training.config import DataConfig
from training.data.manifest import Film
from training.evaluation.leave_out_figures import SeedScores
from training.evaluation.leave_out_films import OriginFilms
from training.statistics.pairs import renormalised

FILMS = {
    "clinic": {"normal": 24, "pneumonia": 30, "ring": 14},
    "hospital": {"normal": 20, "pneumonia": 16, "tuberculosis": 4},
    "scanners": {"normal": 18, "tuberculosis": 22},
    "web": {"tuberculosis": 20},
}
"""Number of films of each class in each source; a ring is in one alone."""

DATA = DataConfig(
    manifest=Path("manifest.csv"),
    description="drawn",
    origins={"city": ("clinic",)},
    confounded_origins=("scanners",),
    normal="normal",
)


def films() -> tuple[Film, ...]:
    """Return the films, two of a group."""
    classes = [
        (source, name)
        for source, counts in FILMS.items()
        for name, number in counts.items()
        for _ in range(number)
    ]
    return tuple(
        film(number, label=name, source=source, split="train")
        for number, (source, name) in enumerate(classes)
    )


def film(number: int, **fields: Any) -> Film:
    """Return a film; the next one is of the same patient if the number is even."""
    patient = f"p{number // 2}"
    return Film(path=Path(f"{number}.png"), patient_id=patient, group_id=patient, **fields)


def origin_films(*, compared: bool = False) -> OriginFilms:
    """Return the films with their origins."""
    return OriginFilms.of(DATA, films(), compared=compared)


def constant_by_origin(own: OriginFilms, seed: int, *, seeds: int = 2) -> SeedScores:
    """Return one random vector for all films of an origin and seed."""
    random = np.random.default_rng(seed)
    scores = np.zeros((seeds, *own.is_class.shape))
    for origin in sorted(set(own.origins)):
        for one in scores:
            one[own.rows(origin)] = random.dirichlet(np.ones(len(own.class_names)))
    return unlearnt(scores, own)


def skilled(own: OriginFilms, seed: int, *, skill: float = 1.0, seeds: int = 2) -> SeedScores:
    """Return probabilities whose logit of the true class is larger by `skill`."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(seeds, *own.is_class.shape)) + skill * own.is_class
    return unlearnt(np.exp(logits), own)


def shuffled(scores: SeedScores, own: OriginFilms, seed: int) -> SeedScores:
    """Return the scores of other films of the same origin."""
    random = np.random.default_rng(seed)
    mixed = scores.copy()
    for origin in sorted(set(own.origins)):
        rows = np.flatnonzero(own.rows(origin))
        for number in range(len(scores)):
            mixed[number, rows] = scores[number, random.permutation(rows)]
    return mixed


def unlearnt(scores: SeedScores, own: OriginFilms) -> SeedScores:
    """Return the scores as probabilities of the classes that a network without the origin knows."""
    known = np.full(scores.shape, np.nan)
    for origin in own.left_out:
        rows, classes = np.flatnonzero(own.rows(origin)), own.learnt(origin)
        for number, one in enumerate(scores):
            known[np.ix_([number], rows, classes)] = renormalised(one[np.ix_(rows, classes)])
    return known
