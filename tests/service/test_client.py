"""The client, against a real server and against servers that misbehave."""

import doctest
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

import cxr_client
from cxr_client import Client, Problem
from cxr_client.answers import Prediction
from service.app import create_app
from service.settings import Settings
from tests.support.running_server import serving
from tests.support.tiny_model import FILM, REFUSED_FILM, quadrants, write_model

ROOT = Path(__file__).parents[2]
SOURCES = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'clients' / 'python'}"}


@pytest.fixture(scope="module")
def server(client: httpx.Client) -> Iterator[Client]:
    with Client(str(client.base_url)) as server:
        yield server


def answering(*answers: httpx.Response, asked: list[httpx.Request] | None = None) -> Client:
    """Return a client whose server gives these answers, one after the other."""
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        if asked is not None:
            asked.append(request)
        return left.pop(0)

    return Client("http://server", transport=httpx.MockTransport(answer))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    return waits


def busy(retry_after: str = "2", status: int = 503) -> httpx.Response:
    return httpx.Response(status, headers={"Retry-After": retry_after}, json={})


def test_a_prediction_is_what_the_server_says(server: Client, client: httpx.Client):
    said = client.post("/v1/predict", content=FILM).json()
    assert server.predict(FILM) == Prediction.model_validate(said)


def test_a_film_may_be_bytes_or_a_path(server: Client, tmp_path: Path):
    path = tmp_path / "film.png"
    path.write_bytes(FILM)
    assert server.predict(FILM) == server.predict(path) == server.predict(str(path))


def test_a_part_of_a_film_can_be_masked(server: Client):
    masked = server.predict(FILM, model="tiny", mask=(0, 0, 24.5, 1e6))
    assert masked.mask == (0, 0, 25, 32)
    assert masked.findings != server.predict(FILM).findings
    assert server.predict(FILM).mask is None


def test_a_film_comes_as_its_pixels_and_what_they_mean(server: Client):
    facts, pixels = server.film(FILM)
    assert (facts.rows, facts.columns, facts.format, facts.slope) == (32, 48, "png", 1)
    values = np.frombuffer(pixels, "<u2").reshape(facts.rows, facts.columns)
    assert np.array_equal(values, quadrants([0.8, 0.2, 0.2, 0.4]))


def test_an_explanation_of_a_refused_film_must_be_forced(server: Client):
    maps = [server.explain(REFUSED_FILM, force=force).findings[1] for force in (False, True)]
    assert maps[0].explanation.evidence is None
    assert maps[1].explanation.evidence is not None


def test_an_overlay_is_a_png(server: Client):
    assert server.overlay(FILM, class_name="pneumonia").startswith(b"\x89PNG")
    assert server.overlay(FILM, outline=True).startswith(b"\x89PNG")


def test_the_models_are_listed_and_shown(server: Client):
    [summary] = server.models()
    assert server.model(summary.name).sha256 == summary.sha256


def test_all_models_are_compared(tmp_path: Path):
    for name in ("first", "second"):
        write_model(tmp_path, name=name)
    app = create_app(Settings(models=tmp_path, own_models=False))
    with serving(app) as address, Client(str(address.base_url)) as server:
        models = server.compare(FILM).models
    assert [one.model.name for one in models] == ["first", "second"]


@pytest.mark.parametrize(
    ("ask", "status", "title"),
    [
        (lambda server: server.predict(b"no film"), 415, "Not an image"),
        (lambda server: server.film(b"no film"), 415, "Not an image"),
        (lambda server: server.predict(FILM, mask=(9, 0, 8, 8)), 422, "Malformed mask"),
        (lambda server: server.explain(FILM, model="huge"), 404, "Unknown model"),
        (lambda server: server.overlay(FILM, class_name="hernia"), 422, "Unknown class"),
        (lambda server: server.overlay(REFUSED_FILM), 409, "Film refused"),
        (lambda server: server.model("../predict"), 404, "Not Found"),
    ],
)
def test_a_problem_is_raised(server: Client, ask: Callable[[Client], object], status, title):
    with pytest.raises(Problem) as problem:
        ask(server)
    assert (problem.value.status, problem.value.title) == (status, title)
    assert problem.value.detail in str(problem.value)


def test_an_error_of_a_proxy_is_a_problem_too():
    server = answering(httpx.Response(502, text="<h1>Bad Gateway</h1>"))
    with pytest.raises(Problem, match="502 Bad Gateway") as problem:
        server.models()
    assert problem.value.type == "about:blank"


