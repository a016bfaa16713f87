"""Tests of the work list on the page (`work_list_view.js`): its texts and its keys."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.reader import Reader
from tests.browser.test_manners import overflow

pytestmark = pytest.mark.browser

SHOW = """
async (answers) => {
  const { ApiProblem } = await import("/page/api.js");
  const { WorkList } = await import("/films/work_list.js");
  const { WorkListView } = await import("/films/work_list_view.js");
  window.progress = {};
  let reads = 0;
  const read = ({ name }, { onProgress }) => new Promise((resolve, reject) => {
    window.progress[name] = onProgress;
    box.dataset.reads = ++reads;
    const answer = answers[name];
    if (answer?.status !== undefined) reject(new ApiProblem(answer));
    else if (answer) resolve({ answer, thumbnail: new Blob([name], { type: "image/png" }) });
  });
  window.list = new WorkList({ read, lanes: 1000 });
  const box = document.createElement("aside");
  box.id = "list";
  box.style.setProperty("width", "15rem");
  box.style.setProperty("height", "25rem");
  document.querySelector("nav").prepend(box);
  window.view = new WorkListView(box, { list });
  const load = async () => new Blob();
  list.add(Object.keys(answers).map((name) => ({ name, load })));
}
"""
ADD_MANY = """
async (count) => {
  list.add(Array.from({ length: count }, (_, index) => ({ name: `${index}`, load: () => {} })));
  await new Promise((ready) => setTimeout(ready));
}
"""
ROWS_TOUCHED = """
async () => {
  const touched = new Set();
  const observer = new MutationObserver((changes) => changes.forEach(
    ({ target }) => touched.add((target.closest ?? (() => null)).call(target, "li"))));
  observer.observe(document.querySelector("#list ol"),
    { subtree: true, childList: true, attributes: true, characterData: true });
  progress["7"](0.5);
  await new Promise((ready) => setTimeout(ready));
  return touched.size;
}
"""
HEARD = """
- heading "Work list" [level=2]
- paragraph: 1 of 3 read, 1 refused
- progressbar "Films read"
- status
- paragraph:
  - button "Stop"
  - button "Clear the list"
- list "Films":
  - listitem:
    - 'button "a: Pneumonia 80\u202f%"'
    - 'button "Remove: a"'
  - listitem:
    - 'button "b: Fault."'
    - 'button "Try again: b"'
    - 'button "Remove: b"'
  - listitem:
    - 'button /c: Reading/'
    - 'button "Remove: c"'
