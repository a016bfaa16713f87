"""A server behind proxies: a prefix that they hide, and whom of them it believes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from tests.support.running_server import serving
from tests.support.tiny_model import FILM

NAMES = "cxr.example"
PREFIX = {"x-forwarded-prefix": "/ward/"}


def server(model_file: Path, **settings: Any) -> Any:
    return serving(create_app(Settings(models=model_file, own_models=False, **settings)))


@pytest.fixture(scope="module")
def trusting(model_file: Path) -> Iterator[httpx.Client]:
    """A server that believes a proxy on this machine."""
    proxies = "192.0.2.0/24, 127.0.0.1"
    settings = {"trusted_proxies": proxies, "allowed_hosts": NAMES, "root_path": "/cxr/"}
    with server(model_file, **settings) as client:
        yield client


def servers_shown(client: httpx.Client, **headers: str) -> list[str]:
    document = client.get("/openapi.json", headers=headers).json()
    return [one["url"] for one in document.get("servers", []) if one["url"] != "/"]


def test_the_interface_is_described_at_the_prefix(trusting: httpx.Client, client: httpx.Client):
    assert servers_shown(trusting) == ["/cxr"]
    assert servers_shown(trusting, **PREFIX) == ["/ward"]
    assert servers_shown(client) == []


@pytest.mark.parametrize("prefix", ["//elsewhere.example", "http://elsewhere.example", "ward", ""])
def test_a_prefix_is_a_path(trusting: httpx.Client, prefix: str):
    assert servers_shown(trusting, **{"x-forwarded-prefix": prefix}) == ["/cxr"]


def test_nobody_else_is_believed(client: httpx.Client):
    assert servers_shown(client, **PREFIX) == []
    host = {"x-forwarded-host": "rebound.example"}
    assert client.get("/v1/models", headers=host).status_code == 200  # it is not even read


@pytest.mark.parametrize("prefix", ["", "/cxr"])
def test_a_proxy_may_take_the_prefix_away_or_leave_it(trusting: httpx.Client, prefix: str):
    for path in ("/", "/main.js", "/docs", "/docs/swagger/swagger-ui.css", "/v1/models", "/v2"):
        assert trusting.get(prefix + path).status_code == 200, path
    assert trusting.get(f"{prefix}/v1/models").headers["cache-control"] == "no-store"
    assert trusting.get(f"{prefix}/v1/models/").headers["location"] == "../models"
    assert "error" in trusting.get(f"{prefix}/v2/models/huge").json()


def test_the_host_that_a_proxy_was_asked_by_must_be_one_of_the_servers(trusting: httpx.Client):
    def status(**headers: str) -> int:
        return trusting.get("/v1/models", headers=headers).status_code

    assert status(**{"x-forwarded-host": "cxr.example"}) == 200
    assert status(**{"x-forwarded-host": "cxr.example, 127.0.0.1"}) == 200
    assert status(**{"x-forwarded-host": "rebound.example"}) == 421
    assert status(**{"host": "rebound.example", "x-forwarded-host": "cxr.example"}) == 421


def test_a_page_under_that_host_may_send_films(trusting: httpx.Client):
    headers = {"origin": "https://cxr.example", "x-forwarded-host": "cxr.example"}
    assert trusting.post("/v1/predict", content=FILM, headers=headers).status_code == 200
    del headers["x-forwarded-host"]
    assert trusting.post("/v1/predict", content=FILM, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "setting",
    [{"root_path": "cxr"}, {"root_path": "//x"}, {"trusted_proxies": "proxy.example"}],
)
def test_a_setting_that_is_no_path_and_no_address_is_refused(setting: dict[str, str]):
    with pytest.raises(ValueError, match=next(iter(setting))):
        Settings(**setting)
