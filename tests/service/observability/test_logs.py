"""What the server logs, and what it never does."""

import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.observability.logs import JsonFormatter, TextFormatter
from tests.support.tiny_model import FILM
from xai.explainer import Explainer

Lines = Callable[[], list[str]]


@contextmanager
def lines_of(client: httpx.Client, formatter: logging.Formatter) -> Iterator[Lines]:
    """Yield a function that returns what was logged about the requests so far."""
    logger, written = logging.getLogger("service"), io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    def lines() -> list[str]:
        client.get("/health/live")  # is not logged; whatever came before now is
        return written.getvalue().splitlines()

    yield lines
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def text(client: httpx.Client) -> Iterator[Lines]:
    with lines_of(client, TextFormatter()) as lines:
        yield lines


@pytest.fixture
def objects(client: httpx.Client) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    with lines_of(client, JsonFormatter()) as lines:
        yield lambda: [json.loads(line) for line in lines()]


def test_a_request_is_one_line_that_says_what_came_of_it(client: httpx.Client, objects):
    answer = client.post("/v1/predict", content=FILM)
    [line] = objects()
    assert (line["method"], line["route"], line["status"]) == ("POST", "/v1/predict", 200)
    assert (line["model"], line["bytes_in"]) == ("tiny", len(FILM))
    assert 0 < line["seconds"] < 10
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert answer.headers["traceparent"] == f"00-{line['trace_id']}-{line['span_id']}-00"
    assert (line["level"], line["logger"]) == ("INFO", "service.observability.requests")
    assert datetime.fromisoformat(line["ts"]).utcoffset() == timedelta(0)
    assert {"problem", "key_id"} & set(line) == set()


def test_the_model_in_a_path_is_named_beside_the_template(client: httpx.Client, objects):
    client.post("/v2/models/tiny/infer", json={})
    [line] = objects()
    assert (line["route"], line["model"]) == ("/v2/models/{name}/infer", "tiny")


def test_a_problem_is_named(client: httpx.Client, objects):
    client.post("/v1/predict", content=b"no film")
    [line] = objects()
    assert (line["status"], line["problem"], line["model"]) == (415, "not-an-image", "tiny")


def test_text_is_a_line_for_people(client: httpx.Client, text: Lines):
    client.get("/v1/models/huge", headers={"X-Request-ID": "mine"})
    [line] = text()
    said = r"GET /v1/models/\{name\} 404 in 0\.\d{3} s \[mine\]$"
    assert re.search(r" INFO service\.observability\.requests: " + said, line)


def test_nothing_that_a_client_chose_is_logged(client: httpx.Client, text: Lines):
    client.get("/Doe?Doe=Doe", headers={"user-agent": "Doe", "authorization": "Bearer Doe"})
    client.post("/v1/predict?model=Doe", files={"file": ("Doe.png", b"Doe")})
    client.post("/v1/predict", files={"Doe": ("Doe.png", FILM)}, headers={"X-Request-ID": "Doe, J"})
    client.request("PROPFIND", "/v1/models/Doe", headers={"traceparent": "Doe"})
    lines = text()
    assert len(lines) == 4
    assert "doe" not in "".join(lines).lower()


def test_what_machines_ask_again_and_again_is_not_logged(client: httpx.Client, objects):
    for path in ("/health/live", "/health/ready", "/v2/health/live", "/metrics"):
        assert client.get(path).status_code == 200
    assert objects() == []


def test_a_fault_is_logged_with_the_request_s_id_and_without_its_message(
    client: httpx.Client, objects, monkeypatch
):
    name = "Doe^Jane"  # not in the line that raises: its source is logged

    def broken(*_: object) -> None:
        raise RuntimeError(name)

    monkeypatch.setattr(Explainer, "__call__", broken)
    answer = client.post("/v1/predict", content=FILM)
    fault, access = objects()
    assert fault["level"] == "ERROR"
    assert fault["message"].startswith("RuntimeError at\n")
    assert fault["request_id"] == access["request_id"] == answer.headers["X-Request-ID"]
    assert "Doe" not in json.dumps([fault, access])


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_an_exception_is_its_place_and_type(formatter: logging.Formatter):
    name = "Doe^Jane"
    try:
        raise ValueError(name)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "lost", (), sys.exc_info())
    line = formatter.format(record)
    assert "raise ValueError(name)" in line
    assert "ValueError" in line
    assert "Doe" not in line


def test_a_line_is_one_object_whatever_the_message():
    record = logging.LogRecord("x", logging.INFO, "", 0, "a %s", ('"\n\N{SNOWMAN}',), None)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == 'a "\n\N{SNOWMAN}'


def test_the_server_process_logs_objects_alone(model_file: Path):
    command = [sys.executable, "-m", "service", "--port", "0", "--models", str(model_file)]
    settings = os.environ | {"CXR_LOG_FORMAT": "json", "CXR_OWN_MODELS": "false"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=settings) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(json.loads(line))
            if found := re.search(r"http://[\d.:]+", lines[-1]["message"]):
                httpx.get(f"{found[0]}/v1/models?Doe=1")
                process.terminate()
    assert [line["route"] for line in lines if "route" in line] == ["/v1/models"]
    assert "Doe" not in str(lines)
