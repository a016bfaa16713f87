"""Tests of a server that asks for an API key: the page asks the reader for it and keeps it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Route, expect

from service.app import create_app
from service.settings import Settings
from tests.browser.films import bright_square
from tests.browser.reader import FAILED, READ, Reader, reading
from tests.support.api_keys import new_token
from tests.support.running_server import serving
from tests.support.tiny_model import write_model

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
    expect(dialog(reader)).to_be_hidden()


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
    stranger.page.wait_for_load_state("networkidle")
    asked = {url.partition("/v1/")[2]: key for url, key in sent.items() if "/v1/" in url}
    for path in ("models", "colour-maps", "explain?model=tiny", "film", "film?side=128"):
        assert asked[path] == f"Bearer {key}"
    assert set(asked.values()) == {f"Bearer {key}"}


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
    cancel = dialog(stranger).get_by_role("button", name="Cancel")
    cancel.click() if way == "Cancel" else stranger.page.keyboard.press(way)
    stranger.page.wait_for_selector(FAILED)
    expect(stranger.page.get_by_role("alert")).to_contain_text("Try again and enter a key.")
    stranger.presses("Try again")
    gives(stranger, key)
    stranger.page.wait_for_selector(READ)


@pytest.mark.parametrize(
    ("late", "count"), [("/v1/(models|colour-maps)$", 2), ("/desk/desk.js", 1)]
)
def test_what_comes_late_after_the_reader_said_no_does_not_ask_again(
    stranger: Reader, late: str, count: int
) -> None:
    held: list[Route] = []
    stranger.page.route(re.compile(late), lambda route: held.append(route))
    stranger.page.goto(stranger.address, wait_until="domcontentloaded")
    stranger.picks(bright_square())
    expect(dialog(stranger)).to_be_visible()  # for the film's pixels
    stranger.waits_until(lambda: len(held) == count)
    dialog(stranger).get_by_role("button", name="Cancel").click()
    for route in held:
        route.continue_()
    stranger.page.wait_for_selector(FAILED)
    expect(dialog(stranger)).to_be_hidden()


def test_the_dialog_can_be_answered_from_the_keyboard(stranger: Reader, key: str) -> None:
    stranger.picks(bright_square())
    expect(stranger.page.get_by_label("API key", exact=True)).to_be_focused()
    stranger.page.keyboard.press("Enter")  # nothing is no key
    expect(dialog(stranger)).to_be_visible()
    stranger.page.keyboard.type(key)
    stranger.page.keyboard.press("Enter")
    stranger.page.wait_for_selector(READ)


def test_many_films_wait_for_one_key_and_the_last_that_was_opened_is_shown(
    stranger: Reader, key: str
) -> None:
    stranger.picks(bright_square(), "first.png")
    expect(dialog(stranger)).to_be_visible()
    stranger.picks_all({f"{number}.png": bright_square() for number in range(5)})
    stranger.page.wait_for_load_state("networkidle")
    gives(stranger, key)
    stranger.page.wait_for_selector(READ)
    expect(stranger.page.locator("#film-name")).to_have_text("0.png")
    expect(stranger.page.locator(".counts")).to_have_text("6 of 6 read")
    expect(dialog(stranger)).to_be_hidden()


def test_a_key_that_is_not_given_is_asked_for_once_however_many_films_wait(
    stranger: Reader, key: str, file: Path
) -> None:
    stranger.picks(bright_square(), "first.png")
    gives(stranger, key)
    stranger.page.wait_for_selector(READ)
    file.write_text("")
    stranger.picks_all({f"{number}.png": bright_square() for number in range(5)})
    dialog(stranger).get_by_role("button", name="Cancel").click()
    stranger.page.wait_for_selector(FAILED)
    stranger.page.wait_for_load_state("networkidle")
    expect(dialog(stranger)).to_be_hidden()
    expect(stranger.page.locator("#work-list")).to_contain_text("Reading is paused.")
    expect(stranger.page.locator(".counts")).to_have_text("1 of 6 read")


def test_a_key_that_asks_too_often_is_told_in_words_that_the_page_asks_again(
    stranger: Reader, file: Path
) -> None:
    stranger.picks(bright_square())
    gives(stranger, new_token(file, "slow", rate=1))
    words = stranger.page.locator("#progress-words")
    expect(words).to_contain_text("This key's requests per minute are limited to 1")
    expect(words).to_contain_text("The page asks again by itself; you may cancel.")
    expect(stranger.page.locator("#work-list")).to_contain_text("the server asks for a pause")


def test_the_page_tells_what_a_key_may_not_do(reader: Reader) -> None:
    body = '{"title": "Not allowed", "detail": "This needs an admin\'s key."}'
    reader.page.route("**/v1/explain**", lambda route: route.fulfill(status=403, body=body))
    reader.picks(bright_square())
    reader.page.wait_for_selector(FAILED)
    expect(reader.page.get_by_role("alert")).to_contain_text("can give you a key that may do this")
