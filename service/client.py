"""Ask a server from Python: send films, get answers as `service.answers.schemas` has them.

It needs httpx (`pip install '.[client]'`) and loads nothing of the server.

    >>> from service.client import Client
    >>> with Client("http://127.0.0.1:8000") as client:
    ...     answer = client.predict("service/viewer/samples/drawn_opacity.png")
    >>> answer.model.name, answer.in_distribution
    ('chest_cnn', False)
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from service.answers.schemas import (
    ExplainedComparison,
    ExplainedPrediction,
    FilmPixels,
    ModelDescription,
    ModelList,
    ModelSummary,
    Prediction,
)

try:
    import httpx
except ImportError as error:
    raise ImportError("service.client needs httpx: pip install '.[client]'") from error

Film = bytes | str | os.PathLike[str]
"""A film's bytes, or the path of its file."""

FILM_TYPE = "application/octet-stream"
RETRIED = (429, 503)


class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """A problem document of the server, as an exception.

    Attributes:
        type: URN of the kind of problem, or `about:blank`.
        title: The same as a phrase.
        status: HTTP status.
        detail: What to do about it.
    """

    def __init__(self, *, type: str, title: str, status: int, detail: str) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.type, self.title, self.status, self.detail = type, title, status, detail


class ProblemBody(BaseModel):
    """A problem document as JSON; its fields are optional, since a proxy may send another kind."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""

    def problem(self) -> Problem:
        """Return it as an exception."""
        return Problem(**self.model_dump())


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


class Client:
    """Client of one server; its connections are kept open until it is closed.

    Of a film only its bytes are sent, never its file's name. Every method raises `Problem` when the
    server answers with one, and `httpx.TransportError` when it does not answer.
    """

    def __init__(
        self,
        address: str,
        *,
        key: str | None = None,
        timeout: float = 60,
        retries: int = 3,
        longest_wait: float = 30,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Set up a client; it connects with the first request.

        Args:
            address: The server's, such as `http://127.0.0.1:8000`.
            key: API key, where the server asks for one.
            timeout: Seconds without any data after which a request is given up.
            retries: How often to ask again when the server is busy and sends Retry-After.
            longest_wait: Most seconds to wait before asking again, whatever the server says.
            transport: What carries requests; None is the network.
        """
        self._retries, self._longest_wait = retries, longest_wait
        self._http = httpx.Client(
            base_url=address,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=timeout,
            transport=transport,
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(
        self,
        film: Film,
        *,
        model: str | None = None,
        mask: tuple[float, float, float, float] | None = None,
    ) -> Prediction:
        """Return the probability of each finding.

        Args:
            film: The film.
            model: None is the default one.
            mask: Left, top, right, bottom of what the model must not see, in film pixels.
        """
        corners = None if mask is None else ",".join(f"{one:.9f}" for one in mask)
        answer = self._examined("/v1/predict", film, model=model, mask=corners)
        return Prediction.model_validate_json(answer)

    def film(self, film: Film) -> RawFilm:
        """Return the film as the models' reader decodes it, before any window."""
        headers = {"Accept": FILM_TYPE, "Content-Type": FILM_TYPE}
        with self._answer("POST", "/v1/film", content=_content(film), headers=headers) as answer:
            facts = FilmPixels.model_validate_json(answer.headers["X-Film"])
            return RawFilm(facts, answer.read())

    def explain(
        self,
        film: Film,
        *,
        model: str | None = None,
        force: bool = False,
        faithfulness: bool = False,
        class_name: str | None = None,
    ) -> ExplainedPrediction:
        """Return the probability of each finding, and the evidence for it on the film.

        Args:
            film: The film.
            model: None is the default one.
            force: Explain even a film that is refused.
            faithfulness: Test the map of one class; it takes 25 times as long.
            class_name: Which one, or which group of classes; None is the top class.
        """
        asked: dict[str, str | bool | None] = {
            "model": model,
            "force": force,
            "faithfulness": faithfulness or None,
            "class": class_name,
        }
        answer = self._examined("/v1/explain", film, accept="application/json", **asked)
        return ExplainedPrediction.model_validate_json(answer)

    def compare(self, film: Film, *, force: bool = False) -> ExplainedComparison:
        """Return every model's answer side by side, and how far their maps agree."""
        answer = self._examined("/v1/explain", film, model="all", force=force)
        return ExplainedComparison.model_validate_json(answer)

    def overlay(
        self,
        film: Film,
        *,
        class_name: str | None = None,
        model: str | None = None,
        force: bool = False,
        outline: bool = False,
    ) -> bytes:
        """Return the film with a class's evidence painted over it, as PNG.

        Args:
            film: The film.
            class_name: Class or group of classes; None is the top class.
            model: None is the default one.
            force: Paint even a film that is refused, which is a problem otherwise.
            outline: Draw the outline of the lungs, where the model finds them.
        """
        query = {"class": class_name, "model": model, "force": force, "outline": outline or None}
        return self._examined("/v1/explain", film, accept="image/png", **query)

    def batch(
        self, films: Iterable[Film], *, model: str | None = None
    ) -> Iterator[Prediction | Problem]:
        """Yield the answer or the problem of each film, in order.

        Raises:
            ConnectionError: The answer ended before the last film's.
        """
        files = [("file", ("film", _content(film), FILM_TYPE)) for film in films]
        count = 0
        with self._answer("POST", "/v1/batch", files=files, params=_given(model=model)) as answer:
            for line in answer.iter_lines():
                yield BatchLine.model_validate_json(line).outcome()
                count += 1
        if count < len(files):
            raise ConnectionError(f"The answer ended after {count} of {len(files)} films.")

    def models(self) -> list[ModelSummary]:
        """Return the models that can be asked."""
        return ModelList.model_validate_json(self._read("GET", "/v1/models")).models

    def model(self, name: str) -> ModelDescription:
        """Return a model's card."""
        path = f"/v1/models/{quote(name, safe='')}"
        return ModelDescription.model_validate_json(self._read("GET", path))

    def ready(self) -> bool:
        """Return whether the server answers, with its default model loaded."""
        try:
            return self._http.get("/health/ready").is_success
        except httpx.TransportError:
            return False

    def _examined(
        self, path: str, film: Film, *, accept: str = "application/json", **query: str | bool | None
    ) -> bytes:
        headers = {"Content-Type": FILM_TYPE, "Accept": accept}
        return self._read(
            "POST", path, content=_content(film), headers=headers, params=_given(**query)
        )

    def _read(self, method: str, path: str, **request: Any) -> bytes:
        with self._answer(method, path, **request) as answer:
            return answer.read()

    @contextmanager
    def _answer(self, method: str, path: str, **request: Any) -> Iterator[httpx.Response]:
        """Yield the answer, its body not read; retry while the server is busy."""
        for left in reversed(range(self._retries + 1)):
            with self._http.stream(method, path, **request) as answer:
                wait = _wait(answer)
                if wait is None or not left:
                    _check(answer)
                    yield answer
                    return
            time.sleep(min(wait, self._longest_wait))


def _content(film: Film) -> bytes:
    return film if isinstance(film, bytes) else Path(film).read_bytes()


def _given(**query: str | bool | None) -> dict[str, str | bool]:
    return {name: value for name, value in query.items() if value is not None}


def _wait(answer: httpx.Response) -> float | None:
    """Return the seconds after which to ask again; None if asking again is no use."""
    seconds = answer.headers.get("Retry-After", "")
    return float(seconds) if answer.status_code in RETRIED and seconds.isdecimal() else None


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    try:
        raise ProblemBody.model_validate_json(answer.read()).problem()
    except ValidationError:
        title, status = answer.reason_phrase, answer.status_code
        raise ProblemBody(title=title, status=status).problem() from None
