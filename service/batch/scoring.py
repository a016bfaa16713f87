"""Score films with a model, one row each; a film that can't be used has its error in its row."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from models.film_files.errors import RadiographError
from models.radiograph import MAX_FILM_BYTES
from service.answers.film_answer import FilmAnswer
from service.films.decoding import Limits, SeenFilm, View, seen_film
from service.problems import ProblemDocument, file_error
from xai.explainer import Explainer

Row = dict[str, object]
"""Cells by column; a column without a value for the film is absent."""

ABOUT_THE_FILM = {
    "distance",
    "novelty",
    "in_distribution",
    "refusals",
    "is_confident",
    "is_decided",
    "prediction_set",
    "predicted_class",
    "most_probable_class",
}
"""Fields of an answer that are columns of their own."""

FILM_LOST = ProblemDocument(
    type="about:blank",
    title="Film lost",
    status=500,
    detail="The process that read it ended twice; check the file, or allow more memory.",
)


def score_films(
    explainer: Explainer, folder: Path, films: Sequence[str], *, batch_size: int
) -> list[Row]:
    """Return one row per film, in their order.

    Args:
        explainer: The model.
        folder: Folder that the paths are relative to.
        films: Paths.
        batch_size: Films decoded, and then run, together.
    """
    rows: list[Row] = []
    for first in range(0, len(films), batch_size):
        rows += _batch(explainer, folder, films[first : first + batch_size])
    return rows


def lost_row(explainer: Explainer, film: str) -> Row:
    """Return the row of a film that twice ended the process that read it."""
    return _first_cells(explainer, film) | _error(FILM_LOST)


def _batch(explainer: Explainer, folder: Path, films: Sequence[str]) -> list[Row]:
    read = [_read(explainer, folder, film) for film in films]
    said = iter(_answers(explainer, [seen for _, seen in read if seen]))
    return [row | next(said) if seen else row for row, seen in read]


def _read(explainer: Explainer, folder: Path, film: str) -> tuple[Row, SeenFilm | None]:
    """Return the film's row so far, and what the network sees of it; None if it can't be used."""
    row = _first_cells(explainer, film)
    try:
        with (folder / film).open("rb") as file:
            content = file.read(MAX_FILM_BYTES + 1)
        if len(content) <= MAX_FILM_BYTES:  # else the hash would be of a part of the file
            row["sha256"] = hashlib.sha256(content).hexdigest()
        return row, seen_film(content, View.of(explainer.card), Limits())
    except (RadiographError, OSError) as error:
        return row | _error(file_error(error)), None


def _first_cells(explainer: Explainer, film: str) -> Row:
    return {
        "path": _printable(film),
        "model_name": explainer.card.name,
        "model_version": explainer.card.version,
        "model_sha256": explainer.sha256,
    }


def _printable(film: str) -> str:
    """Return a path with a backslash escape for each byte that is not UTF-8."""
    return os.fsencode(film).decode(errors="backslashreplace")


def _error(document: ProblemDocument) -> Row:
    return {
        "error_type": document.type,
        "error_status": document.status,
        "error_detail": document.detail,
    }


def _answers(explainer: Explainer, films: Sequence[SeenFilm]) -> Iterable[Row]:
    if films:
        pixels = np.stack([film.input.pixels[None] for film in films])
        for film, answers in zip(films, explainer(pixels).films(), strict=True):
            yield _answer(FilmAnswer(explainer, film, answers))


def _answer(film_answer: FilmAnswer) -> Row:
    prediction = film_answer.prediction()
    row: Row = prediction.film.model_dump() | prediction.model_dump(include=ABOUT_THE_FILM)
    for finding in prediction.findings:
        for name in ("probability", "logit", "decision"):
            row[f"{name}:{finding.class_name}"] = getattr(finding, name)
    for group in prediction.groups:
        for name in ("probability", "log_odds", "decision"):
            row[f"{name}:{group.name}"] = getattr(group, name)
    return row