def test_a_server_is_ready_or_not(server: Client):
    assert server.ready()
    assert not answering(httpx.Response(503)).ready()
    with Client("http://127.0.0.1:9") as nobody:
        assert not nobody.ready()


def test_a_busy_server_is_asked_again_when_it_says(waits):
    with answering(busy("2"), busy("1", 429), httpx.Response(200, json={"models": []})) as server:
        assert server.models() == []
    assert waits == [2, 1]


def test_no_wait_is_longer_than_allowed(waits):
    with answering(busy("3600"), httpx.Response(200, json={"models": []})) as server:
        server.models()
    assert waits == [30]


def test_a_server_that_stays_busy_is_a_problem_in_the_end(waits):
    with answering(*[busy()] * 4) as server, pytest.raises(Problem, match="503"):
        server.models()
    assert len(waits) == 3


@pytest.mark.parametrize(
    "answer", [httpx.Response(503), busy("Fri, 31 Dec 1999"), busy(status=500)]
)
def test_nothing_is_asked_again_unless_the_server_says_when(waits, answer):
    with answering(answer) as server, pytest.raises(Problem):
        server.models()
    assert waits == []


def test_the_key_is_sent_and_the_files_name_is_not(tmp_path: Path):
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(503)

    path = tmp_path / "Jane_Doe.png"
    path.write_bytes(FILM)
    transport = httpx.MockTransport(answer)
    with Client("http://server", key="secret", transport=transport) as server:
        for ask in (
            server.predict,
            server.film,
            server.overlay,
            lambda film: list(server.batch([film])),
        ):
            with pytest.raises(Problem):
                ask(path)
    for request in asked:
        assert request.headers["authorization"] == "Bearer secret"
        assert b"Jane_Doe" not in request.read() + str(request.headers.raw).encode()


def lines(*outcomes: dict) -> httpx.Response:
    text = "".join(json.dumps({"index": i} | one) + "\n" for i, one in enumerate(outcomes))
    return httpx.Response(200, text=text, headers={"Content-Type": "application/x-ndjson"})


def good(server: httpx.Client) -> dict:
    return {"status": 200, "answer": server.post("/v1/predict", content=FILM).json()}


def test_a_batch_of_films_is_answered_in_order(server: Client):
    first, second, third = server.batch([FILM, b"no film", REFUSED_FILM], model="tiny")
    assert first == server.predict(FILM)
    assert isinstance(second, Problem)
    assert second.title == "Not an image"
    assert third == server.predict(REFUSED_FILM)


def test_a_batch_is_one_form_of_files_without_names(client: httpx.Client, tmp_path: Path):
    asked: list[httpx.Request] = []
    path = tmp_path / "Jane_Doe.png"
    path.write_bytes(FILM)
    with answering(lines(good(client), good(client)), asked=asked) as server:
        list(server.batch([FILM, path], model="tiny"))
    assert asked[0].url.params["model"] == "tiny"
    assert asked[0].content.count(b'name="file"') == 2
    assert b"Jane_Doe" not in asked[0].content


def test_a_batch_that_ends_too_soon_is_no_success(client: httpx.Client):
    with answering(lines(good(client))) as server:
        outcomes = server.batch([FILM, FILM])
        next(outcomes)
        with pytest.raises(ConnectionError, match="after 1 of 2 films"):
            next(outcomes)


def test_a_batch_that_is_not_taken_is_a_problem(waits):
    server = answering(busy(), httpx.Response(413, json={}))
    with pytest.raises(Problem, match="413"):
        list(server.batch([FILM]))
    assert waits == [2]


def test_the_client_loads_nothing_of_the_server():
    script = "import sys, cxr_client, service.client; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | SOURCES,
    )
    loaded = {*done.stdout.split()}
    assert not {"fastapi", "starlette", "onnxruntime", "pydicom", "uvicorn", "numpy"} & loaded
    assert {name for name in loaded if name.split(".")[0] in ("models", "xai", "service")} == {
        "service",
        "service.client",
    }


def test_a_missing_httpx_is_named_with_the_extra_that_brings_it():
    script = "import sys; sys.modules['httpx'] = None; import service.client"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ | SOURCES
    )
    assert done.stderr.endswith("service.client needs httpx: pip install '.[client]'\n")


def test_the_example_in_its_documentation_runs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    text = cxr_client.__doc__ or ""
    with serving(create_app(Settings())) as address:
        text = text.replace("http://127.0.0.1:8000", str(address.base_url))
        example = doctest.DocTestParser().get_doctest(text, {}, "client", None, None)
        assert len(example.examples) == 3
        assert doctest.DocTestRunner().run(example).failed == 0
