import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from tests.support.api_keys import key_in
from tests.support.running_server import serving
from tests.support.tiny_model import FILM

READ = ("/", "/main.js", "/docs", "/openapi.json", "/metrics", "/v1/models", "/v1/audit", "/v2")
RELOAD = "/v1/models/tiny/reload"
ELSEWHERE = {"origin": "http://elsewhere.example"}


@pytest.fixture(scope="module")
def named(model_file: Path) -> Iterator[httpx.Client]:
    """A server that anyone may ask, under a name and an address besides its own."""
    names = "cxr.example, [FD00::7]"
    settings = Settings(models=model_file, own_models=False, auth=False, allowed_hosts=names)
    with serving(create_app(settings)) as client:
        yield client


@pytest.mark.parametrize("path", READ)
def test_a_server_without_keys_answers_nothing_under_another_name(client: httpx.Client, path: str):
    problem = client.get(path, headers={"host": "rebound.example"})
    assert (problem.status_code, problem.json()["title"]) == (421, "Unknown host")
    assert "rebound" not in problem.text
    assert problem.headers["x-content-type-options"] == "nosniff"


def test_it_reads_no_film_under_another_name(client: httpx.Client):
    headers = {"host": "rebound.example"}
    assert client.post("/v1/predict", content=FILM, headers=headers).status_code == 421


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:81", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.9.9.9"]
)
def test_it_answers_under_the_names_of_loopback(client: httpx.Client, host: str):
    assert client.get("/v1/models", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "10.0.0.7",
        "localhost.example",
        "localhost@rebound.example",
        "rebound.example:localhost",
        "127.0.0.1, rebound.example",
        "127.0.0.1.rebound.example",
        "[rebound]",
        "localhost:",
        "cxr.example",
    ],
)
def test_what_only_looks_like_them_is_another_name(client: httpx.Client, host: str):
    assert client.get("/v1/models", headers={"host": host}).status_code == 421


def test_of_two_names_both_must_be_its_own(client: httpx.Client):
    head = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: rebound.example\r\n\r\n"
    address = (client.base_url.host, client.base_url.port or 0)
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize("host", ["cxr.example", "CXR.example:443", "[fd00::7]:80", "localhost"])
def test_an_operator_can_give_it_further_names(named: httpx.Client, host: str):
    assert named.get("/v1/models", headers={"host": host}).status_code == 200
    assert named.get("/v1/models", headers={"host": "other.example"}).status_code == 421


def test_it_answers_at_the_address_of_the_connection(model_file: Path):
    """As a container's health check, or a probe, asks it."""
    settings = Settings(models=model_file, own_models=False, host="0.0.0.0", auth=False)
    with serving(create_app(settings), host="127.0.0.2") as client:
        assert client.base_url.host == "127.0.0.2"
        assert client.get("/health/ready").status_code == 200
        for host, status in {"0.0.0.0:8000": 200, "127.0.0.2": 200, "10.0.0.7": 421}.items():
            assert client.get("/v1/models", headers={"host": host}).status_code == status


@pytest.mark.parametrize("name", ["http://cxr.example", "cxr.example:8000", "*", "a/b", "::1"])
def test_a_name_is_a_name_only(name: str):
    with pytest.raises(ValueError, match="allowed_hosts"):
        Settings(allowed_hosts=name)


@pytest.mark.parametrize(
    "headers",
    [
        ELSEWHERE,
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        ELSEWHERE | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/predict", "/v1/batch", "/v2/models/tiny/infer", RELOAD])
def test_a_page_of_another_origin_can_send_nothing(client: httpx.Client, path, headers):
    problem = client.post(path, content=FILM, headers=headers)
    assert (problem.status_code, problem.json()["title"]) == (403, "Cross site")


def test_it_may_be_linked_to(client: httpx.Client):
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=link).status_code == 200


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_its_own_page_and_its_reader_may_send_films(client: httpx.Client, site: str):
    headers = {"origin": str(client.base_url).rstrip("/"), "sec-fetch-site": site}
    assert client.post("/v1/predict", content=FILM, headers=headers).status_code == 200
    del headers["sec-fetch-site"]  # an older browser, or one without TLS
    assert client.post("/v1/predict", content=FILM, headers=headers).status_code == 200


def test_a_server_that_asks_for_keys_answers_under_any_name(model_file: Path, tmp_path: Path):
    file = tmp_path / "keys.toml"
    ward = key_in(file, "ward") | {"host": "cxr.example"} | ELSEWHERE
    settings = Settings(models=model_file, own_models=False, api_keys_file=file)
    with serving(create_app(settings)) as client:
        assert client.post("/v1/predict", content=FILM, headers=ward).status_code == 200
