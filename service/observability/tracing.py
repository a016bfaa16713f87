"""Record requests and their stages as OpenTelemetry spans, where a collector is configured.

OpenTelemetry is imported only if one of its standard variables names that collector.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from service.observability.trace_context import Span

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
SERVICE = "chest-xray-explainer"
CLOSING_SECONDS = 3
FIRST_FAULT_OF_OURS = 500


class Tracing:
    """Record spans; of a request they hold method, route and status, and nothing else."""

    def __init__(self, provider: TracerProvider) -> None:
        """Record with OpenTelemetry.

        Args:
            provider: Where spans go; closed by `close`.
        """
        self._provider = provider
        self._tracer = provider.get_tracer(SERVICE, version(SERVICE))

    @contextmanager
    def request(self, caller: Span | None) -> Iterator[Span]:
        """Record a request while the block answers it, and yield its step of the trace.

        Args:
            caller: The step that the request is part of; None begins a new trace.
        """
        from opentelemetry.trace import SpanKind

        with self._tracer.start_as_current_span(
            "request",
            context=_remote(caller),
            kind=SpanKind.SERVER,
            record_exception=False,  # its message may quote a film's header
            set_status_on_exception=False,
        ) as span:
            own = span.get_span_context()
            yield Span(f"{own.trace_id:032x}", f"{own.span_id:016x}", own.trace_flags.sampled)

    def answered(self, method: str, route: str, status: int) -> None:
        """Add method, route and status to the span of the current request."""
        from opentelemetry.trace import StatusCode, get_current_span

        span = get_current_span()
        span.update_name(f"{method} {route}")
        span.set_attributes(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
            }
        )
        if status >= FIRST_FAULT_OF_OURS:
            span.set_status(StatusCode.ERROR)

    def stage(self, stage: str, model: str, seconds: float) -> None:
        """Record a stage of the current request that has just ended."""
        end = time.time_ns()
        span = self._tracer.start_span(
            stage, start_time=end - int(seconds * 1e9), attributes={"cxr.model": model}
        )
        span.end(end)

    def close(self) -> None:
        """Send what is left, or give it up: a collector that is away must not delay the exit."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSING_SECONDS)


def open_tracing(environment: Mapping[str, str]) -> Tracing | None:
    """Return a recorder of spans, or None where no variable names a collector.

    Everything else (headers, sampling, the service's name) is OpenTelemetry's own variables too.

    Args:
        environment: Of the process.

    Raises:
        ValueError: OpenTelemetry is not installed.
    """
    if not any(environment.get(name) for name in ENDPOINTS):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ValueError(
            f"{ENDPOINTS[0]} needs OpenTelemetry; install it with `pip install '.[otel]'`"
        ) from error
    name = environment.get("OTEL_SERVICE_NAME", SERVICE)
    provider = TracerProvider(
        resource=Resource.create({"service.name": name}), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


def _remote(caller: Span | None) -> Context:
    from opentelemetry.context import Context
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    if caller is None:
        return Context()
    flags = TraceFlags(caller.is_sampled)
    parent = SpanContext(int(caller.trace_id, 16), int(caller.span_id, 16), True, flags)
    return set_span_in_context(NonRecordingSpan(parent), Context())
