"""Tests of the page and of /docs behind a proxy that takes a prefix off the path."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, expect

from service.app import create_app
from service.settings import Settings
from tests.browser.films import bright_square
from tests.browser.reader import Reader, reading
from tests.support.running_server import serving
from tests.support.stripping_proxy import stripping_proxy
from tests.support.tiny_model import write_model

pytestmark = pytest.mark.browser


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
