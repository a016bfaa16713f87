"""Compute the mean map of each class over training films, a baseline for localisation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from pydantic import ValidationError
from tqdm import tqdm

from models.card import Record, Sha256
from training.data.dataset import film_radiograph, seen_by
from training.data.manifest import Film, spread
from xai.explainer import Explainer


class MeanMaps(Record):
    """The mean of the positive evidence for each class over training films of that class.

    Attributes:
        sha256: Of the model's file.
        films: How many of each class.
        maps: [grid rows, grid columns] by class.
    """

    sha256: Sha256
    films: dict[str, int]
    maps: dict[str, list[list[float]]]

    def of(self, class_name: str) -> Float[np.ndarray, "grid_rows grid_columns"]:
        """Return a class's map."""
        return np.array(self.maps[class_name])


def read_mean_maps(file: Path, explainer: Explainer) -> MeanMaps:
    """Return the mean maps that a file holds.

    Raises:
        ValueError: It holds none, or those of another model.
        OSError: It can't be read.
    """
    try:
        found = MeanMaps.model_validate_json(file.read_text())
    except ValidationError as error:
        raise ValueError(f"{file} holds no mean maps: {error}") from error
    if found.sha256 != explainer.sha256:
        raise ValueError(f"{file} holds the mean maps of another model than {explainer.file}")
    return found


def mean_maps(explainer: Explainer, films: Sequence[Film], *, most: int) -> MeanMaps:
    """Return the mean maps over at most `most` films of each class, evenly spread."""
    by_class = {
        name: spread([film for film in films if film.label == name], most)
        for name in explainer.card.class_names
        if any(film.label == name for film in films)
    }
    return MeanMaps(
        sha256=explainer.sha256,
        films={name: len(chosen) for name, chosen in by_class.items()},
        maps={name: _mean_map(explainer, name, chosen) for name, chosen in by_class.items()},
    )


def _mean_map(explainer: Explainer, name: str, films: Sequence[Film]) -> list[list[float]]:
    card = explainer.card
    number, total = card.class_names.index(name), np.zeros(card.activation_grid)
    for film in tqdm(films, f"mean map of {name}", unit="film", leave=False):
        seen = seen_by(card, film_radiograph(film))
        total += np.maximum(explainer(seen.pixels[None, None]).evidence[0, number], 0)
    return (total / len(films)).tolist()
