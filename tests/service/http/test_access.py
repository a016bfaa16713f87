import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request

import cxr
from service.app import create_app
from service.http.access import Gate, Key, access_rule, open_gate
from service.http.keys import KeyRing
from service.settings import Settings
from tests.support.api_keys import key_in, new_token
from tests.support.running_server import serving
from tests.support.tiny_model import FILM

OPEN = (
    "/",
    "/main.js",
    "/docs",
    "/openapi.json",
    "/version",
    "/health/live",
    "/health/ready",
    "/v2/health/ready",
)
RELOAD = "/v1/models/tiny/reload"
GUARDED = (
    "/v1/models",
    "/v1/models/tiny",
    "/v1/colour-map",
    "/v1/colour-maps",
    "/v2",
    "/v2/models/tiny",
    "/metrics",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


@pytest.fixture
def ward(file: Path) -> dict[str, str]:
    return key_in(file, "ward")


def app_with(model_file: Path, **settings: Any) -> FastAPI:
    """Return a server with a route that says whose key it was sent."""
    app = create_app(Settings(models=model_file, own_models=False, **settings))
    routes = APIRouter()

    @routes.get("/v1/whose")
    async def whose(request: Request, key: Key) -> list[str | None]:
        return [key.id if key else None, request.state.key_id]

    app.include_router(routes, dependencies=app.state.gate.dependencies(), include_in_schema=False)
    return app


@pytest.fixture
def guarded(model_file: Path, file: Path, ward: dict[str, str]) -> Iterator[httpx.Client]:
    with serving(app_with(model_file, api_keys_file=file)) as client:
        yield client


@pytest.mark.parametrize("path", OPEN)
def test_page_documentation_and_health_need_no_key(guarded: httpx.Client, path: str):
    assert guarded.get(path).status_code == 200


@pytest.mark.parametrize("path", GUARDED)
def test_everything_else_needs_one(guarded: httpx.Client, ward: dict[str, str], path: str):
    problem = guarded.get(path)
    assert (problem.status_code, problem.json()["title"]) == (401, "Missing key")
    assert problem.headers["www-authenticate"] == "Bearer"
    assert problem.headers["content-type"] == "application/problem+json"
    assert guarded.get(path, headers=ward).status_code == 200


@pytest.mark.parametrize("verb", ["predict", "explain", "film"])
def test_a_film_is_read_for_a_key_only(guarded: httpx.Client, ward: dict[str, str], verb: str):
    accept = {"accept": "image/png" if verb == "film" else "*/*"}
    assert guarded.post(f"/v1/{verb}", content=FILM, headers=accept).status_code == 401
    assert guarded.post(f"/v1/{verb}", content=FILM, headers=accept | ward).status_code == 200


@pytest.mark.parametrize(
    ("sent", "title"),
    [
        ("", "Missing key"),
        ("Bearer", "Missing key"),
        ("Basic d2FyZDo=", "Missing key"),
        ("Bearer ward", "Unknown key"),
        (b"Bearer \xe9\xff", "Unknown key"),
    ],
)
def test_what_is_no_key_is_a_401_that_says_so(guarded: httpx.Client, sent: str, title: str):
    problem = guarded.get("/v1/models", headers={"authorization": sent})
    assert (problem.status_code, problem.json()["title"]) == (401, title)
    assert problem.headers["www-authenticate"] == "Bearer"


def test_whoever_has_no_key_hears_nothing_about_the_rest_of_the_request(guarded: httpx.Client):
    for path in ("/v1/explain?force=perhaps", "/v1/predict?model=huge", "/v1/models/huge"):
        method = "POST" if "?" in path else "GET"
        assert guarded.request(method, path).status_code == 401


@pytest.mark.parametrize(
    "path", ["/v1/predict", "/v1/batch", "/v2/models/tiny/infer", "/v1/models/tiny/reload"]
)
def test_a_request_without_key_is_answered_before_its_body_is_read(
    guarded: httpx.Client, path: str
):
    address = (guarded.base_url.host, guarded.base_url.port or 0)
    head = f"POST {path} HTTP/1.1\r\nHost: server\r\nContent-Length: 1000\r\n\r\n".encode()
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(head)  # and never a byte of the body
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


def test_only_an_admins_key_reloads_a_model(
    guarded: httpx.Client, file: Path, ward: dict[str, str]
):
    boss = key_in(file, "boss", admin=True)
    problem = guarded.post(RELOAD, headers=ward)
    assert (problem.status_code, problem.json()["title"]) == (403, "Not allowed")
    assert guarded.post(RELOAD).status_code == 401
    assert guarded.post(RELOAD, headers=boss).status_code == 200


def test_only_an_admins_key_reads_the_audit_trail(
    guarded: httpx.Client, file: Path, ward: dict[str, str]
):
    boss = key_in(file, "boss", admin=True)
    assert guarded.get("/v1/audit").status_code == 401
    assert guarded.get("/v1/audit", headers=ward).status_code == 403
    assert guarded.get("/v1/audit", headers=boss).json()["title"] == "Audit off"


def test_a_handler_can_tell_whose_key_it_was(guarded: httpx.Client, ward: dict[str, str]):
    assert guarded.get("/v1/whose", headers=ward).json() == ["ward", "ward"]


def test_where_no_key_is_asked_for_all_may_ask_and_nobody_is_named(model_file: Path):
    with serving(app_with(model_file)) as client:
        assert client.get("/v1/whose").json() == [None, None]
        assert client.post(RELOAD).status_code == 200
        unknown = {"authorization": "Bearer unknown"}
        assert client.get("/v1/models", headers=unknown).status_code == 200


def test_a_key_too_fast_is_a_429_that_says_when_to_come_back(model_file: Path, file: Path):
    slow, other = key_in(file, "slow", rate=2), key_in(file, "other", rate=2)
    now = 1000.0
    app = app_with(model_file, api_keys_file=file)
    app.state.gate = Gate(KeyRing(file), clock=lambda: now)
    with serving(app) as client:
        statuses = [client.get("/v1/models", headers=slow).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        problem = client.get("/v1/models", headers=slow)
        assert problem.headers["retry-after"] == "30"
        assert problem.json()["detail"].endswith("limited to 2; ask again in 30 s.")
        assert client.get("/v1/models", headers=other).status_code == 200
        now += 29
        assert client.get("/v1/models", headers=slow).headers["retry-after"] == "1"
        now += 1
        assert client.get("/v1/models", headers=slow).status_code == 200
        assert client.get("/v1/models", headers=slow).status_code == 429


def test_what_a_key_did_not_ask_for_is_kept_no_longer_than_a_minute(file: Path):
    token = new_token(file, "slow", rate=3)
    now = 0.0
    gate = Gate(KeyRing(file), clock=lambda: now)
    gate.admit(token)
    now = 3600
    for _ in range(3):
        gate.admit(token)
    with pytest.raises(Exception, match="ask again in 20 s"):
        gate.admit(token)


def test_an_admins_request_counts_once(guarded: httpx.Client, file: Path):
    boss = key_in(file, "boss", admin=True, rate=2)
    statuses = [guarded.post(RELOAD, headers=boss).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


def test_a_key_is_revoked_and_another_let_in_without_a_restart(
    guarded: httpx.Client, file: Path, ward: dict[str, str]
):
    assert guarded.get("/v1/models", headers=ward).status_code == 200
    file.write_text("# nobody\n")
    assert guarded.get("/v1/models", headers=ward).json()["title"] == "Unknown key"
    new = key_in(file, "new")
    assert guarded.get("/v1/models", headers=new).status_code == 200


def test_a_file_that_takes_the_place_of_another_is_read_although_it_is_as_long_and_as_old(
    guarded: httpx.Client, file: Path, ward: dict[str, str]
):
    moved = file.with_name("moved.toml")
    moved.write_text(file.read_text().replace('"ward"', '"yard"'))
    os.utime(moved, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    moved.replace(file)
    assert guarded.get("/v1/whose", headers=ward).json() == ["yard", "yard"]


@pytest.mark.parametrize("fault", ["[[keys]", None])
def test_nobody_is_let_in_by_a_file_that_was_spoiled_until_it_is_mended(
    guarded: httpx.Client, file: Path, ward: dict[str, str], fault: str | None, caplog
):
    sound = file.read_text()
    if fault:
        file.write_text(fault)
    else:
        file.unlink()
    problem = guarded.get("/v1/models", headers=ward)
    assert (problem.status_code, problem.headers["retry-after"]) == (503, "1")
    assert str(file) in caplog.text
    assert str(file) not in problem.text
    file.write_text(sound)
    assert guarded.get("/v1/models", headers=ward).status_code == 200


def test_neither_log_nor_answer_repeats_a_key(guarded: httpx.Client, ward: dict[str, str], caplog):
    caplog.set_level("DEBUG")
    answers = [
        guarded.get("/v1/models", headers=headers).text
        for headers in (ward, {"authorization": "Bearer a-wrong-key"})
    ]
    text = caplog.text + "".join(answers)
    assert "a-wrong-key" not in text
    assert ward["authorization"].removeprefix("Bearer ") not in text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost", "LOCALHOST"])
def test_bound_to_this_machine_no_key_is_needed(host: str):
    assert access_rule(Settings(host=host)) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.7", "ward.example", "127.0.0.1.x"])
def test_bound_elsewhere_without_a_word_about_keys_the_start_is_refused_with_the_ways_out(host):
    with pytest.raises(ValueError, match="reached from other machines") as refused:
        access_rule(Settings(host=host))
    for way_out in ("cxr key ID --file keys.toml", "CXR_API_KEYS_FILE=keys.toml", "CXR_AUTH=off"):
        assert way_out in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("auth", [None, True])
def test_a_file_of_keys_is_asked_for_wherever_the_server_is_bound(file: Path, host: str, auth):
    assert access_rule(Settings(host=host, auth=auth, api_keys_file=file)) == file


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_without_a_file_keys_can_be_switched_off_but_not_on(host: str):
    assert access_rule(Settings(host=host, auth=False)) is None
    with pytest.raises(ValueError, match="CXR_AUTH=on needs a file of API keys: make a key with"):
        access_rule(Settings(host=host, auth=True))


def test_keys_that_are_switched_off_and_given_are_a_contradiction(file: Path):
    with pytest.raises(ValueError, match="CXR_AUTH=off contradicts CXR_API_KEYS_FILE"):
        access_rule(Settings(auth=False, api_keys_file=file))


def test_neither_command_nor_application_starts_against_the_rule(monkeypatch, capsys):
    monkeypatch.setenv("CXR_HOST", "0.0.0.0")
    monkeypatch.setattr("service.commands.serve.Registry", lambda _: pytest.fail("opened models"))
    assert cxr.main(["serve"]) == 1
    [sentence] = capsys.readouterr().err.splitlines()
    assert sentence.startswith("cxr serve: a server at host '0.0.0.0' can be reached")
    with pytest.raises(ValueError, match="can be reached from other machines"):
        create_app()


def test_a_server_does_not_start_with_a_file_of_keys_that_it_cannot_read(file: Path):
    with pytest.raises(FileNotFoundError):
        open_gate(Settings(api_keys_file=file))
    file.write_text("keys = 1")
    with pytest.raises(ValueError, match=f"{file}: keys: "):
        open_gate(Settings(api_keys_file=file))


def test_the_interface_says_which_routes_need_a_key(guarded: httpx.Client):
    document = guarded.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["ApiKey"]["scheme"] == "bearer"
    routes = {
        path: route for path, routes in document["paths"].items() for route in routes.values()
    }
    for path, route in routes.items():
        if "/health/" in path or path == "/version":
            assert "security" not in route, path
        else:
            assert route["security"] == [{"ApiKey": []}], path
            assert {"401", "429", "503"} <= set(route["responses"]), path
    admins = [path for path, route in routes.items() if "403" in route["responses"]]
    assert sorted(admins) == ["/v1/audit", "/v1/models/{name}/reload"]


def test_the_interface_of_a_server_that_asks_for_no_key_promises_none(client: httpx.Client):
    document = client.get("/openapi.json").json()
    assert "security" not in document["paths"]["/v1/predict"]["post"]
