"""The client for programs that wait for each answer."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from cxr_client import calls
from cxr_client.answers import (
    EnsembleSummary,
    ExplainedComparison,
    ExplainedPrediction,
    ModelDescription,
    ModelSummary,
    Prediction,
)
from cxr_client.calls import Call, Film, Mask, RawFilm, T
from cxr_client.problem import Problem, problem_of


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
        self, film: Film, *, model: str | None = None, mask: Mask | None = None
    ) -> Prediction:
        """Return the probability of each finding.

        Args:
            film: The film.
            model: None is the default one; `ensemble` is what all of them answer together.
            mask: Left, top, right, bottom of what the model must not see, in film pixels.
        """
        return self._ask(calls.predict(film, model=model, mask=mask))

    def film(self, film: Film) -> RawFilm:
        """Return the film as the models' reader decodes it, before any window."""
        return self._ask(calls.raw_film(film))

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
        return self._ask(
            calls.explain(
                film, model=model, force=force, faithfulness=faithfulness, class_name=class_name
            )
        )

    def compare(self, film: Film, *, force: bool = False) -> ExplainedComparison:
        """Return every model's answer side by side, and how far their maps agree."""
        return self._ask(calls.compare(film, force=force))

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
        return self._ask(
            calls.overlay(film, class_name=class_name, model=model, force=force, outline=outline)
        )

    def batch(
        self, films: Iterable[Film], *, model: str | None = None
    ) -> Iterator[Prediction | Problem]:
        """Yield the answer or the problem of each film, in order.

        Raises:
            ConnectionError: The answer ended before the last film's.
        """
        films, lines = list(films), 0
        with self._answer(calls.batch(films, model=model)) as answer:
            for line in answer.iter_lines():
                yield calls.outcome(line, answer)
                lines += 1
        calls.check_complete(lines, films)

    def models(self) -> list[ModelSummary]:
        """Return the models that can be asked."""
        return self._ask(calls.model_list()).models

    def ensemble(self) -> EnsembleSummary | None:
        """Return what the models answer together by; None where the server has no ensemble."""
        return self._ask(calls.model_list()).ensemble

    def model(self, name: str) -> ModelDescription:
        """Return a model's card."""
        return self._ask(calls.model(name))

    def ready(self) -> bool:
        """Return whether the server answers, with its default model loaded."""
        try:
            return self._http.get("/health/ready").is_success
        except httpx.TransportError:
            return False

    def _ask(self, call: Call[T]) -> T:
        with self._answer(call) as answer:
            answer.read()
            return call.read(answer)

    @contextmanager
    def _answer(self, call: Call[Any]) -> Iterator[httpx.Response]:
        """Yield a successful answer, its body not read; ask again while the server is busy."""
        for left in reversed(range(self._retries + 1)):
            with self._http.stream(call.method, call.path, **call.sent) as answer:
                wait = calls.wait(answer)
                if answer.is_success:
                    yield answer
                    return
                if wait is None or not left:
                    answer.read()
                    raise problem_of(answer)
            time.sleep(min(wait, self._longest_wait))
