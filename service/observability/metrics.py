"""Count and time requests, stages and films for Prometheus.

Labels are never values that a client or a film chose. They are names of models and classes, route
templates and types of problems; paths, keys and file names are not.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from service.answers.film_answer import FilmAnswer
from service.observability.drift import Drift, Tally
from service.observability.tracing import Tracing
from xai.explainer import Explainer

Stage = Literal["upload", "decode", "queue", "inference", "encode"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
FILMS = (1, 2, 4, 8, 16, 32, 64)
DECISIONS = {True: "present", False: "absent", None: "undecided"}
SHA256_DIGITS = 12
"""Digits of a model file's hash in a label: enough to tell two files apart."""


class Metrics:
    """The metrics of one server.

    All methods may be called from several threads.

    Attributes:
        registry: The registry that Prometheus reads.
        connections: How many are open.
    """

    def __init__(self, tracing: Tracing | None = None) -> None:
        """Count from zero.

        Args:
            tracing: Records stages as spans too.
        """
        self.registry = CollectorRegistry()
        self._tracing = tracing
        self._requests = self._histogram(
            "request_duration_seconds",
            "Time from a request's first byte to the last of its answer.",
            ("route", "method", "status"),
        )
        self._stages = self._histogram(
            "stage_duration_seconds",
            "Time of a stage of a film; of inference, the time of a batch.",
            ("stage", "model"),
        )
        self._batches = self._histogram(
            "batch_films", "Films that ran together.", ("model",), buckets=FILMS
        )
        self._films = self._counter("films", "Films examined.", "outcome")
        self._refusals = self._counter(
            "refusals", "Reasons why films were refused; a film may have several.", "reason"
        )
        self._findings = self._counter("findings", "Decisions on films.", "class_name", "decision")
        self._predicted = self._counter("predicted", "Films by predicted class.", "class_name")
        self._possible = self._counter(
            "possible", "Films whose prediction set holds the class.", "class_name"
        )
        self._maps = self._counter("maps", "Maps of classes that were asked for.", "status")
        self._problems = self._counter("problems", "Films or requests without answer.", "type")
        self.connections = Gauge("cxr_connections", "Open connections.", registry=self.registry)
        self._models = _Models()
        self.registry.register(self._models)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    def watch(
        self, models: Callable[[], Mapping[str, Explainer]], taken: Callable[[str], int]
    ) -> None:
        """Show from now on the models that are offered, and how full their queues are.

        Args:
            models: Returns those offered now, by name.
            taken: Returns how many places in a model's queue are taken.
        """
        self._models.offered, self._models.taken = models, taken

    @contextmanager
    def stage(self, stage: Stage, model: str, requests: Sequence[Context] = ()) -> Iterator[None]:
        """Time the block, whether it succeeds or fails; see `observe`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.observe(stage, model, time.perf_counter() - start, requests)

    def observe(
        self, stage: Stage, model: str, seconds: float, requests: Sequence[Context] = ()
    ) -> None:
        """Count a stage that has just ended.

        Args:
            stage: The stage.
            model: Name, or empty where the stage is the same for all models.
            seconds: Its duration.
            requests: The requests it was done for; empty means the current one.
        """
        self._stages.labels(stage, model).observe(seconds)
        if self._tracing is None:
            return
        if not requests:
            self._tracing.stage(stage, model, seconds)
        for request in requests:
            request.run(self._tracing.stage, stage, model, seconds)

    def batch(self, model: str, size: int) -> None:
        """Count the films that ran together in one batch."""
        self._batches.labels(model).observe(size)

    def count_film(self, film_answer: FilmAnswer, force: bool | None = None) -> None:
        """Count the outcome and the findings of a film that the model saw as a whole.

        Args:
            film_answer: The film and its answer.
            force: Whether maps of a refused film are asked for; None where no map is.
        """
        name = film_answer.explainer.card.name
        self._films.labels(name, _outcome(film_answer)).inc()
        for reason in film_answer.refusals:
            self._refusals.labels(name, reason).inc()
        for class_name, decision in film_answer.decisions.items():
            self._findings.labels(name, class_name, DECISIONS[decision]).inc()
        if film_answer.predicted_class:
            self._predicted.labels(name, film_answer.predicted_class).inc()
        for class_name in film_answer.prediction_set or ():
            self._possible.labels(name, class_name).inc()
        if force is not None:
            for status in film_answer.statuses(force=force):
                self._maps.labels(name, status).inc()
        drift = self._models.drift(film_answer.explainer)
        drift.add(film_answer.probabilities, film_answer.distance, film_answer.novelty)

    def problem(self, model: str, type_name: str) -> None:
        """Count a film or request that gets no answer.

        Args:
            model: Name, or empty where no model was asked.
            type_name: Last part of the problem's type, as `unreadable-film`.
        """
        self._problems.labels(model, type_name).inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request.

        Args:
            method: GET, POST, ...; never a client's own word.
            route: Its template.
            status: Of HTTP.
            seconds: From its first byte to the last of its answer.
        """
        self._requests.labels(route, method, str(status)).observe(seconds)

    def _histogram(
        self, name: str, help_text: str, labels: Sequence[str], buckets: Sequence[float] = SECONDS
    ) -> Histogram:
        return Histogram(f"cxr_{name}", help_text, labels, buckets=buckets, registry=self.registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"cxr_{name}", help_text, ("model", *labels), registry=self.registry)


