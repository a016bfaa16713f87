"""Tests of films from dialogues, folders, zips, drops and the clipboard (`film_files.js`)."""

import base64
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.reader import Reader

pytestmark = pytest.mark.browser

TAKE = """
async () => {
  const { takeFilms } = await import("/films/film_files.js");
  const made = (tag, properties) => {
    const element = Object.assign(document.createElement(tag), properties);
    document.body.append(element);
    return element;
  };
  const input = made("input", { type: "file", multiple: true, id: "test-files" });
  const folder = made("input", { type: "file", webkitdirectory: true, id: "test-folder" });
  const dropHere = made("div", { hidden: true, id: "test-drop" });
  window.taken = [];
  const onFilms = (films, refused) => {
    document.documentElement.dataset.taken = window.taken.push({ films, refused });
  };
  takeFilms({ input, folder, dropHere, onFilms });
}
"""
TAKEN = """
async () => {
  const [{ films, refused }] = window.taken;
  const texts = films.map(async ({ name, load }) => [name, await (await load()).text()]);
  return {
    films: await Promise.all(texts),
    refused: refused.map(({ name, problem }) => [name, problem.title, problem.detail]),
  };
}
"""
BRING = """
([kind, event, property, files]) => {
  const data = new DataTransfer();
  for (const [name, base64] of files) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    data.items.add(new File([bytes], name));
  }
  const bringing = new window[kind](event, { [property]: data, bubbles: true, cancelable: true });
  document.body.dispatchEvent(bringing);
}
"""
TREE = """
async (tree) => {
  const { partsBelow } = await import("/films/film_files.js");
  const entry = (name, content, above) => {
    const fullPath = `${above}/${name}`;
    if (content === null) return { isFile: true, fullPath, file: (_, fail) => fail(new Error()) };
    if (typeof content === "string") {
      return { isFile: true, fullPath, file: (give) => give(new File([content], name)) };
    }
    const children = Object.entries(content).map((child) => entry(...child, fullPath));
    const readEntries = (give) => give(children.splice(0, 100));
    return { isFile: false, fullPath, createReader: () => ({ readEntries }) };
  };
  const parts = await partsBelow(entry("study", tree, ""));
  return parts.map(({ path, file, problem }) => [path, file?.size ?? problem.title]);
}
"""


@pytest.fixture
def page(reader: Reader) -> Page:
    """The page, with film_files.js at work beside what is there."""
    reader.page.evaluate(TAKE)
    return reader.page


def taken(page: Page) -> dict[str, Any]:
    """Return the films, each as [name, text], and what was refused, of the first time."""
    page.wait_for_selector("html[data-taken]")
    return page.evaluate(TAKEN)


def brings(page: Page, files: dict[str, bytes], way: list[str]) -> None:
    encoded = [[name, base64.b64encode(content).decode()] for name, content in files.items()]
    page.evaluate(BRING, [*way, encoded])


DROP = ["DragEvent", "drop", "dataTransfer"]
PASTE = ["ClipboardEvent", "paste", "clipboardData"]