"""


def answer(**changes: Any) -> dict[str, Any]:
    """Return what the view reads of an answer that calls pneumonia at 80 per cent."""
    findings = [
        {"class_name": "normal", "probability": 0.2, "decision": False},
        {"class_name": "pneumonia", "probability": 0.8, "decision": True},
    ]
    told = {"in_distribution": True, "is_decided": True, "prediction_set": None}
    return {"findings": findings, **told, "refusals": [], **changes}


def shows(reader: Reader, answers: dict[str, Any]) -> Locator:
    """Show a list of films with these answers or problems; null is never answered."""
    reader.page.evaluate(SHOW, answers)
    return reader.page.locator("#list")


def row(reader: Reader, name: str) -> Locator:
    return reader.page.locator(f"#list li:has([title='{name}'])")


def is_open(reader: Reader) -> str:
    """Return the name of the open film, which must have the focus too."""
    opened = reader.page.locator("#list [aria-current=true]")
    expect(opened).to_be_focused()
    return opened.locator(".entry-name").inner_text().replace("\n", "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Pneumonia 80\u202f%"),
        (
            {"in_distribution": False, "refusals": ["distance"]},
            "Unlike the films this model knows",
        ),
        ({"in_distribution": False, "refusals": ["lungs"]}, "No plausible lungs found"),
        ({"is_decided": False}, "No decision"),
        (
            {"is_decided": False, "prediction_set": ["normal", "pneumonia"]},
            "Undecided: Normal or Pneumonia",
        ),
        (
            {"in_distribution": False, "refusals": ["novelty"]},
            "Acquired in a way that training never saw",
        ),
        (
            {"in_distribution": False, "refusals": ["distance", "novelty"]},
            "Unlike the films this model knows",
        ),
    ],
)
def test_a_film_that_was_read_shows_its_top_finding(
    reader: Reader, changes: dict[str, Any], words: str
) -> None:
    shows(reader, {"a.png": answer(**changes)})
    expect(row(reader, "a.png").locator(".words")).to_have_text(words)
    expect(reader.page.get_by_role("button", name=f"a.png: {words}")).to_be_visible()


def test_a_finding_that_is_called_stands_out(reader: Reader) -> None:
    findings = [one | {"decision": None} for one in answer()["findings"]]
    shows(reader, {"a": answer(), "b": answer(is_decided=False, findings=findings)})
    expect(row(reader, "a")).to_have_class("called")
    expect(row(reader, "b")).not_to_have_class("called")


def test_an_upload_shows_how_far_it_is(reader: Reader) -> None:
    shows(reader, {"a": None})
    bar = row(reader, "a").locator("progress")
    reader.page.evaluate("progress.a(0.4)")
    expect(row(reader, "a")).to_contain_text("Sending\u2026 40\u202f%")
    assert bar.evaluate("(bar) => bar.value") == 0.4
    reader.page.evaluate("progress.a(1)")
    expect(row(reader, "a")).to_contain_text("Reading\u2026")
    assert bar.evaluate("(bar) => bar.position") == -1  # it moves, and says no share


def test_a_refused_film_says_why_and_offers_another_try_where_that_may_help(
    reader: Reader,
) -> None:
    letter = {"title": "Not an image", "detail": "Choose a film", "status": 415}
    box = shows(reader, {"a": letter, "b": {"title": "Fault", "status": 500}})
    expect(row(reader, "a")).to_contain_text("Not an image. Choose a film.")
    expect(reader.page.get_by_role("button", name="Try again: a")).to_have_count(0)
    expect(box).to_have_attribute("data-reads", "2")
    reader.presses("Try again: b")
    expect(box).to_have_attribute("data-reads", "3")


def test_a_long_list_says_how_far_it_is(reader: Reader) -> None:
    box = shows(reader, {"a": answer(), "b": answer(), "c": {"title": "No", "status": 415}})
    expect(box).to_contain_text("2 of 3 read, 1 refused")
    bar = reader.page.get_by_role("progressbar", name="Films read")
    expect(bar).to_be_hidden()
    reader.page.evaluate(ADD_MANY, 5)
    expect(box).to_contain_text("2 of 8 read, 1 refused")
    assert bar.evaluate("({ value, max }) => [value, max]") == [3, 8]


def test_reading_can_be_stopped_and_goes_on(reader: Reader) -> None:
    box = shows(reader, {"a": None})
    reader.presses("Stop")
    expect(box.get_by_role("status")).to_have_text("Reading is stopped.")
    expect(row(reader, "a")).to_contain_text("Waiting")
    reader.presses("Go on")
    expect(row(reader, "a")).to_contain_text("Reading")
    expect(box.get_by_role("status")).to_be_empty()


def test_a_server_that_is_gone_is_said_with_a_way_out(reader: Reader) -> None:
    box = shows(reader, {"a": {"title": "The server does not answer", "status": 0}})
    expect(box.get_by_role("status")).to_contain_text("paused. The server does not answer.")
    expect(row(reader, "a")).to_contain_text("Waiting: the server does not answer")
    expect(box.get_by_role("button", name="Go on")).to_be_visible()


def test_a_busy_server_is_said_in_the_rows_that_wait(reader: Reader) -> None:
    shows(reader, {"a": {"title": "Overloaded", "status": 503, "retryAfter": 60}})
    expect(row(reader, "a")).to_contain_text("Waiting: the server is busy")


def test_the_list_is_walked_through_by_keyboard(reader: Reader) -> None:
    shows(reader, {"a": answer(), "b": answer(), "c": answer()})
    reader.page.locator("#list li button").first.focus()
    seen = []
    for key in ("Enter", "ArrowDown", "End", "ArrowDown", "ArrowUp", "Home"):
        reader.page.keyboard.press(key)
        seen.append(is_open(reader))
    assert "".join(seen) == "abccba"


def test_one_row_is_in_the_tab_order(reader: Reader) -> None:
    shows(reader, {"a": answer(), "b": answer()})
    reachable = "[...document.querySelectorAll('#list .open')].map((row) => row.tabIndex)"
    assert reader.page.evaluate(reachable) == [0, -1]
    row(reader, "b").locator(".open").click()
    assert reader.page.evaluate(reachable) == [-1, 0]
    reader.page.evaluate("list.remove(2)")
    assert reader.page.evaluate(reachable) == [0]


def test_the_delete_key_removes_a_film_and_stays_in_the_list(reader: Reader) -> None:
    shows(reader, {"a": answer(), "b": answer(), "c": answer()})
    row(reader, "b").locator(".open").click()
    reader.page.keyboard.press("Delete")
    assert is_open(reader) == "c"
    expect(reader.page.locator("#list li")).to_have_count(2)


def test_films_are_removed_by_pointer_one_or_all(reader: Reader) -> None:
    box = shows(reader, {"a": answer(), "b": answer()})
    row(reader, "a").hover()
    reader.presses("Remove: a")
    expect(box.locator("li")).to_have_count(1)
    reader.presses("Clear the list")
    expect(box).to_contain_text("No film is open.")
    expect(box.get_by_role("button")).to_have_count(0)


def test_a_removed_row_lets_go_of_its_thumbnail(reader: Reader) -> None:
    shows(reader, {"a": answer()})
    picture = row(reader, "a").locator("img")
    expect(picture).to_have_attribute("src", re.compile("^blob:"))
    url = picture.get_attribute("src")
    reader.page.evaluate("URL.revokeObjectURL = (url) => { window.revoked = url; }")
    reader.page.evaluate("list.clear()")
    assert reader.page.evaluate("revoked") == url


def test_a_long_name_keeps_its_end_and_the_page_its_width(reader: Reader) -> None:
    name = f"ward/{'1.2.840' * 30}.4711.dcm"
    box = shows(reader, {name: answer()})
    label = box.locator(".entry-name")
    expect(label).to_have_attribute("title", name)
    ending, whole = label.locator(".ending").bounding_box(), box.bounding_box()
    assert ending is not None
    assert whole is not None
    assert ending["x"] + ending["width"] <= whole["x"] + whole["width"]
    assert label.locator(".ending").inner_text() == "0.4711.dcm"
    assert overflow(reader.page) <= 0


def test_a_screen_reader_hears_a_list_of_named_buttons(reader: Reader) -> None:
    box = shows(reader, {"a": answer(), "b": {"title": "Fault", "status": 500}, "c": None})
    expect(box).to_match_aria_snapshot(HEARD)


def test_a_change_of_one_film_in_two_thousand_touches_its_row_alone(reader: Reader) -> None:
    shows(reader, {})
    reader.page.evaluate(ADD_MANY, 2000)
    assert reader.page.locator("#list li").count() == 2000
    assert reader.page.evaluate(ROWS_TOUCHED) == 1
