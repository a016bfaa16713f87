"""Read what a teacher, such as the mean of several networks, says of the training films."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.data.dataset import Teacher
from training.data.manifest import Film
from training.data.tables import read_table


def read_teacher(
    file: Path, films: Sequence[Film], manifest: Path, class_names: Sequence[str]
) -> Teacher:
    """Return a teacher's probabilities of each film, divided by their sum.

    Args:
        file: CSV with a column `path`, as in the manifest, and one for each class. Rows of other
            films are left out.
        films: Those that are learnt from.
        manifest: Of the films; paths are below its folder.
        class_names: In the order of the logits.

    Raises:
        ValueError: The file is absent or malformed, lacks a film, or has a row of no probabilities.
    """
    said = {}
    for where, row in read_table(file, {"path", *class_names}):
        try:
            own = np.array([float(row[name]) for name in class_names], np.float32)
        except ValueError as error:
            raise ValueError(f"{where}: classes must have probabilities: {error}") from error
        if not (np.isfinite(own).all() and own.min() >= 0 and own.sum() > 0):
            raise ValueError(f"{where}: probabilities must be 0 or more, not {own.tolist()}")
        said[manifest.parent / row["path"]] = own / own.sum()
    absent = [str(film.path) for film in films if film.path not in said]
    if absent:
        raise ValueError(f"{file} says nothing of {len(absent)} films of train, first {absent[:3]}")
    return np.stack([said[film.path] for film in films])
