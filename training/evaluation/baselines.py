"""Classify films by trivial features: source, view, file statistics, or 32x32 pixels.

A network has to beat these baselines.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from sklearn.ensemble import RandomForestClassifier

from training.data.dataset import class_numbers, film_radiograph
from training.data.manifest import Film

Probabilities = Float[np.ndarray, "films classes"]


def file_statistics(film: Film) -> NDArray[np.floating]:
    """Return nine numbers of a film's file: shape, size, grey levels, border and sharpness."""
    grey = 255 * film_radiograph(film).pixels
    rows, columns = grey.shape
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    sharpness = np.abs(np.diff(grey, axis=1)).mean() + np.abs(np.diff(grey, axis=0)).mean()
    bytes_per_pixel = film.path.stat().st_size / grey.size
    return np.array(
        [
            columns / rows,
            min(rows, columns),
            bytes_per_pixel,
            grey.mean(),
            grey.std(),
            (grey < 8).mean(),
            (grey > 247).mean(),
            border.mean(),
            sharpness,
        ]
    )


def thumbnail(film: Film) -> NDArray[np.floating]:
    """Return the film as 32x32 grey values, one after the other."""
    return np.asarray(Image.fromarray(film_radiograph(film).pixels).resize((32, 32))).ravel()


def class_shares(
    train: Sequence[Film],
    films: Sequence[Film],
    class_names: Sequence[str],
    *,
    attribute: Literal["source", "view"],
) -> Probabilities:
    """Return the share of each class among the training films with the same source, or view."""
    counts: defaultdict[str, Counter[str | None]] = defaultdict(Counter)
    for film in train:
        counts[getattr(film, attribute)][film.label] += 1
    shares = np.array(
        [[counts[getattr(film, attribute)][name] for name in class_names] for film in films],
        np.float64,
    )
    return shares / np.maximum(shares.sum(axis=1, keepdims=True), 1)


def baseline_probabilities(
    train: Sequence[Film], films: Sequence[Film], class_names: Sequence[str]
) -> dict[str, Probabilities]:
    """Return each baseline's probabilities for `films`, fitted on `train`, by its name."""
    targets = class_numbers(train, class_names)
    answers = {
        "source only": class_shares(train, films, class_names, attribute="source"),
        "view only": class_shares(train, films, class_names, attribute="view"),
    }
    for name, features in (("nine file statistics", file_statistics), ("32x32 pixels", thumbnail)):
        forest = RandomForestClassifier(500, class_weight="balanced", random_state=0, n_jobs=-1)
        forest.fit(np.stack([features(film) for film in train]), targets)
        answers[name] = forest.predict_proba(np.stack([features(film) for film in films]))
    return answers
