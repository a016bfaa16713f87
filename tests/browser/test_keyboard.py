"""Tests that everything works by keyboard, and that the table of keys is true."""

import string
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.films import EFFUSION, bright_square
from tests.browser.reader import Reader

pytestmark = pytest.mark.browser

SIGNS = {
    "\u2191": "ArrowUp",
    "\u2193": "ArrowDown",
    "\u2190": "ArrowLeft",
    "\u2192": "ArrowRight",
    "\u2212": "-",
}
FIRST = {
    "\u2191": "j",
    "K": "j",
    "0": "+",
    "Escape": "+",
    "P": "w",
    "W": "m",
    "]": "[",
    "Space": ".",
}
"""What has to be pressed before, so that there is something to change."""

VIEW = """
async () => {
  await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  const canvases = [...document.querySelectorAll(".stage canvas")];
  return [document.documentElement.outerHTML, ...canvases.map((canvas) => canvas.toDataURL())];
}
"""
FOCUSED = """
() => {
  const { activeElement: at } = document;
  const region = at.closest("header, nav, main, aside, footer");
  return at === document.body ? null : `${region.tagName}: ${at.id || at.name || at.textContent}`;
}
"""
SEEN = """
() => {
  const at = document.activeElement;
  const marked = at.matches(".visually-hidden") ? at.parentElement : at;
  const box = marked.getBoundingClientRect();
  return box.width > 5 && box.height > 5;
}
"""


def keys(page: Page) -> list[str]:
    """Return the keys of the table under `?`, as one presses them."""
    page.keyboard.press("?")
    rows = page.locator("#help-dialog tr")
    table = [row.locator("kbd").all_inner_texts() for row in rows.all()]
    page.keyboard.press("Escape")
    return [key for row in table for key in _of_row(row)]


def _of_row(row: list[str]) -> Iterator[str]:
    held = "Shift+" if row[0] == "Shift" else ""
    yield from (held + key for key in row if key != "Shift")


def pressed(page: Page, key: str) -> None:
    held, _, last = key.rpartition("+") if len(key) > 1 else ("", "", key)
    sign = SIGNS.get(last, last)
    sign = sign.lower() if len(sign) == 1 else sign
    page.keyboard.press(f"{held}+{sign}" if held else sign)
    page.wait_for_load_state("networkidle")


@pytest.fixture
def at_work(reader: Reader) -> Page:
    """The page with two films read, nothing focused."""
    reader.picks_all({"1.png": bright_square(), "2.png": bright_square(480, 320)})
    expect(reader.page.locator(".counts")).to_have_text("2 of 2 read")
    reader.page.wait_for_load_state("networkidle")
    return reader.page


def test_every_key_of_the_table_does_something(at_work: Page) -> None:
    at_work.on("filechooser", lambda _: None)  # from now on: it takes Chromium a while to tell
    for key in keys(at_work):
        if key == "O":
            with at_work.expect_file_chooser():
                pressed(at_work, key)
            continue
        if key == "X":
            at_work.get_by_role("button", name="Mask it").click()
            expect(at_work.locator("#occlusion")).to_contain_text("masked:")
        if key in FIRST:
            pressed(at_work, FIRST[key])
        before = at_work.evaluate(VIEW)
        pressed(at_work, key)
        assert at_work.evaluate(VIEW) != before, key
        if key == "?":
            at_work.keyboard.press("Escape")


def test_no_key_beside_the_table_does_anything(at_work: Page) -> None:
    told = {key.lower() for key in keys(at_work)} | {"="}  # "+" without Shift, on many keyboards
    before = at_work.evaluate(VIEW)
    for key in sorted({*string.ascii_lowercase, *string.digits} - told):
        pressed(at_work, key)
        assert at_work.evaluate(VIEW) == before, key


def test_single_keys_can_be_switched_off_for_good(at_work: Page) -> None:
    at_work.keyboard.press("?")
    at_work.get_by_label("Single keys do this").uncheck()
    at_work.keyboard.press("Escape")
    at_work.reload()
    theme = at_work.locator("html").get_attribute("data-theme")
    at_work.keyboard.press("t")
    assert at_work.locator("html").get_attribute("data-theme") == theme
    at_work.get_by_role("button", name="Keys ?").click()
    at_work.get_by_label("Single keys do this").check()
    at_work.keyboard.press("Escape")
    at_work.keyboard.press("t")
    assert at_work.locator("html").get_attribute("data-theme") != theme


def test_keys_in_fields_and_dialogs_are_theirs(at_work: Page) -> None:
    at_work.get_by_label("Centre").focus()
    at_work.keyboard.type("1t")
    at_work.keyboard.press("?")
    expect(at_work.locator("html")).to_have_attribute("data-theme", "dark")
    expect(at_work.get_by_role("dialog")).to_be_hidden()
    at_work.get_by_role("button", name="Keys ?").click()
    at_work.keyboard.press("t")
    expect(at_work.locator("html")).to_have_attribute("data-theme", "dark")


def test_the_tab_key_goes_through_the_page_in_its_order_and_is_always_seen(at_work: Page) -> None:
    at_work.evaluate("document.activeElement.blur()")
    at_work.keyboard.press("Tab")
    stops: list[str] = []
    while (stop := at_work.evaluate(FOCUSED)) and len(stops) < 80:
        assert at_work.evaluate(SEEN), stop
        stops.append(stop)
        at_work.keyboard.press("Tab")
    regions = [stop.partition(":")[0] for stop in stops]
    order = ["HEADER", "NAV", "MAIN", "ASIDE", "FOOTER"]
    assert regions == sorted(regions, key=order.index)
    assert set(regions) == set(order)
    for stop in ("NAV: pick", "NAV: pick-folder", "MAIN: modes", "MAIN: tools", "ASIDE: finding"):
        assert stops.count(stop) == 1


def test_a_film_is_opened_questioned_and_left_by_keyboard_alone(reader: Reader) -> None:
    page, press = reader.page, reader.page.keyboard.press
    page.locator("#samples button").first.focus()
    with reader.waits():
        press("Enter")
    page.locator("#findings :checked").focus()
    press("ArrowDown")
    expect(page.locator("#findings :checked")).not_to_have_value("normal")
    page.get_by_label("Left").focus()
    press("Control+A")
    for side in ("10", "10", "60", "60"):
        page.keyboard.type(side)
        press("Tab")
    press("Enter")
    expect(page.locator("#occlusion")).to_contain_text("With 50 \u00d7 50 pixels at 10, 10 masked:")
    page.get_by_role("button", name="Model card").focus()
    press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("tiny 1.2.3")
    press("Escape")
    expect(page.get_by_role("button", name="Model card")).to_be_focused()


def test_what_a_canvas_shows_is_said_and_changes_with_the_class(reader: Reader) -> None:
    reader.opens(bright_square())
    reader.chooses("Pneumonia")
    expect(reader.canvas()).to_have_accessible_name(
        "The film with the evidence for Pneumonia; "
        "strongest in row 2 of 2, column 4 of 4 of the map"
    )
    reader.chooses(EFFUSION)
    expect(reader.canvas()).to_have_accessible_name("The film without a map")
    reader.takes("Film and map")
    expect(reader.canvas("plain")).to_have_accessible_name("The film: film.png")
