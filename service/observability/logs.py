"""Format log lines as text or JSON, without anything that a film contains."""

import json
import logging
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from service.observability.trace_context import current_request
from service.settings import LogFormat

FIELDS = "fields"
"""`extra={FIELDS: {...}}` adds fields to a line; empty ones are left out."""

ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


class TextFormatter(logging.Formatter):
    """Format a record as a line of text, with the id of its request."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line."""
        request = current_request.get()
        line = super().formatMessage(record)
        return f"{line} [{request.request_id}]" if request else line

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802 - logging's name
        """Return the traceback and the type; not the message, which may quote a film's header."""
        kind, _, place = ei
        return "".join(traceback.format_tb(place)) + (kind.__name__ if kind else "")


class JsonFormatter(TextFormatter):
    """Format a record as one line with a JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object."""
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := current_request.get():
            line |= {
                "request_id": request.request_id,
                "trace_id": request.span.trace_id,
                "span_id": request.span.span_id,
            }
        fields = getattr(record, FIELDS, {})
        line |= {name: value for name, value in fields.items() if value not in (None, "")}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


FORMATTERS: dict[LogFormat, type[TextFormatter]] = {"text": TextFormatter, "json": JsonFormatter}


def log_config(log_format: LogFormat) -> dict[str, Any]:
    """Return the configuration of all logging of the server process, for uvicorn.

    uvicorn's own access log has no handler here: it holds raw paths and queries.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"ours": {"()": FORMATTERS[log_format]}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "ours"}},
        "root": {"level": "INFO", "handlers": ["stderr"]},
        "loggers": {"uvicorn.access": {"propagate": False}},
    }
