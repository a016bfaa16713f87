"""What a careful guest expects of the page."""

import re

import pytest
from playwright.sync_api import Page, expect

from service.app import VIEWER
from tests.browser.films import bright_square
from tests.browser.reader import Reader

pytestmark = pytest.mark.browser

UNNAMED = """
() => [...document.querySelectorAll("button, input, canvas, [role]")]
  .filter((element) => element.checkVisibility())
  .filter((element) => !(element.innerText || element.labels?.length
                         || element.getAttribute("aria-label") || element.ariaHidden === "true"))
  .map((element) => element.outerHTML)
"""


def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than the window."""
    return page.evaluate("() => document.documentElement.scrollWidth - innerWidth")


def test_research_use_only_is_said_at_every_moment(reader: Reader) -> None:
    notice = reader.page.get_by_text("Research use only. Not a medical device.")
    expect(notice).to_be_visible()
    reader.opens(bright_square())
    expect(notice).to_be_visible()


def test_the_page_says_that_the_film_is_not_stored(reader: Reader) -> None:
    notice = reader.page.get_by_text("It is not stored there").and_(reader.page.locator(":visible"))
    expect(notice).to_have_count(1)
    reader.opens(bright_square())
    expect(notice).to_have_count(1)


def test_every_control_and_picture_has_a_name(reader: Reader) -> None:
    reader.opens(bright_square())
    assert reader.page.evaluate(UNNAMED) == []


def test_a_screen_reader_hears_the_answer(reader: Reader) -> None:
    reader.opens(bright_square())
    summary = reader.page.locator("#summary[role=status]")
    expect(summary).to_contain_text("Film read. Called: Pneumonia")


@pytest.mark.parametrize("size", [(1280, 720), (768, 1024)])
def test_nothing_is_cut_off_on_a_small_screen(reader: Reader, size: tuple[int, int]) -> None:
    reader.page.set_viewport_size({"width": size[0], "height": size[1]})
    reader.opens(bright_square())
    assert overflow(reader.page) <= 0
    box = reader.page.locator("#overlay").bounding_box()
    assert box is not None
    assert box["height"] > 250


def test_the_page_has_no_inline_script_or_style_and_loads_nothing_from_elsewhere() -> None:
    html = (VIEWER / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html)
    for file in VIEWER.glob("*.*"):
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//\w+\.\w+/", text), file.name


def test_the_page_without_films_is_small() -> None:
    assert sum(file.stat().st_size for file in VIEWER.glob("*.*")) < 200_000
