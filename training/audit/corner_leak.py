"""Measure how well the class can be told from the corners of films alone, without a network."""

from collections import Counter
from functools import partial

import numpy as np
from jaxtyping import Float
from PIL import Image

from training.audit.covering import CORNER
from training.audit.rows import AuditRow, row_at_most, row_without_answer
from training.audit.source_leak import FOLDS, told_apart
from training.data.lung_regions import SeenFilms
from training.data.manifest import labels
from training.statistics.bootstrap import Resamples
from training.statistics.metrics import auroc, one_hot

LARGEST_AUROC = 0.75
"""Half way from chance to certainty."""

SIDE = 12
"""Pixels of a corner's side, after reduction."""


def corner_row(seen: SeenFilms) -> AuditRow:
    """Return the row of how well a logistic regression tells the class from the four corners.

    They hold no lung. The row is about the films, not about the network: it shows that a shortcut
    exists, and the rows on covered corners show whether the network uses it.

    Source:
        Geirhos et al. 2020, Nature Machine Intelligence 2: shortcut opportunities in the data come
        before shortcut learning.
    """
    question = "AUROC of a class from the corners alone, no network"
    names = sorted(set(labels(seen.films)))
    groups = Counter(name for name, _ in {(film.label, film.group_id) for film in seen.films})
    if len(names) < 2 or min(groups.values()) < FOLDS:
        because = f"fewer than two classes, or one with fewer than {FOLDS} groups of films"
        return row_without_answer(question, because=because)
    probabilities, numbers = told_apart(corners(seen.pixels), labels(seen.films), seen.groups)
    is_class = one_hot(numbers, len(names))
    resamples = Resamples(seen.groups)
    found = [
        resamples.estimate(partial(auroc, probabilities[:, k], is_class[:, k]))
        for k in range(len(names))
    ]
    worst = max(range(len(names)), key=lambda k: found[k].estimate)
    return row_at_most(
        LARGEST_AUROC,
        question,
        found[worst],
        why="half way from chance to certainty",
        note=f"largest of all classes: {names[worst]}; about the films, not the network",
    )


def corners(
    pixels: Float[np.ndarray, "films 1 rows columns"],
) -> Float[np.ndarray, "films features"]:
    """Return the four corners of each film, reduced, one pixel after the other."""
    height, width = (round(CORNER * side) for side in pixels.shape[2:])
    reduced = [
        np.asarray(Image.fromarray(np.ascontiguousarray(corner)).resize((SIDE, SIDE)))
        for film in pixels[:, 0]
        for rows in (film[:height], film[-height:])
        for corner in (rows[:, :width], rows[:, -width:])
    ]
    return np.stack(reduced).reshape(len(pixels), -1)
