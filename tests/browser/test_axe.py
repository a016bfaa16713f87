"""Tests of accessibility: axe-core finds no violation in any state of the page."""

import pytest
from playwright.sync_api import expect

from tests.browser.axe import violations
from tests.browser.films import EFFUSION, PNEUMONIA, all_bright, bright_square
from tests.browser.reader import FAILED, Reader

pytestmark = pytest.mark.browser

PLANT = """
() => {
  const faint = document.createElement("p");
  faint.textContent = "hardly to be read";
  faint.style.setProperty("color", "#333");
  document.querySelector("#chooser").append(faint, document.createElement("button"));
}
"""


def test_a_planted_violation_is_named_with_its_element(reader: Reader) -> None:
    reader.page.evaluate(PLANT)
    nameless, faint = sorted(violations(reader.page))
    assert nameless.startswith("button-name (critical): <button></button>")
    assert faint.startswith("color-contrast (serious): <p")
    assert "contrast" in faint.partition("--")[2]


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_reading_has_no_violation_from_the_empty_page_to_a_mask(
    comparer: Reader, theme: str
) -> None:
    page = comparer.page
    if theme == "light":
        comparer.presses("Light / dark")
    assert violations(page) == []
    comparer.opens(bright_square())
    for class_name in (PNEUMONIA, EFFUSION):
        comparer.chooses(class_name)
        assert violations(page) == []
    comparer.takes("Compare models")
    expect(page.locator("#agreement table")).to_be_visible()
    comparer.presses("Mask it")
    expect(page.locator("#occlusion table")).to_be_visible()
    assert violations(page) == []
    for dialog in ("Model card", "Keys ?"):
        comparer.presses(dialog)
        page.get_by_role("dialog").wait_for()
        assert violations(page) == []
        comparer.presses("Close")


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_what_is_refused_or_waited_for_has_no_violation(reader: Reader, theme: str) -> None:
    page = reader.page
    if theme == "light":
        reader.presses("Light / dark")
    reader.opens(all_bright())
    assert violations(page) == []
    reader.presses("Ask for the maps anyway")
    expect(page.locator("#explanation")).to_contain_text("a map only on demand")
    assert violations(page) == []
    reader.picks(b"a letter", "letter.txt")
    page.wait_for_selector(FAILED)
    assert violations(page) == []
    page.route("**/v1/explain**", lambda route: None)
    reader.picks_all({"1.png": bright_square(), "2.png": bright_square()})
    expect(page.locator("#progress-words")).to_contain_text("Reading")
    assert violations(page) == []
    reader.presses("Stop")
    expect(page.get_by_role("alert")).to_contain_text("Reading is stopped")
    assert violations(page) == []


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_question_for_a_key_has_no_violation(reader: Reader, theme: str) -> None:
    if theme == "light":
        reader.presses("Light / dark")
    reader.page.route("**/v1/explain**", lambda route: route.fulfill(status=401, body="{}"))
    reader.picks(bright_square())
    reader.page.get_by_role("dialog").wait_for()
    assert violations(reader.page) == []
