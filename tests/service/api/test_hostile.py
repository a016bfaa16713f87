"""Damaged and crafted bodies over HTTP; `benchmarks/fuzz.py` sends thousands of them."""

import json
import logging

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from benchmarks.mutated_films import damaged_bodies, sound_films, sound_zips
from service.api.batch import ARCHIVE_TYPES
from service.app import create_app
from service.films.uploads import FILM_TYPES
from service.settings import Settings
from tests.support.hostile_films import REFUSED

LARGE = ("million", "thousand", "runs")
SMALL = [name for name in REFUSED if not any(word in name for word in LARGE)]
BINARY = {"content-type": "application/octet-stream"}
CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]
for media_type in {*FILM_TYPES, *ARCHIVE_TYPES}:  # or schemathesis leaves them out
    sound = [*sound_films().values(), *sound_zips().values()]
    schemathesis.openapi.media_type(media_type, st.sampled_from(sound) | st.binary())
DESCRIBED = schemathesis.openapi.from_dict(create_app(Settings()).openapi())


def post(client: httpx.Client, path: str, body: bytes) -> httpx.Response:
    return client.post(path, content=body, headers=BINARY)


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain", "/v1/film"])
def test_damaged_films_are_answered_or_refused_and_never_quoted(client, caplog, path):
    caplog.set_level(logging.DEBUG)
    for name, body in damaged_bodies(sound_films(), 46, seed=len(path)):
        answer = post(client, path, body)
        assert answer.status_code in (200, 413, 415, 422), name
        assert b"Doe" not in answer.content, name
    assert "Doe" not in caplog.text


def test_damaged_zips_are_answered_line_by_line_or_refused(client):
    for name, body in damaged_bodies(sound_zips(), 24):
        answer = post(client, "/v1/batch", body)
        assert answer.status_code in (200, 413, 415, 422), name
        if answer.status_code == 200:
            lines = [json.loads(line) for line in answer.text.splitlines()]
            assert [line["index"] for line in lines] == list(range(len(lines))), name
            assert {line["status"] for line in lines} <= {200, 413, 415, 422}, name


@pytest.mark.parametrize("name", SMALL)
def test_a_crafted_film_is_a_problem_of_the_client_in_words(client, name):
    answer = post(client, "/v1/predict", REFUSED[name]())
    assert answer.status_code in (413, 422)
    problem = answer.json()
    assert problem["title"] in ("Film too large", "Unreadable film", "Unsupported film")


@pytest.mark.parametrize("accept", ["image/png", "application/octet-stream"])
def test_a_page_behind_a_dicom_preamble_comes_back_as_nothing_a_browser_runs(client, accept):
    dicom = sound_films()["dicom Explicit VR Little Endian"]
    page = b"<html><script>alert(1)</script>".ljust(128, b" ") + dicom[128:]
    answer = client.post("/v1/film", content=page, headers=BINARY | {"accept": accept})
    assert answer.headers["content-type"] == accept
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert b"<script>" not in answer.content


@DESCRIBED.parametrize()
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_its_description_says(case, client):
    case.call_and_validate(base_url=str(client.base_url), checks=CHECKS)
