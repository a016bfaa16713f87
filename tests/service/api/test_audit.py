from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from service.api.audit import router
from service.audit.trail import AuditTrail
from service.problems import add_handlers
from tests.support.audit_rows import NOON, open_file, row
from tests.support.running_server import serving


def app_with(trail: AuditTrail | None) -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    add_handlers(app)
    app.state.audit = trail
    return app


ROWS = [
    row(time=NOON - timedelta(hours=1), request_id="first", key_id="clinic"),
    row(request_id="second", model="vgg16"),
    row(time=NOON + timedelta(hours=1), request_id="third", film_sha256=64 * "c"),
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    trail = open_file(tmp_path_factory.mktemp("audit") / "audit.sqlite")
    for one in ROWS:
        trail.write(one)
    with serving(app_with(trail)) as client:
        yield client
    trail.close()


def names(client: httpx.Client, **query: Any) -> list[str]:
    return [one["request_id"] for one in client.get("/v1/audit", params=query).json()["rows"]]


def test_rows_are_listed_oldest_first(client: httpx.Client):
    page = client.get("/v1/audit").json()
    assert page["next"] is None
    assert page["rows"][0] == {"id": 1, **ROWS[0].model_dump(mode="json")}
    assert [one["request_id"] for one in page["rows"]] == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"since": "2026-03-01T12:00:00Z"}, ["second", "third"]),
        ({"until": "2026-03-01T12:00:00Z"}, ["first"]),
        ({"since": "2026-03-01T13:00:00+01:00", "until": "2026-03-01T13:00:00Z"}, ["second"]),
        ({"model": "vgg16"}, ["second"]),
        ({"key_id": "clinic"}, ["first"]),
        ({"film_sha256": 64 * "c"}, ["third"]),
        ({"request_id": "second"}, ["second"]),
        ({"request_id": "fourth"}, []),
        ({"film_sha256": 64 * "c", "key_id": "clinic"}, []),
        ({"key_id": "' OR 1=1 --"}, []),
    ],
)
def test_rows_are_filtered(client: httpx.Client, query: dict[str, str], found: list[str]):
    assert names(client, **query) == found


def test_pages_hold_every_row_once(client: httpx.Client):
    pages, after = [], 0
    while after is not None:
        page = client.get("/v1/audit", params={"limit": 2, "after": after}).json()
        pages.append([one["request_id"] for one in page["rows"]])
        after = page["next"]
    assert pages == [["first", "second"], ["third"]]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("after=-1", "after"),
        (f"after={2**63}", "after"),
        ("since=2026-03-01T12:00:00", "since"),
        ("since=yesterday", "since"),
        (f"until={quote('0001-01-01T00:00:00+14:00')}", "until"),
        (f"until={quote('9999-12-31T23:59:59-14:00')}", "until"),
        ("film_sha256=b", "film_sha256"),
        ("model=%00", "model"),
        ("key_id=%00", "key_id"),
    ],
)
def test_a_wrong_parameter_is_named(client: httpx.Client, query: str, parameter: str):
    answer = client.get(f"/v1/audit?{query}")
    assert answer.status_code == 422
    assert [fault["parameter"] for fault in answer.json()["errors"]] == [parameter]


def test_without_a_trail_there_is_nothing_to_ask():
    with serving(app_with(None)) as client:
        answer = client.get("/v1/audit")
    assert (answer.status_code, answer.json()["title"]) == (404, "Audit off")


def test_a_trail_that_cannot_be_read_is_a_503_that_says_when_to_come_back(tmp_path: Path):
    trail = open_file(tmp_path / "audit.sqlite")
    (tmp_path / "audit.sqlite").unlink()
    with serving(app_with(trail)) as client:
        answer = client.get("/v1/audit")
    trail.close()
    assert (answer.status_code, answer.json()["title"]) == (503, "Audit unavailable")
    assert answer.headers["retry-after"] == "10"


def test_every_status_and_parameter_is_documented():
    route = app_with(None).openapi()["paths"]["/v1/audit"]["get"]
    statuses = {"200", "401", "403", "404", "406", "422", "429", "503"}
    assert set(route["responses"]) == statuses
    assert all(parameter["schema"] for parameter in route["parameters"])
    assert all("description" in parameter for parameter in route["parameters"])
