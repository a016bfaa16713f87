"""Real Chromium in front of a real server with the tiny model."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from service.app import create_app
from service.settings import Settings
from tests.browser.films import THREE_MODELS
from tests.browser.reader import Reader, reading
from tests.support.running_server import serving
from tests.support.tiny_model import write_model

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
REFUSED = "Failed to load resource: the server responded with a status of 4"
"""Chromium reports every 4xx answer like this; tests of such answers expect it."""

CHROMIUM = ("chromium-headless-shell", "chromium")
"""The first that is installed is driven: without windows, a page costs half as much CPU time."""

RUNNING = pytest.StashKey[Browser]()


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Browser:
    """Start Chromium for the first file of this folder, and keep it for those that follow.

    It ends with the folder, not with the session: Playwright keeps an event loop running in its
    thread, in which later tests could not start theirs. `pytest_collection_modifyitems` puts the
    folder's files next to each other.
    """
    folder = request.node.parent
    if RUNNING not in folder.stash:
        stack = ExitStack()
        folder.stash[RUNNING] = stack.enter_context(_chromium())
        stack.callback(folder.stash.__delitem__, RUNNING)
        folder.addfinalizer(stack.close)
    return folder.stash[RUNNING]


@contextmanager
def _chromium() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        missing = "Chromium is not installed (Debian: apt-get install chromium-headless-shell)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a server with the tiny model listens."""
    model = write_model(tmp_path_factory.mktemp("models"))
    with serving(create_app(Settings(models=model, own_models=False))) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture(scope="session")
def address_of_three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a server with three tiny models listens; see `tests.browser.films.THREE_MODELS`."""
    folder = tmp_path_factory.mktemp("three")
    for changes in THREE_MODELS:
        write_model(folder, **changes)
    with serving(create_app(Settings(models=folder, own_models=False))) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture
def comparer(browser: Browser, address_of_three: str) -> Iterator[Reader]:
    """A person at the page of a server with three models."""
    yield from _undisturbed(browser, address_of_three)


@pytest.fixture
def reader(browser: Browser, address: str) -> Iterator[Reader]:
    """A person at the page, who meets no console error and no other host."""
    yield from _undisturbed(browser, address)


@pytest.fixture(scope="module")
def shared_reader(browser: Browser, address: str) -> Iterator[Reader]:
    """One page for a whole file, whose tests only call functions that leave the page as it is."""
    yield from _undisturbed(browser, address)


@pytest.fixture
def reader_of(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Reader]]:
    """Give a person at the page of a server whose tiny model has these changes in its card."""
    with ExitStack() as stack:

        def reader_of(**changes: Any) -> Reader:
            app = create_app(Settings(models=write_model(tmp_path, **changes), own_models=False))
            client = stack.enter_context(serving(app))
            return stack.enter_context(reading(browser, str(client.base_url).rstrip("/")))

        yield reader_of


def _undisturbed(browser: Browser, address: str) -> Iterator[Reader]:
    with reading(browser, address) as reader:
        yield reader
        assert [fault for fault in reader.faults if not fault.startswith(REFUSED)] == []
        own = (f"{address}/", f"blob:{address}/")  # a blob is the page's own memory
        assert [url for url in reader.requests if not url.startswith(own)] == []
