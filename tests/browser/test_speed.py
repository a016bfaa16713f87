"""Tests of the page's speed: a frequent change takes less than a frame."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from benchmarks.viewer import CHANGES, MODEL, drawn_film, fresh_page, reading_page
from service.app import create_app
from service.settings import Settings
from tests.support.running_server import serving

pytestmark = pytest.mark.browser

ROUNDS = 9
TRIES = 12
"""The first that is fast enough counts: other programs may slow many of them."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Where a server listens with the default model, whose maps are as fine as they get."""
    with serving(create_app(Settings(models=MODEL, own_models=False))) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture(scope="module")
def page(browser: Browser, server: str) -> Iterator[Page]:
    """A page that times itself, with a film of 2000 x 2000 pixels."""
    with reading_page(browser, server, drawn_film()) as page:
        yield page


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_seen_changes_within_a_frame_on_a_large_film(page: Page, change: str) -> None:
    assert any(0 < CHANGES[change](page, ROUNDS) < 16 for _ in range(TRIES))


def test_the_page_is_painted_within_a_second(browser: Browser, server: str) -> None:
    assert any(0 < fresh_page(browser, server)[0] < 1000 for _ in range(TRIES))
