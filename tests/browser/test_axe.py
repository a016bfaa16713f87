"""axe-core finds nothing on the page, in any of its states; and it does look."""

import pytest

from tests.browser.axe import violations
from tests.browser.films import all_bright, bright_square
from tests.browser.reader import FAILED, Reader

pytestmark = pytest.mark.browser

PLANT = """
() => {
  const faint = document.createElement("p");
  faint.textContent = "hardly to be read";
  faint.style.setProperty("color", "#333");
  document.querySelector("main").append(faint, document.createElement("button"));
}
"""


def test_a_planted_violation_is_named_with_its_element(reader: Reader) -> None:
    reader.page.evaluate(PLANT)
    nameless, faint = sorted(violations(reader.page))
    assert nameless.startswith("button-name (critical): <button></button>")
    assert faint.startswith("color-contrast (serious): <p")
    assert "contrast" in faint.partition("--")[2]


def test_the_empty_page_has_no_violation(reader: Reader) -> None:
    assert violations(reader.page) == []


@pytest.mark.parametrize("film", [bright_square(), all_bright()], ids=["answered", "refused"])
def test_an_answer_has_no_violation(reader: Reader, film: bytes) -> None:
    reader.opens(film)
    assert violations(reader.page) == []


def test_a_problem_has_no_violation(reader: Reader) -> None:
    reader.picks(b"a letter", "letter.txt")
    reader.page.wait_for_selector(FAILED)
    assert violations(reader.page) == []


def test_the_question_for_a_key_has_no_violation(reader: Reader) -> None:
    reader.page.route("**/v1/explain", lambda route: route.fulfill(status=401, body="{}"))
    reader.picks(bright_square())
    reader.page.get_by_role("dialog").wait_for()
    assert violations(reader.page) == []
