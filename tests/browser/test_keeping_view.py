"""Tests of the buttons that save something: `keeping_view.js`, `saving.js`."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Download, Locator, expect

from tests.browser.reader import Reader

pytestmark = pytest.mark.browser

SHOW = """
async (answers) => {
  const { KeepingView } = await import("/keeping/keeping_view.js");
  const { answerFile, fileName } = await import("/keeping/saving.js");
  const container = document.createElement("section");
  container.id = "kept";
  document.body.prepend(container);
  const date = new Date(2026, 10, 28, 22, 40, 0);
  window.keeping = new KeepingView(container, {
    onAnswer: async (withName) => ({
      blob: answerFile(answers, withName ? "Zoë.dcm" : null),
      name: fileName(["tiny", "viral/pneumonia"], date, "json"),
    }),
    onPicture: async () => { throw new Error("no canvas"); },
    onReport: () => new Promise(() => {}),
    onLink: () => "https:" + "//example.org/#zoom=2",
  });
}
"""
CLIPBOARD = """
(text) => Object.defineProperty(navigator, "clipboard", { value: text === null ? undefined
  : { writeText: async (copied) => { window.copied = copied; } } })
"""


def keeping(reader: Reader, answers: list[dict[str, object]] | None = None) -> Locator:
    """Show the view and return its place."""
    reader.page.evaluate(SHOW, answers or [])
    return reader.page.locator("#kept")


def saved(reader: Reader, button: str) -> Download:
    with reader.page.expect_download() as download:
        reader.presses(button)
    return download.value


def test_the_answer_is_saved_as_it_was_read(reader: Reader) -> None:
    keeping(reader, [{"model": {"name": "a"}}, {"model": {"name": "b"}}])
    text = Path(saved(reader, "Save answer").path()).read_text(encoding="utf-8")
    assert json.loads(text) == {"models": [{"model": {"name": "a"}}, {"model": {"name": "b"}}]}
    assert text.startswith('{\n  "models"')


def test_a_kept_file_is_named_by_model_class_and_time(reader: Reader) -> None:
    view = keeping(reader)
    name = "tiny-viral_pneumonia-2026-11-28T22-40-00.json"
    assert saved(reader, "Save answer").suggested_filename == name
    expect(view.get_by_role("status")).to_have_text(f"Saved as {name}")


def test_the_films_name_is_kept_only_on_demand_and_for_one_film(reader: Reader) -> None:
    view = keeping(reader)
    view.get_by_label("With the file\u2019s name").check()
    assert json.loads(Path(saved(reader, "Save answer").path()).read_bytes())["film_name"]
    reader.page.evaluate("() => keeping.show()")
    assert "film_name" not in json.loads(Path(saved(reader, "Save answer").path()).read_bytes())


def test_what_could_not_be_made_is_said_with_a_way_out(reader: Reader) -> None:
    view = keeping(reader)
    reader.presses("Save picture")
    expect(view.get_by_role("status")).to_contain_text("could not be made. Try again")
    assert [fault for fault in reader.faults if "no canvas" in fault]
    reader.faults.clear()


def test_it_says_that_something_is_being_made(reader: Reader) -> None:
    view = keeping(reader)
    reader.presses("Save report")
    expect(view.get_by_role("status")).to_have_text("Making the report…")


def test_the_link_is_copied(reader: Reader) -> None:
    reader.page.evaluate(CLIPBOARD, "open")
    view = keeping(reader)
    reader.presses("Copy link")
    expect(view.get_by_role("status")).to_contain_text("Link copied")
    assert reader.page.evaluate("() => copied").endswith("/#zoom=2")


def test_where_the_clipboard_is_missing_the_link_is_shown_selected(reader: Reader) -> None:
    reader.page.evaluate(CLIPBOARD, None)
    keeping(reader)
    reader.presses("Copy link")
    expect(reader.page.get_by_label("Link to this view")).to_be_focused()
    assert reader.page.evaluate("() => getSelection().toString()").endswith("/#zoom=2")


def test_the_buttons_come_in_order_by_keyboard(reader: Reader) -> None:
    view = keeping(reader)
    view.get_by_role("button", name="Save picture").focus()
    for name in ("Save answer", "Save report", "Copy link"):
        reader.page.keyboard.press("Tab")
        expect(view.get_by_role("button", name=name)).to_be_focused()
    reader.page.keyboard.press("Tab")
    expect(view.get_by_role("checkbox")).to_be_focused()
