"""Spans of requests and stages, where the operator has an OpenTelemetry collector."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from service.app import create_app
from service.observability.tracing import Tracing, open_tracing
from service.settings import Settings
from tests.support.running_server import serving
from tests.support.tiny_model import FILM
from xai.explainer import Explainer

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
STAGES = {"upload", "decode", "queue", "inference", "encode"}

Spans = Callable[[], list[ReadableSpan]]


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(exporter: InMemorySpanExporter, model_file: Path) -> FastAPI:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    settings = Settings(models=model_file, own_models=False, max_batch_delay_seconds=0.5)
    return create_app(settings, tracing=Tracing(provider))


@pytest.fixture
def client(traced: FastAPI) -> Iterator[httpx.Client]:
    with serving(traced) as client:
        yield client


@pytest.fixture
def spans(client: httpx.Client, exporter: InMemorySpanExporter) -> Spans:
    def of_all_but_the_last_request() -> list[ReadableSpan]:
        client.get("/health/live")
        return [one for one in exporter.get_finished_spans() if "health" not in one.name]

    return of_all_but_the_last_request


def test_a_request_is_a_span_below_the_caller_s(client: httpx.Client, spans: Spans):
    answer = client.post("/v1/explain", content=FILM, headers=SAMPLED)
    request = spans()[-1]
    assert (request.name, request.kind) == ("POST /v1/explain", SpanKind.SERVER)
    assert (request.context.trace_id, request.parent.span_id) == (int(TRACE, 16), int(SPAN, 16))
    assert answer.headers["traceparent"] == f"00-{TRACE}-{request.context.span_id:016x}-01"
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/explain",
        "http.response.status_code": 200,
    }


def test_the_stages_of_a_film_are_spans_below_the_request_s(client: httpx.Client, spans: Spans):
    client.post("/v1/explain", content=FILM)
    *stages, request = spans()
    assert {one.name for one in stages} == STAGES
    for one in stages:
        assert one.parent == request.context
        assert request.start_time <= one.start_time <= one.end_time <= request.end_time


def test_films_that_run_together_are_each_in_their_own_trace(
    traced: FastAPI, exporter: InMemorySpanExporter
):
    async def work() -> None:
        transport = httpx.ASGITransport(traced)
        async with (
            traced.router.lifespan_context(traced),
            httpx.AsyncClient(transport=transport, base_url="http://server") as client,
        ):
            await asyncio.gather(*(client.post("/v1/predict", content=FILM) for _ in range(3)))

    asyncio.run(work())
    finished = exporter.get_finished_spans()
    requests = [one for one in finished if one.kind is SpanKind.SERVER]
    for stage in ("queue", "inference"):
        parents = [one.parent for one in finished if one.name == stage]
        assert sorted(parents) == sorted(one.context for one in requests)


def test_a_caller_that_is_not_recorded_is_not_recorded_here(client: httpx.Client, spans: Spans):
    answer = client.get("/v1/models", headers={"traceparent": f"00-{TRACE}-{SPAN}-00"})
    assert answer.headers["traceparent"].startswith(f"00-{TRACE}-")
    assert spans() == []


def test_spans_hold_nothing_that_a_client_chose(client: httpx.Client, spans: Spans):
    client.get("/Doe?Doe=1", headers={"user-agent": "Doe"})
    client.post("/v1/predict?model=Doe", files={"file": ("Doe.png", FILM)})
    client.post("/v1/predict?Doe=1", files={"file": ("Doe.png", b"Doe")})
    written = "".join(one.to_json() for one in spans())
    assert "/v1/predict" in written
    assert "doe" not in written.lower()


def test_a_fault_of_ours_is_an_error_without_its_message(
    client: httpx.Client, spans: Spans, monkeypatch
):
    def broken(*_: object) -> None:
        raise RuntimeError("Doe^Jane")

    monkeypatch.setattr(Explainer, "__call__", broken)
    client.post("/v1/predict", content=FILM)
    request = spans()[-1]
    assert request.status.status_code is StatusCode.ERROR
    assert "Doe" not in request.to_json()


def test_spans_reach_the_collector_that_the_environment_names(model_file: Path, monkeypatch):
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((self.path, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")  # it would tell the query
    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever).start()
        address = f"http://127.0.0.1:{collector.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        with serving(create_app(Settings(models=model_file, own_models=False))) as client:
            client.get("/v1/models/tiny?Doe=1")
        collector.shutdown()
    [(path, body)] = received
    assert path == "/v1/traces"
    assert b"GET /v1/models/{name}" in body
    assert b"chest-xray-explainer" in body
    assert b"Doe" not in body


def test_a_collector_that_never_answers_does_not_keep_the_server_alive(monkeypatch):
    monkeypatch.setattr("service.observability.tracing.CLOSING_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        tracing = open_tracing(os.environ)
        tracing.stage("decode", "tiny", 0.1)
        start = time.monotonic()
        tracing.close()
        assert time.monotonic() - start < 2


def test_without_a_collector_nothing_is_recorded():
    assert open_tracing({}) is None
    assert open_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}) is None


def test_a_collector_without_opentelemetry_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ValueError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT needs .*\[otel\]"):
        open_tracing({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"})


def test_opentelemetry_is_not_loaded_unless_asked_for():
    script = "import sys; from service.app import create_app; create_app(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout
    assert "service.observability.tracing" in loaded
    assert "opentelemetry.sdk" not in loaded  # FastAPI loads opentelemetry's small interface
    assert "opentelemetry.exporter" not in loaded
