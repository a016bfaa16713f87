"""Measure what the outline of the lungs alone tells about a film: its class, and its source.

A network that looks only inside the lungs still sees their shape. Where that tells a film's source,
it may become a shortcut, like a marker or a border.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float, UInt8

from models.card import LungSpec, Record, Sha256
from models.checkpoint import LUNG_FIELD, WEIGHTS, lung_field
from models.lungs.pieces import TwoLungs, certainty
from models.lungs.region import cropped, lung_region
from models.lungs.window import MASK_SIZE, LungWindow
from training.audit.source_leak import FOLDS, Features, told_apart
from training.config import Config
from training.data.film_cache import FilmMemory
from training.data.manifest import labels, manifest_sha256, of_split
from training.evaluation.subgroups import SMALLEST
from training.fitting.start import checked_films
from training.maps.randomisation import mean_figure
from training.outlines.found import found_lungs
from training.statistics.bootstrap import Resamples
from training.statistics.metrics import mean_auroc, one_hot
from xai.measures.trust import Figure

SMALL = 8
"""Rows and columns of the mask as the regression is given it."""
BATCH = 256

Names = Sequence[str]


class OutlineRow(Record):
    """How well a logistic regression on the outline's shape tells films apart.

    Attributes:
        question: Which films, and what is told.
        films: How many.
        auroc: Mean one-vs-rest AUROC; of two names their AUROC. Knowing nothing gets 0.5.
        accuracy: Share of films that are named rightly.
        majority: The same of who always gives the commonest name.
    """

    question: str
    films: int
    auroc: Figure
    accuracy: Figure
    majority: float


class OutlineAlone(Record):
    """What outlines alone tell of the films of train: `cxr lung-field --alone`.

    Attributes:
        weights_sha256: Of the lung field's weights file.
        manifest_sha256: Of the films' manifest.
        rows: Pairs of classes within each origin, then sources.
    """

    weights_sha256: Sha256
    manifest_sha256: Sha256
    rows: tuple[OutlineRow, ...]


def outline_alone(config: Config) -> OutlineAlone:
    """Return what the outlines of a recipe's films of train tell about them.

    Raises:
        ValueError: The films are unfit, or have findings instead of a class.
    """
    films, folder = of_split(checked_films(config), "train"), config.data.cache
    field, spec = lung_field()
    pixels = FilmMemory(folder, spec.image_size, "stretch").pixels(films)
    found = found_lungs(films, pixels, LungWindow(field, LungSpec(), spec.image_size), folder)
    rows = outline_rows(
        shape_figures(found),
        classes=labels(films),
        origins=[config.data.origin(film.source) for film in films],
        sources=[film.source for film in films],
        groups=[film.group_id for film in films],
    )
    return OutlineAlone(
        weights_sha256=hashlib.sha256((LUNG_FIELD / WEIGHTS).read_bytes()).hexdigest(),
        manifest_sha256=manifest_sha256(config.data.manifest),
        rows=tuple(rows),
    )


@torch.inference_mode()
def shape_figures(found: UInt8[np.ndarray, "films mask_rows mask_columns"]) -> Features:
    """Return what a network behind the crop sees of outlines: their shape, not place and size.

    Stray pieces are removed, and the mask is cropped to its box, as before a network.

    Args:
        found: Probability of lung, 255 for 1.

    Returns:
        The mask in its box as `SMALL` x `SMALL` numbers.
    """
    two_lungs = TwoLungs(MASK_SIZE)
    return np.concatenate(
        [_shapes(two_lungs, found[start : start + BATCH]) for start in range(0, len(found), BATCH)]
    )


def _shapes(two_lungs: TwoLungs, found: UInt8[np.ndarray, "films rows columns"]) -> Features:
    probabilities = torch.from_numpy(np.array(found))[:, None].float() / 255
    lungs = two_lungs(certainty(probabilities))
    seen = cropped(lungs, lung_region(lungs), (SMALL, SMALL))
    return np.asarray(seen.flatten(1))


def outline_rows(
    features: Features, *, classes: Names, origins: Names, sources: Names, groups: Names
) -> Iterator[OutlineRow]:
    """Yield a row for each two classes of an origin, then for the sources: of all, and by class.

    Each film is scored by a fit without the films of its group.

    Args:
        features: Of each film.
        classes: Of each film, like all that follow.
        origins: Classes are told apart within one, where the hospital says nothing.
        sources: What else may be told; where a class has two or more, also among its films.
        groups: Drawn together by the bootstrap, which gives the intervals.
    """
    of_class, of_origin = np.asarray(classes), np.asarray(origins)
    for origin in sorted(set(origins)):
        counts = Counter(of_class[of_origin == origin].tolist())
        large = sorted(name for name, films in counts.items() if films >= SMALLEST)
        for pair in combinations(large, 2):
            rows = np.flatnonzero((of_origin == origin) & np.isin(of_class, pair))
            question = f"within {origin}: {pair[1]} against {pair[0]}"
            yield from _row(question, features, classes, groups, rows)
    yield from _row("source of all films", features, sources, groups, np.arange(len(features)))
    for name in sorted(set(classes)):
        rows = np.flatnonzero(of_class == name)
        yield from _row(f"source, among films of {name}", features, sources, groups, rows)


def _row(
    question: str, features: Features, names: Names, groups: Names, rows: np.ndarray
) -> Iterator[OutlineRow]:
    """Yield the row of the films whose name has a group for every fold; none of a single name."""
    grouped = Counter(name for name, _ in {(names[film], groups[film]) for film in rows.tolist()})
    films = [film for film in rows.tolist() if grouped[names[film]] >= FOLDS]
    own, of_group = [names[film] for film in films], [groups[film] for film in films]
    if len(set(own)) < 2:
        return
    probabilities, numbers = told_apart(features[films], own, of_group)
    resamples = Resamples(of_group)
    is_name = one_hot(numbers, probabilities.shape[1])
    auroc = resamples.estimate(partial(mean_auroc, probabilities, is_name))
    is_right: Float[np.ndarray, " films"] = (probabilities.argmax(axis=1) == numbers).astype(float)
    yield OutlineRow(
        question=question,
        films=len(films),
        auroc=Figure(**vars(auroc)),
        accuracy=mean_figure(is_right, resamples),
        majority=float(np.bincount(numbers).max() / len(numbers)),
    )
