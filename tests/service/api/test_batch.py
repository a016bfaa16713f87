"""`/v1/batch`: many films in, a line each out, in order, none lost."""

import io
import json
import threading
import time
import zipfile
from typing import Any

import httpx
import pytest

from service.app import create_app
from service.inference.engine import Engine
from service.settings import Settings
from tests.support.running_server import serving
from tests.support.tiny_model import FILM, REFUSED_FILM, write_model
from tests.support.waiting import wait_until
from xai.explainer import Explainer

MIXED = [FILM, b"no film", REFUSED_FILM, b"", FILM[: len(FILM) // 2], FILM]
STATUSES = [200, 415, 200, 422, 422, 200]


def form(films: list[bytes]) -> list[tuple[str, bytes]]:
    return [("file", film) for film in films]


def zipped(films: list[bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, film in enumerate(films):
            archive.writestr(f"Jane_Doe_{number}.png", film)
    return file.getvalue()


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


def post(client: httpx.Client, way: str, films: list[bytes], query: str = "") -> httpx.Response:
    path = f"/v1/batch{query}"
    if way == "form":
        return client.post(path, files=form(films))
    if way == "zip in a form":
        return client.post(path, files={"file": zipped(films)})
    return client.post(path, content=zipped(films), headers={"content-type": "application/zip"})


@pytest.mark.parametrize("way", ["form", "zip", "zip in a form"])
def test_every_film_gets_its_line_in_order(client: httpx.Client, way: str):
    found = lines(post(client, way, MIXED))
    assert [line["index"] for line in found] == list(range(len(MIXED)))
    assert [line["status"] for line in found] == STATUSES
    for line in found:
        assert ("answer" in line) is (line["status"] == 200)
        assert line.get("problem", {}).get("status", 200) == line["status"]


@pytest.mark.parametrize(("query", "verb"), [("", "predict"), ("?explain=true", "explain")])
def test_an_answer_is_that_of_the_film_alone(client: httpx.Client, query: str, verb: str):
    [line] = lines(post(client, "zip", [FILM], query))
    assert line["answer"] == client.post(f"/v1/{verb}", content=FILM).json()


def test_a_few_hundred_films_come_back_each_in_its_place(client: httpx.Client):
    films = [FILM if number % 3 else REFUSED_FILM for number in range(300)]
    found = lines(post(client, "zip", films))
    assert [line["answer"]["in_distribution"] for line in found] == [film is FILM for film in films]


def test_file_names_are_not_repeated(client: httpx.Client):
    assert "Jane" not in post(client, "zip", MIXED).text


@pytest.mark.parametrize(
    ("content", "status", "title"),
    [
        (b"PK\x03\x04 nothing", 422, "Bad archive"),
        (b"", 422, "Bad archive"),
        (FILM, 422, "Bad archive"),
    ],
)
def test_a_body_that_is_no_zip_is_refused(client: httpx.Client, content, status, title):
    answer = client.post("/v1/batch", content=content)
    assert (answer.status_code, answer.json()["title"]) == (status, title)


def test_more_films_than_allowed_are_refused(model_file):
    settings = Settings(models=model_file, own_models=False, max_batch_films=2)
    with serving(create_app(settings)) as client:
        assert post(client, "zip", [FILM] * 3).status_code == 413
        assert post(client, "form", [FILM] * 3).status_code == 400


def test_all_models_answer_each_film(tmp_path):
    for name in ("a", "b"):
        write_model(tmp_path, name=name)
    with serving(create_app(Settings(models=tmp_path, own_models=False))) as client:
        [line] = lines(post(client, "form", [FILM], "?model=all"))
    assert [one["model"]["name"] for one in line["answer"]["models"]] == ["a", "b"]


def test_lines_come_before_the_last_film_is_done(client: httpx.Client, monkeypatch):
    answer, may_end = Explainer.__call__, threading.Event()
    done = 0

    def last_one_waits(self: Explainer, pixels):
        nonlocal done
        done += len(pixels)
        if done >= 20:
            may_end.wait(20)
        return answer(self, pixels)

    monkeypatch.setattr(Explainer, "__call__", last_one_waits)
    with client.stream("POST", "/v1/batch", files=form([FILM] * 20)) as stream:
        coming = stream.iter_lines()
        assert json.loads(next(coming))["index"] == 0
        may_end.set()
        assert len(list(coming)) == 19


def test_a_fault_of_ours_is_a_line(client: httpx.Client, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("Doe^Jane")

    monkeypatch.setattr(Explainer, "__call__", broken)
    [line] = lines(post(client, "form", [FILM]))
    assert line["status"] == 500
    assert "Doe" not in json.dumps(line)


def test_a_film_without_answer_in_time_is_a_line(model_file, monkeypatch):
    monkeypatch.setattr(Explainer, "__call__", lambda *_: time.sleep(0.5))
    settings = Settings(models=model_file, own_models=False, request_seconds=0.1)
    with serving(create_app(settings)) as client:
        [line] = lines(post(client, "form", [FILM]))
    assert (line["status"], line["problem"]["title"]) == (503, "Too slow")


def test_what_a_request_holds_is_given_back(client: httpx.Client, app, monkeypatch):
    engine: Engine = app.state.engine
    post(client, "form", MIXED)
    post(client, "zip", [b"PK\x03\x04"])
    with client.stream("POST", "/v1/batch", files=form([FILM] * 200)) as stream:
        next(stream.iter_lines())  # and hang up
    wait_until(lambda: not (engine.admission.taken("tiny") or engine.admission.held_bytes))