class _Models(Collector):
    """Collect the figures of models, queues and drift each time Prometheus asks.

    Drift belongs to a file: another file under the same name, with another card, starts from zero,
    and films that the old one still answers are no longer shown.
    """

    def __init__(self) -> None:
        self.offered: Callable[[], Mapping[str, Explainer]] = dict
        self.taken: Callable[[str], int] = lambda _: 0
        self._drifts: dict[str, Drift] = {}
        self._lock = threading.Lock()

    def drift(self, explainer: Explainer) -> Drift:
        """Return the drift of a model's file."""
        with self._lock:
            if explainer.sha256 not in self._drifts:
                self._drifts[explainer.sha256] = Drift(explainer.card)
            return self._drifts[explainer.sha256]

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of the models offered now."""
        offered = self.offered()
        yield from self._identities(offered)
        drifts = {name: self.drift(explainer) for name, explainer in offered.items()}
        with self._lock:
            self._drifts = {offered[name].sha256: drift for name, drift in drifts.items()}
        yield from _score_metrics(drifts)
        yield from _distance_metrics(drifts)
        yield from _novelty_metrics(drifts)

    def _identities(self, offered: Mapping[str, Explainer]) -> Iterator[Metric]:
        labels = ("model", "version", "sha256")
        info = GaugeMetricFamily("cxr_model_info", "Always 1.", labels=labels)
        loaded = GaugeMetricFamily(
            "cxr_model_loaded", "Whether it answers at once.", labels=("model",)
        )
        queue = GaugeMetricFamily(
            "cxr_queue_films", "Films being read, waiting, examined or answered.", labels=("model",)
        )
        for name, explainer in offered.items():
            sha256 = explainer.sha256[:SHA256_DIGITS]
            info.add_metric((name, explainer.card.version, sha256), 1)
            loaded.add_metric((name,), explainer.is_loaded)
            queue.add_metric((name,), self.taken(name))
        yield from (info, loaded, queue)


def _outcome(film_answer: FilmAnswer) -> str:
    if not film_answer.in_distribution:
        return "refused"
    return "decided" if film_answer.is_decided else "unsure"


def _score_metrics(drifts: Mapping[str, Drift]) -> Iterator[Metric]:
    scores = [
        ((name, class_name), tally)
        for name, drift in drifts.items()
        for class_name, tally in drift.scores.items()
    ]
    return _tally_metrics("score", "probability of the class", ("model", "class_name"), scores)


def _distance_metrics(drifts: Mapping[str, Drift]) -> Iterator[Metric]:
    distances = [((name,), drift.distance) for name, drift in drifts.items()]
    return _tally_metrics("distance", "distance from the training films", ("model",), distances)


def _novelty_metrics(drifts: Mapping[str, Drift]) -> Iterator[Metric]:
    novelties = [((name,), drift.novelty) for name, drift in drifts.items() if drift.novelty]
    return _tally_metrics("novelty", "novelty of their acquisition", ("model",), novelties)


def _tally_metrics(
    figure: str,
    meaning: str,
    labels: tuple[str, ...],
    tallies: Iterable[tuple[tuple[str, ...], Tally]],
) -> Iterator[Metric]:
    films = HistogramMetricFamily(f"cxr_{figure}", f"Films by {meaning}.", labels=labels)
    expected = GaugeMetricFamily(
        f"cxr_expected_{figure}",
        f"Films in the model's card with at most this {meaning}.",
        labels=(*labels, "at_most"),  # Prometheus keeps `le` for histograms
    )
    index = GaugeMetricFamily(
        f"cxr_{figure}_psi",
        f"Population stability index of the latest films, by {meaning}; absent while few.",
        labels=labels,
    )
    for names, tally in tallies:
        films.add_metric(names, *tally.films())
        for edge, count in tally.expected_films():
            expected.add_metric((*names, edge), count)
        if (found := tally.stability_index()) is not None:
            index.add_metric(names, found)
    yield from (films, expected, index)
