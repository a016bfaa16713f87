"""Tests of pages of other sites, which ask a server without API keys from a reader's browser."""

from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.sync_api import Browser, Page

from service.app import create_app
from service.settings import Settings
from tests.support.running_server import serving
from tests.support.tiny_model import write_model

pytestmark = pytest.mark.browser

SENT = """
async ([address, path]) => {
  const body = new FormData();
  body.append("file", new Blob(["a film"]), "film");
  const asked = fetch(address + path, { method: "POST", mode: "no-cors", body });
  return asked.then(() => "read", () => "kept from the page");
}
"""
READ = "async (path) => { const answer = await fetch(path); return answer.status; }"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    model = write_model(tmp_path_factory.mktemp("models"))
    with serving(create_app(Settings(models=model, own_models=False))) as client:
        yield client


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """Where another site's page is."""
    site = FastAPI()
    site.add_route("/", lambda _: HTMLResponse("<title>Elsewhere</title>"))
    with serving(site) as client:
        yield str(client.base_url).replace("127.0.0.1", "localhost")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        yield context.new_page()


def answers(server: httpx.Client, path: str, status: int) -> int:
    """Return how many POST requests to a route were answered with a status."""
    count = f'cxr_request_duration_seconds_count{{method="POST",route="{path}",status="{status}"}}'
    lines = server.get("/metrics").text.splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(count))


def test_another_sites_page_neither_reloads_a_model_nor_has_a_film_read(
    server: httpx.Client, elsewhere: str, page: Page
) -> None:
    page.goto(elsewhere)
    for path in ("/v1/models/tiny/reload", "/v1/predict"):
        sent = page.evaluate(SENT, [str(server.base_url).rstrip("/"), path])
        assert sent == "kept from the page"
    assert answers(server, "/{page}", 403) == 2  # they arrived
    assert answers(server, "/v1/models/{name}/reload", 200) == 0
    assert "Elsewhere" in page.title()


def test_a_page_whose_name_was_made_to_lead_here_reads_nothing(
    server: httpx.Client, page: Page
) -> None:
    """Chromium takes every name that ends in `.localhost` for this machine, as a rebound one."""
    page.goto(f"http://rebound.localhost:{server.base_url.port}/v1/models")
    assert "chest_cnn" not in page.content()
    assert "CXR_ALLOWED_HOSTS" in page.content()
    for path in ("/v1/models", "/v1/audit", "/metrics", "/docs"):
        assert page.evaluate(READ, path) == 421
