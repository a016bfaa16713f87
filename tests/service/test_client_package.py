"""The client is a package of its own, and knows all that the server's OpenAPI document says."""

import asyncio
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

import cxr_client
import service.client
from cxr_client import AsyncClient, Client, Problem, ProblemBody
from cxr_client import answers as answers_read
from cxr_client.problem_kinds import FilmRefused, NotAnImage
from service.app import create_app
from service.settings import Settings
from tests.support import client_source
from tests.support.running_server import serving
from tests.support.tiny_ensemble import write_ensemble
from tests.support.tiny_model import FILM, REFUSED_FILM

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "clients" / "python"
DOCUMENT = create_app(Settings(auth=False)).openapi()
PROJECT = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
WHOLE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("models")
    write_ensemble(folder)
    with serving(create_app(Settings(models=folder, own_models=False))) as server:
        yield str(server.base_url)


def problems_shown() -> Iterator[dict]:
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            for answer in operation["responses"].values():
                for body in answer.get("content", {}).values():
                    yield from (one["value"] for one in body.get("examples", {}).values())


def test_its_answers_and_problems_are_those_of_the_openapi_document() -> None:
    """`python -m tests.support.client_source` writes them anew after a change that is meant."""
    for name in ("answers", "problem_kinds"):
        written = (client_source.CLIENT / f"{name}.py").read_text()
        assert written == getattr(client_source, name)()


@pytest.mark.parametrize("name", sorted(set(client_source.READ) - {"FilmPixels"}))
def test_it_reads_every_example_whole(name: str) -> None:
    examples = DOCUMENT["components"]["schemas"][name]["examples"]
    for example in examples:
        read = getattr(answers_read, name).model_validate(example)
        assert read.model_dump(mode="json", exclude_unset=True) == example


def test_each_kind_of_problem_in_the_document_is_a_class() -> None:
    shown = [one for one in problems_shown() if one["type"] != "about:blank"]
    assert len(shown) > 50
    for example in shown:
        problem = ProblemBody.model_validate(example).problem()
        assert type(problem).__name__ == example["title"].title().replace(" ", "")


def test_a_kind_that_a_newer_server_adds_is_a_problem() -> None:
    body = ProblemBody(type="urn:problem-type:chest-xray-explainer:new", title="New", status=400)
    assert type(body.problem()) is Problem


def test_a_word_or_a_field_that_a_newer_server_adds_is_no_fault() -> None:
    example = DOCUMENT["components"]["schemas"]["ExplainedPrediction"]["examples"][0]
    newer = example | {"refusals": ["newer"], "newer": 1}
    assert answers_read.ExplainedPrediction.model_validate(newer).refusals == ["newer"]


def test_a_problem_says_by_what_id_the_server_knows_the_request(address: str) -> None:
    with Client(address) as client, pytest.raises(NotAnImage) as caught:
        client.predict(b"no film")
    assert re.fullmatch("[0-9a-f-]{32,36}", caught.value.request_id)
    assert caught.value.request_id in str(caught.value)


@pytest.mark.parametrize(("member", "header", "known"), [("b", "h", "b"), (None, "h", "h")])
def test_the_id_is_the_bodys_or_else_the_headers(member: str | None, header: str, known: str):
    body = {"title": "Busy", "status": 503} | ({"request_id": member} if member else {})
    answer = httpx.Response(503, json=body, headers={"X-Request-ID": header})
    transport = httpx.MockTransport(lambda _: answer)
    with Client("http://server", transport=transport) as client, pytest.raises(Problem) as caught:
        client.models()
    assert caught.value.request_id == known


def test_a_problem_on_a_line_of_a_batch_has_the_batchs_id(address: str) -> None:
    with Client(address) as client:
        [problem] = client.batch([b"no film"])
    assert isinstance(problem, NotAnImage)
    assert problem.request_id


ASKED: list[Callable] = [
    lambda client: client.predict(FILM),
    lambda client: client.predict(FILM, model="ensemble", mask=(0, 0, 24.5, 1e6)),
    lambda client: client.film(FILM),
    lambda client: client.explain(REFUSED_FILM, force=True, class_name="normal"),
    lambda client: client.compare(FILM),
    lambda client: client.overlay(FILM, class_name="pneumonia"),
    lambda client: client.models(),
    lambda client: client.ensemble(),
    lambda client: client.model("one"),
    lambda client: client.ready(),
]


@pytest.mark.parametrize("ask", ASKED)
def test_the_async_client_answers_as_the_other_does(address: str, ask: Callable) -> None:
    async def answered() -> object:
        async with AsyncClient(address) as client:
            return await ask(client)

    with Client(address) as client:
        assert asyncio.run(answered()) == ask(client)


def test_the_async_clients_batch_and_problems_are_the_same(address: str, tmp_path: Path) -> None:
    (tmp_path / "film.png").write_bytes(FILM)

    async def answered() -> list:
        async with AsyncClient(address) as client:
            with pytest.raises(FilmRefused):
                await client.overlay(REFUSED_FILM)
            return [one async for one in client.batch([tmp_path / "film.png", b"no film"])]

    answer, problem = asyncio.run(answered())
    with Client(address) as client:
        assert answer == client.predict(FILM)
    assert isinstance(problem, NotAnImage)


def test_the_async_client_asks_a_busy_server_again(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("cxr_client.async_client.sleep", sleep)
    busy = [httpx.Response(503, headers={"Retry-After": wait}, json={}) for wait in ("2", "60")]
    left = [*busy, httpx.Response(200, json={"models": []}), httpx.Response(503, json={})]

    async def asked() -> None:
        transport = httpx.MockTransport(lambda _: left.pop(0))
        async with AsyncClient("http://server", key="secret", transport=transport) as client:
            assert await client.models() == []
            assert not await client.ready()

    asyncio.run(asked())
    assert waits == [2, 30]


def test_both_clients_have_the_same_methods() -> None:
    methods = [
        {name for name in dir(kind) if not name.startswith("_")} for kind in (Client, AsyncClient)
    ]
    assert methods[0] == methods[1]


def test_its_old_name_is_the_same_client() -> None:
    assert service.client.Client is cxr_client.Client
    assert service.client.Problem is cxr_client.Problem
    assert "cxr_client" in (service.client.__doc__ or "")


def test_it_needs_httpx_and_pydantic_alone_in_the_servers_version_and_versions() -> None:
    assert PROJECT["version"] == WHOLE["version"]
    offered = [*WHOLE["dependencies"], *WHOLE["optional-dependencies"]["client"]]
    assert PROJECT["dependencies"] == ["httpx>=0.28", "pydantic>=2.10"]
    assert set(PROJECT["dependencies"]) <= set(offered)


@pytest.mark.parametrize("root", [ROOT, PACKAGE], ids=["whole", "alone"])
def test_both_wheels_have_it_at_the_top(root: Path) -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel")
    files = {
        file.distribution_path for file in wheel.WheelBuilder(str(root)).recurse_included_files()
    }
    sources = {f"cxr_client/{file.name}" for file in (PACKAGE / "cxr_client").glob("*.py")}
    assert sources | {"cxr_client/py.typed"} <= files
    assert not any(file.startswith("clients/") for file in files)


def test_the_examples_in_its_readme_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (PACKAGE / "README.md").read_text()
    monkeypatch.chdir(ROOT)
    with serving(create_app(Settings())) as server:
        text = text.replace("http://127.0.0.1:8000", str(server.base_url).rstrip("/"))
        for example in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert re.fullmatch(r"\w+\nNot an image: .*\n\['\w+', '\w+'\]\n", printed)
