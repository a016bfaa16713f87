"""Tests of the page and of /docs behind a proxy that takes a prefix off the path."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Route, expect

from service.app import create_app
from service.settings import Settings
from tests.browser.films import bright_square
from tests.browser.reader import Reader, reading
from tests.support.running_server import serving
from tests.support.stripping_proxy import stripping_proxy
from tests.support.tiny_model import write_model

pytestmark = pytest.mark.browser

PATIENCE_MILLISECONDS = 120_000
"""For Swagger's page, which a busy machine takes most of a minute to build."""


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the page is, behind a proxy."""
    model = write_model(tmp_path_factory.mktemp("models"))
    settings = Settings(models=model, own_models=False, root_path="/ward/cxr")
    with (
        serving(create_app(settings)) as server,
        serving(stripping_proxy(server.base_url, "/ward/cxr", {})) as proxy,
    ):
        yield f"{proxy.base_url}/ward/cxr"


@pytest.fixture
def reader(browser: Browser, prefixed: str) -> Iterator[Reader]:
    with reading(browser, f"{prefixed}/") as reader:
        yield reader
        assert reader.faults == []
        own = (f"{prefixed}/", f"blob:{httpx.URL(prefixed).copy_with(path='/')}", "data:")
        assert [url for url in reader.requests if not url.startswith(own)] == []


def test_a_film_is_read_behind_a_proxy(reader: Reader) -> None:
    reader.opens(bright_square())
    expect(reader.finding("pneumonia")).to_be_visible()


def only_models(route: Route) -> None:
    """Leave one path in the interface's document; Swagger takes seconds for all of them."""
    document = route.fetch().json()
    paths = {"/v1/models": document["paths"]["/v1/models"]}
    route.fulfill(json=document | {"paths": paths, "components": {}})


def test_the_interfaces_page_asks_through_the_proxy(browser: Browser, prefixed: str) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MILLISECONDS)
        page.route("**/openapi.json", only_models)
        page.goto(f"{prefixed}/docs#/models/models")
        page.locator(".try-out__btn").click()
        with page.expect_response(f"{prefixed}/v1/models") as answer:
            page.locator(".execute").click()
        assert answer.value.status == 200
        expect(page.locator(".live-responses-table")).to_contain_text("tiny")
