"""What is answered is written down first, whichever way it was asked; or it is not answered."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from service.app import create_app
from service.audit.rows import AuditQuery, KeptRow
from service.audit.trail import AuditTrail
from service.problems import AuditUnavailable
from service.settings import Settings
from tests.support.api_keys import key_in
from tests.support.running_server import serving
from tests.support.tiny_model import FILM, REFUSED_FILM, write_model

PNG = {"accept": "image/png"}
MIXED = (FILM, b"none", FILM)
THREADS_OF_ROUTES = 40
"""As many as AnyIO has for routes that are no coroutines, such as `/metrics`."""


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[httpx.Client]:
    """A server of two models with an audit trail."""
    for name in ("a", "b"):
        write_model(tmp_path, name=name)
    url = f"sqlite:///{tmp_path}/audit.sqlite"
    settings = Settings(models=tmp_path, own_models=False, audit_url=url)
    with serving(create_app(settings)) as client:
        yield client


def rows(client: httpx.Client) -> list[dict[str, Any]]:
    return client.get("/v1/audit").json()["rows"]


def test_a_row_says_what_the_answer_said(audited: httpx.Client):
    answer = audited.post("/v1/predict", content=FILM, headers={"X-Request-ID": "mine"})
    [row] = rows(audited)
    found = {one["class_name"]: one for one in answer.json()["findings"]}
    assert row["probabilities"] == {name: one["probability"] for name, one in found.items()}
    assert row["decisions"] == {name: one["decision"] for name, one in found.items()}
    assert (row["verb"], row["request_id"], row["model"]) == ("predict", "mine", "a")
    assert row["film_sha256"] == sha256(FILM).hexdigest()
    assert row["model_sha256"] == answer.json()["model"]["sha256"]
    assert row["key_id"] is None


@pytest.mark.parametrize(
    ("path", "options", "verbs"),
    [
        ("/v1/explain", {"content": FILM}, ["explain"]),
        ("/v1/explain", {"content": FILM, "headers": PNG}, ["explain"]),
        ("/v1/explain", {"content": REFUSED_FILM, "headers": PNG}, ["explain"]),
        ("/v1/explain?model=all", {"content": FILM}, ["explain"] * 2),
        (
            "/v1/batch",
            {"files": [("file", FILM), ("file", b"none"), ("file", FILM)]},
            ["batch"] * 2,
        ),
        ("/v1/predict", {"content": b"none"}, []),
        ("/v1/film", {"content": FILM}, []),
        ("/v1/predict?mask=0,0,9,9", {"content": FILM}, ["predict-masked"]),
        ("/v1/predict?mask=0,0,9,9&model=all", {"content": FILM}, ["predict-masked"] * 2),
        ("/v1/predict?mask=90,90,99,99", {"content": FILM}, []),
    ],
)
def test_every_film_that_a_model_saw_has_a_row(audited: httpx.Client, path, options, verbs):
    audited.post(path, **options)
    assert [row["verb"] for row in rows(audited)] == verbs


def test_the_row_of_a_masked_film_says_what_was_hidden(audited: httpx.Client):
    masked = audited.post("/v1/predict?mask=0.5,2,9.2,99", content=FILM).json()
    audited.post("/v1/predict", content=FILM)
    assert [row["mask"] for row in rows(audited)] == [masked["mask"], None]
    assert masked["mask"] == [0, 2, 10, 32]


def test_so_has_every_tensor(audited: httpx.Client):
    pixels = {"name": "pixels", "datatype": "FP32", "shape": [2, 1, 32, 48], "data": [0.5] * 3072}
    assert audited.post("/v2/models/b/infer", json={"inputs": [pixels]}).status_code == 200
    assert [(row["verb"], row["model"]) for row in rows(audited)] == [("infer", "b")] * 2


def test_the_row_names_the_key_that_asked(tmp_path: Path):
    keys = tmp_path / "keys.toml"
    header = key_in(keys, "admin", admin=True)
    url = f"sqlite:///{tmp_path}/audit.sqlite"
    settings = Settings(
        models=write_model(tmp_path), own_models=False, audit_url=url, api_keys_file=keys
    )
    with serving(create_app(settings)) as client:
        client.headers.update(header)
        client.post("/v1/predict", content=FILM)
        assert [row["key_id"] for row in rows(client)] == ["admin"]


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain", "/v1/explain?model=all"])
def test_without_a_row_there_is_no_answer(audited: httpx.Client, monkeypatch, path: str):
    def full(*_: object) -> None:
        raise AuditUnavailable("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(AuditTrail, "write", full)
        answer = audited.post(path, content=FILM)
        assert (answer.status_code, answer.json()["title"]) == (503, "Audit unavailable")
        assert answer.headers["retry-after"] == "10"
        assert "probabilit" not in answer.text
        [line] = audited.post("/v1/batch", files={"file": FILM}).text.splitlines()
        assert '"status":503' in line
    assert audited.post(path, content=FILM).status_code == 200


class HangingDatabase:
    """A database that answers nothing until it is let go."""

    def __init__(self) -> None:
        self.let_go = Event()

    def rows(self, _: AuditQuery) -> list[KeptRow]:
        self.let_go.wait(60)
        return []

    def close(self) -> None:
        pass


def test_a_database_that_hangs_holds_no_thread_that_other_answers_need(
    model_file: Path, monkeypatch
):
    monkeypatch.setattr("service.audit.trail.LONGEST_WAIT_SECONDS", 0.5)
    database = HangingDatabase()
    settings = Settings(models=model_file, own_models=False)
    trail = AuditTrail(database, None)
    with (
        serving(create_app(settings, audit_trail=trail)) as client,
        ThreadPoolExecutor(THREADS_OF_ROUTES) as askers,
    ):
        try:
            asked = [askers.submit(client.get, "/v1/audit") for _ in range(THREADS_OF_ROUTES)]
            time.sleep(0.2)
            assert client.get("/metrics", timeout=20).status_code == 200
            problems = [one.result() for one in asked]
            assert {problem.status_code for problem in problems} == {503}
            assert "takes too long" in problems[0].json()["detail"]
        finally:
            database.let_go.set()


def test_a_server_without_a_trail_says_so(client: httpx.Client):
    answer = client.get("/v1/audit")
    assert (answer.status_code, answer.json()["title"]) == (404, "Audit off")