def folder(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def zipped(members: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in members.items():
            archive.writestr(path, text)
    return file.getvalue()


def test_several_films_can_be_picked(page: Page, tmp_path: Path) -> None:
    root = folder(tmp_path, {"b.png": "b", "a": "a"})
    page.set_input_files("#test-files", [root / "b.png", root / "a"])
    assert taken(page) == {"films": [["a", "a"], ["b.png", "b"]], "refused": []}


def test_a_folder_gives_its_films_in_natural_order(page: Page, tmp_path: Path) -> None:
    root = folder(tmp_path / "ward", {"p10/1.dcm": "c", "p2/10": "b", "p2/9": "a"})
    page.set_input_files("#test-folder", root)
    assert taken(page)["films"] == [
        ["ward/p2/9", "a"],
        ["ward/p2/10", "b"],
        ["ward/p10/1.dcm", "c"],
    ]


def test_what_computers_put_beside_films_is_skipped(page: Page, tmp_path: Path) -> None:
    names = [".DS_Store", "__MACOSX/1", "DICOMDIR", ".hidden/1", "IM1", "Thumbs.db"]
    page.set_input_files("#test-folder", folder(tmp_path / "cd", dict.fromkeys(names, "x")))
    assert taken(page) == {"films": [["cd/IM1", "x"]], "refused": []}


def test_a_folder_without_a_film_is_told_too(page: Page, tmp_path: Path) -> None:
    page.set_input_files("#test-folder", folder(tmp_path / "cd", {"DICOMDIR": "x"}))
    assert taken(page) == {"films": [], "refused": []}


@pytest.mark.parametrize("way", [DROP, PASTE])
def test_films_can_be_dropped_and_pasted(page: Page, way: list[str]) -> None:
    brings(page, {"two.png": b"2", "one.png": b"1"}, way)
    assert taken(page)["films"] == [["one.png", "1"], ["two.png", "2"]]


def test_pasted_words_are_left_to_the_field_they_are_for(page: Page) -> None:
    untouched = """() => document.body.dispatchEvent(
      new ClipboardEvent("paste", { clipboardData: new DataTransfer(), cancelable: true }))"""
    assert page.evaluate(untouched)
    assert page.evaluate("window.taken.length") == 0


def test_the_drop_target_shows_only_while_files_are_dragged(page: Page) -> None:
    hidden = "document.getElementById('test-drop').hidden"
    brings(page, {}, ["DragEvent", "dragenter", "dataTransfer"])
    assert page.evaluate(hidden)
    brings(page, {"one.png": b"1"}, ["DragEvent", "dragenter", "dataTransfer"])
    assert not page.evaluate(hidden)
    brings(page, {"one.png": b"1"}, DROP)
    assert page.evaluate(hidden)


def test_a_zip_gives_its_films_under_its_own_name(page: Page) -> None:
    archive = zipped({"10": "b", "9": "a", "__MACOSX/9": "x", ".DS_Store": "x"})
    brings(page, {"study.ZIP": archive, "alone": b"c"}, DROP)
    assert taken(page)["films"] == [["alone", "c"], ["study.ZIP/9", "a"], ["study.ZIP/10", "b"]]


def test_a_zip_that_cannot_be_opened_is_refused_and_the_others_are_not(page: Page) -> None:
    brings(page, {"bad.zip": b"no zip", "good.zip": zipped({"1": "a"})}, DROP)
    outcome = taken(page)
    assert outcome["films"] == [["good.zip/1", "a"]]
    [[name, title, detail]] = outcome["refused"]
    assert (name, title) == ("bad.zip", "This zip is damaged, or is none")
    assert detail.endswith("open the films themselves.")


def test_a_file_that_changed_since_it_was_opened_says_so(page: Page, tmp_path: Path) -> None:
    path = folder(tmp_path, {"a": "a"}) / "a"
    page.set_input_files("#test-files", path)
    page.wait_for_selector("html[data-taken]")
    path.unlink()
    title = "() => window.taken[0].films[0].load().catch(({ title }) => title)"
    assert page.evaluate(title) == "This file can\u2019t be read"


def test_a_dropped_folder_is_read_to_its_last_file(reader: Reader) -> None:
    many = {str(index): "x" for index in range(250)}
    parts = reader.page.evaluate(TREE, {"p1": many, "p2": {"deep": {"film": "four"}}, "empty": {}})
    assert [path for path, _ in parts[:250]] == [f"study/p1/{index}" for index in many]
    assert parts[250:] == [["study/p2/deep/film", 4]]


def test_a_dropped_file_that_cannot_be_read_is_refused_alone(reader: Reader) -> None:
    parts = reader.page.evaluate(TREE, {"gone": None, "there": "x"})
    assert parts == [["study/gone", "This file can\u2019t be read"], ["study/there", 1]]
