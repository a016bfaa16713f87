"""A server that asks for an API key: the page asks its reader, and keeps the key to itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from service.app import create_app
from service.settings import Settings
from tests.api_keys import new_token
from tests.browser.films import bright_square
from tests.browser.reader import FAILED, READ, Reader, reading
from tests.running_server import serving
from tests.tiny_model import write_model

pytestmark = pytest.mark.browser


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


@pytest.fixture
def key(file: Path) -> str:
    return new_token(file, "ward")


@pytest.fixture
def stranger(browser: Browser, tmp_path: Path, file: Path, key: str) -> Iterator[Reader]:
    """A person at the page of a server that asks for keys."""
    model = write_model(tmp_path)
    app = create_app(Settings(models=model, own_models=False, api_keys_file=file))
    with serving(app) as client, reading(browser, str(client.base_url).rstrip("/")) as reader:
        yield reader


def dialog(reader: Reader) -> Locator:
    return reader.page.get_by_role("dialog", name="This server asks for an API key")


def gives(reader: Reader, key: str) -> None:
    expect(dialog(reader)).to_be_visible()
    reader.page.get_by_label("API key", exact=True).fill(key)
    reader.presses("Use this key")


def test_a_page_whose_server_needs_no_key_asks_for_none(reader: Reader) -> None:
    reader.opens(bright_square())
    expect(reader.page.locator("dialog")).to_be_hidden()


def test_a_key_is_asked_for_once_and_the_film_is_read_then(stranger: Reader, key: str) -> None:
    stranger.picks(bright_square())
    gives(stranger, key)
    stranger.page.wait_for_selector(READ)
    stranger.opens(bright_square(), "another.png")
    expect(dialog(stranger)).to_be_hidden()


def test_the_key_goes_with_every_request_for_an_answer(stranger: Reader, key: str) -> None:
    stranger.picks(bright_square())
    expect(dialog(stranger)).to_be_visible()
    sent: dict[str, str | None] = {}
    stranger.page.on(
        "request", lambda asked: sent.update({asked.url: asked.headers.get("authorization")})
    )
    gives(stranger, f" {key}\u200b ")  # as it may be copied
    stranger.page.wait_for_selector(READ)
    assert {url.rpartition("/")[2] for url in sent} >= {"film", "explain"}
    assert set(sent.values()) == {f"Bearer {key}"}


def test_a_key_that_is_refused_is_forgotten_and_another_is_asked_for(
    stranger: Reader, key: str
) -> None:
    stranger.picks(bright_square())
    gives(stranger, "wrong")
    expect(dialog(stranger)).to_contain_text("This page has forgotten it")
    expect(stranger.page.get_by_label("API key", exact=True)).to_have_value("")
    gives(stranger, key)
    stranger.page.wait_for_selector(READ)


def test_a_key_that_is_revoked_is_asked_for_again(stranger: Reader, key: str, file: Path) -> None:
    stranger.picks(bright_square())
    gives(stranger, key)
    stranger.page.wait_for_selector(READ)
    file.write_text("")
    stranger.picks(bright_square())
    expect(dialog(stranger)).to_contain_text("or knows it no longer")


def test_a_key_is_kept_for_the_page_alone(stranger: Reader, key: str) -> None:
    stranger.picks(bright_square())
    gives(stranger, key)
    stranger.page.wait_for_selector(READ)
    kept = (
        "() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location])"
    )
    assert key not in stranger.page.evaluate(kept) + stranger.page.content()
    stranger.page.reload()
    stranger.picks(bright_square())
    expect(dialog(stranger)).to_contain_text("It reads films only for those who have one")


@pytest.mark.parametrize("way", ["Cancel", "Escape"])
def test_without_a_key_nothing_is_read_and_the_way_out_is_said(
    stranger: Reader, key: str, way: str
) -> None:
    stranger.picks(bright_square())
    expect(dialog(stranger)).to_be_visible()
    stranger.page.keyboard.type("half a k")
    stranger.page.keyboard.press(way) if way == "Escape" else stranger.presses(way)
    stranger.page.wait_for_selector(FAILED)
    expect(stranger.page.get_by_role("alert")).to_contain_text("Try again and enter a key.")
    stranger.presses("Try again")
    gives(stranger, key)
    stranger.page.wait_for_selector(READ)


def test_the_dialog_can_be_answered_from_the_keyboard(stranger: Reader, key: str) -> None:
    stranger.picks(bright_square())
    expect(stranger.page.get_by_label("API key", exact=True)).to_be_focused()
    stranger.page.keyboard.press("Enter")  # nothing is no key
    expect(dialog(stranger)).to_be_visible()
    stranger.page.keyboard.type(key)
    stranger.page.keyboard.press("Enter")
    stranger.page.wait_for_selector(READ)


def test_of_two_films_opened_before_there_is_a_key_the_last_is_read(
    stranger: Reader, key: str
) -> None:
    stranger.picks(bright_square(), "first.png")
    expect(dialog(stranger)).to_be_visible()
    stranger.picks(bright_square(), "second.png")
    stranger.page.wait_for_load_state("networkidle")
    gives(stranger, key)
    stranger.page.wait_for_selector(READ)
    expect(stranger.page.locator("#film-name")).to_have_text("second.png")
    expect(dialog(stranger)).to_be_hidden()


def test_a_key_that_asks_too_often_is_told_in_words_when_to_go_on(
    stranger: Reader, file: Path
) -> None:
    stranger.picks(bright_square())
    gives(stranger, new_token(file, "slow", rate=1))
    stranger.page.wait_for_selector(FAILED)
    alert = stranger.page.get_by_role("alert")
    expect(alert).to_contain_text("This key's requests per minute are limited to 1")
    expect(alert).to_contain_text("Wait as long as that, then try again.")
    expect(stranger.page.get_by_role("button", name="Try again")).to_be_visible()


def test_what_a_key_may_not_do_is_said_in_words(reader: Reader) -> None:
    body = '{"title": "Not allowed", "detail": "This needs an admin\'s key."}'
    reader.page.route("**/v1/explain", lambda route: route.fulfill(status=403, body=body))
    reader.picks(bright_square())
    reader.page.wait_for_selector(FAILED)
    expect(reader.page.get_by_role("alert")).to_contain_text("can give you a key that may do this")
