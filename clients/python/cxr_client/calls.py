"""What both clients send for each verb, and how they read what comes back."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from cxr_client.answers import (
    ExplainedComparison,
    ExplainedPrediction,
    FilmPixels,
    ModelDescription,
    ModelList,
    Prediction,
)
from cxr_client.problem import REQUEST_ID, Problem, ProblemBody

Film = bytes | str | os.PathLike[str]
"""A film's bytes, or the path of its file."""
Mask = tuple[float, float, float, float]
"""Left, top, right, bottom of what the model must not see, in film pixels."""
T = TypeVar("T")
Parsed = TypeVar("Parsed", bound=BaseModel)

FILM_TYPE = "application/octet-stream"
JSON = "application/json"
RETRIED = (429, 503)


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and how its answer is read.

    Attributes:
        method: Of HTTP.
        path: Of the server's interface.
        read: Makes the result of a successful answer whose body has been read.
        sent: Further arguments of `httpx.Client.stream`.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    sent: dict[str, Any]


class RawFilm(NamedTuple):
    """A film before any window.

    Attributes:
        facts: Its size, what its pixels mean, and the windows that show them.
        pixels: rows x columns little-endian 16-bit numbers, row by row:
            `numpy.frombuffer(pixels, "<u2").reshape(facts.rows, facts.columns)`.
    """

    facts: FilmPixels
    pixels: bytes


class BatchLine(BaseModel):
    """A line of a batch: the answer to one film, or its problem."""

    answer: Prediction | None = None
    problem: ProblemBody | None = None

    def outcome(self) -> Prediction | Problem:
        """Return the answer or the problem.

        Raises:
            ValueError: The line holds neither.
        """
        if self.answer is not None:
            return self.answer
        if self.problem is None:
            raise ValueError("a line of a batch must hold an answer or a problem")
        return self.problem.problem()


def predict(film: Film, *, model: str | None, mask: Mask | None) -> Call[Prediction]:
    """Return the call of `Client.predict`."""
    corners = None if mask is None else ",".join(f"{one:.9f}" for one in mask)
    return _examining("/v1/predict", film, _json(Prediction), model=model, mask=corners)


def explain(
    film: Film, *, model: str | None, force: bool, faithfulness: bool, class_name: str | None
) -> Call[ExplainedPrediction]:
    """Return the call of `Client.explain`."""
    query: dict[str, str | bool | None] = {
        "model": model,
        "force": force,
        "faithfulness": faithfulness or None,
        "class": class_name,
    }
    return _examining("/v1/explain", film, _json(ExplainedPrediction), accept=JSON, **query)


def compare(film: Film, *, force: bool) -> Call[ExplainedComparison]:
    """Return the call of `Client.compare`."""
    return _examining("/v1/explain", film, _json(ExplainedComparison), model="all", force=force)


def overlay(
    film: Film, *, class_name: str | None, model: str | None, force: bool, outline: bool
) -> Call[bytes]:
    """Return the call of `Client.overlay`."""
    query: dict[str, str | bool | None] = {
        "class": class_name,
        "model": model,
        "force": force,
        "outline": outline or None,
    }
    return _examining("/v1/explain", film, _content, accept="image/png", **query)


def raw_film(film: Film) -> Call[RawFilm]:
    """Return the call of `Client.film`."""
    return _examining("/v1/film", film, _raw_film, accept=FILM_TYPE)


def batch(films: Iterable[Film], *, model: str | None) -> Call[None]:
    """Return the call of `Client.batch`, whose answer is read line by line."""
    files = [("file", ("film", film_bytes(film), FILM_TYPE)) for film in films]
    return Call(
        "POST", "/v1/batch", lambda _: None, {"files": files, "params": _given(model=model)}
    )


def model_list() -> Call[ModelList]:
    """Return the call of `Client.models` and `Client.ensemble`."""
    return Call("GET", "/v1/models", _json(ModelList), {})


def model(name: str) -> Call[ModelDescription]:
    """Return the call of `Client.model`."""
    return Call("GET", f"/v1/models/{quote(name, safe='')}", _json(ModelDescription), {})


def film_bytes(film: Film) -> bytes:
    """Return a film's bytes."""
    return film if isinstance(film, bytes) else Path(film).read_bytes()


def outcome(line: str, answer: httpx.Response) -> Prediction | Problem:
    """Return what a line of a batch's answer says."""
    read = BatchLine.model_validate_json(line)
    if read.problem is not None:
        read.problem.request_id = read.problem.request_id or answer.headers.get(REQUEST_ID)
    return read.outcome()


def check_complete(lines: int, films: Sequence[Film]) -> None:
    """Raise ConnectionError unless a batch's answer had a line for each film."""
    if lines < len(films):
        raise ConnectionError(f"The answer ended after {lines} of {len(films)} films.")


def wait(answer: httpx.Response) -> float | None:
    """Return the seconds after which to ask again; None if asking again is no use."""
    seconds = answer.headers.get("Retry-After", "")
    return float(seconds) if answer.status_code in RETRIED and seconds.isdecimal() else None


def _examining(
    path: str,
    film: Film,
    read: Callable[[httpx.Response], T],
    *,
    accept: str = JSON,
    **query: str | bool | None,
) -> Call[T]:
    headers = {"Content-Type": FILM_TYPE, "Accept": accept}
    sent = {"content": film_bytes(film), "headers": headers, "params": _given(**query)}
    return Call("POST", path, read, sent)


def _given(**query: str | bool | None) -> dict[str, str | bool]:
    return {name: value for name, value in query.items() if value is not None}


def _json(kind: type[Parsed]) -> Callable[[httpx.Response], Parsed]:
    return lambda answer: kind.model_validate_json(answer.content)


def _content(answer: httpx.Response) -> bytes:
    return answer.content


def _raw_film(answer: httpx.Response) -> RawFilm:
    return RawFilm(FilmPixels.model_validate_json(answer.headers["X-Film"]), answer.content)
