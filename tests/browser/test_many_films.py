"""Tests of many films: picked, dropped, in a zip or a folder; all are read in turn."""

import io
import re
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.browser.films import all_bright, bright_square
from tests.browser.reader import FAILED, READ, Reader

pytestmark = pytest.mark.browser

FAULT = "Failed to load resource: "
FILMS = {
    "1.png": bright_square(),
    "2.png": all_bright(),
    "3.txt": b"a letter",
    "4.png": bright_square(200, 300),
}


def rows(reader: Reader) -> Locator:
    return reader.page.locator("#work-list li")


def counts(reader: Reader) -> Locator:
    return reader.page.locator("#work-list .counts")


def is_open(reader: Reader, name: str) -> None:
    """Wait until a film is marked in the list, and is on the desk."""
    current = reader.page.locator("#work-list [aria-current=true]")
    expect(current).to_have_accessible_name(re.compile(f"^{re.escape(name)}: "))
    expect(reader.page.locator("#film-name")).to_have_text(name)


def zipped(films: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, film in films.items():
            archive.writestr(name, film)
    return file.getvalue()


def test_each_film_of_many_says_its_finding_or_why_it_was_refused(reader: Reader) -> None:
    reader.picks_all(FILMS)
    expect(counts(reader)).to_have_text("3 of 4 read, 1 refused")
    is_open(reader, "1.png")
    said = [row.locator(".words").inner_text() for row in rows(reader).all()]
    assert said[0].startswith("Normal 4")
    assert said[1] == "Unlike the films this model knows"
    assert said[2] == "Not an image. The file must be a PNG, JPEG, TIFF or DICOM image."
    widths = [
        img.evaluate("(img) => img.naturalWidth") for img in rows(reader).locator("img").all()
    ]
    assert widths == [128, 128, 0, 128]


def test_a_refused_film_says_its_reason_in_the_list_and_on_the_desk(reader: Reader) -> None:
    reader.picks_all(FILMS)
    expect(counts(reader)).to_have_text("3 of 4 read, 1 refused")
    rows(reader).nth(2).get_by_role("button").first.click()
    reader.page.wait_for_selector(FAILED)
    alert = reader.page.get_by_role("alert")
    for reason in ("Not an image", "The file must be a PNG, JPEG, TIFF or DICOM image."):
        expect(rows(reader).nth(2)).to_contain_text(reason)
        expect(alert).to_contain_text(reason)
    expect(alert).to_contain_text("Choose a PNG, JPEG, TIFF or DICOM file.")


def test_the_list_is_walked_through_by_keyboard(reader: Reader) -> None:
    films = {name: film for name, film in FILMS.items() if name.endswith(".png")}
    reader.picks_all(films)
    is_open(reader, "1.png")
    for key, name in [
        ("ArrowDown", "2.png"),
        ("j", "4.png"),
        ("ArrowDown", "4.png"),
        ("k", "2.png"),
        ("ArrowUp", "1.png"),
        ("ArrowUp", "1.png"),
    ]:
        reader.page.keyboard.press(key)
        is_open(reader, name)


def test_a_film_is_taken_off_the_list_by_the_delete_key(reader: Reader) -> None:
    reader.picks_all({"1.png": bright_square(), "2.png": bright_square()})
    is_open(reader, "1.png")
    reader.page.keyboard.press("Delete")  # not in the list: nothing is lost by accident
    rows(reader).first.get_by_role("button").first.focus()
    expect(rows(reader)).to_have_count(2)
    reader.page.keyboard.press("Delete")
    is_open(reader, "2.png")
    reader.page.keyboard.press("Delete")
    expect(rows(reader)).to_have_count(0)
    expect(reader.page.get_by_text("Drop chest films here")).to_be_visible()


def test_new_films_come_below_and_the_first_of_them_opens(reader: Reader) -> None:
    reader.picks_all({"1.png": bright_square(), "2.png": bright_square()})
    is_open(reader, "1.png")
    reader.drops(bright_square(), "3.png")
    is_open(reader, "3.png")
    names = [row.locator(".entry-name").inner_text() for row in rows(reader).all()]
    assert [name.replace("\n", "") for name in names] == ["1.png", "2.png", "3.png"]


@pytest.mark.parametrize("way", ["zip", "folder"])
def test_a_zip_or_a_folder_is_read_film_by_film(reader: Reader, way: str, tmp_path: Path) -> None:
    if way == "zip":
        reader.picks(zipped(FILMS), "ward.zip")
    else:
        folder = tmp_path / "ward"
        folder.mkdir()
        for name, film in FILMS.items():
            (folder / name).write_bytes(film)
        reader.page.set_input_files("#pick-folder", folder)
    expect(counts(reader)).to_have_text("3 of 4 read, 1 refused")
    is_open(reader, "ward.zip/1.png" if way == "zip" else "ward/1.png")


def test_a_zip_without_films_is_said_to_have_none(reader: Reader) -> None:
    reader.picks(zipped({"__MACOSX/1.png": b"", ".hidden": b""}), "empty.zip")
    reader.page.wait_for_selector(FAILED)
    expect(reader.page.get_by_role("alert")).to_contain_text("There is no film in it")
    reader.opens(bright_square())


def test_reading_can_be_stopped_and_gone_on_with(reader: Reader) -> None:
    held: list[Route] = []
    reader.page.route("**/v1/explain**", lambda route: held.append(route))
    reader.picks_all({f"{number}.png": bright_square() for number in range(4)})
    expect(counts(reader)).to_have_text("0 of 4 read")
    reader.presses("Stop")
    alert = reader.page.get_by_role("alert")
    expect(alert).to_contain_text("Reading is stopped")
    expect(alert).to_contain_text("This film waits until you go on.")
    expect(reader.page.locator("#progress")).to_be_hidden()
    reader.page.unroute("**/v1/explain**")
    reader.presses("Go on")
    is_open(reader, "0.png")
    expect(counts(reader)).to_have_text("4 of 4 read")


def test_a_busy_server_loses_none_of_many_films(reader: Reader) -> None:
    asked: Counter[str] = Counter()

    def answer(route: Route) -> None:
        asked[route.request.url] += 1
        if asked[route.request.url] % 2:
            route.fulfill(status=503, headers={"Retry-After": "0.02"}, json={"title": "Overloaded"})
        else:
            route.continue_()

    reader.page.route(re.compile("/v1/(explain|film|models|colour-maps)"), answer)
    reader.picks_all({f"{number}.png": bright_square() for number in range(8)})
    is_open(reader, "0.png")
    expect(counts(reader)).to_have_text("8 of 8 read", timeout=20_000)
    assert rows(reader).locator("img:not([hidden])").count() == 8
    assert any(count > 8 for count in asked.values())
    assert {fault.startswith(FAULT) for fault in reader.faults} == {True}
    reader.faults.clear()  # Chromium reports each 503


def test_while_a_server_is_busy_the_page_says_that_it_asks_again(reader: Reader) -> None:
    busy = {"title": "Overloaded", "detail": "Too many films wait"}
    reader.page.route(
        "**/v1/explain**",
        lambda route: route.fulfill(status=503, headers={"Retry-After": "60"}, json=busy),
    )
    reader.picks(bright_square())
    words = reader.page.locator("#progress-words")
    expect(words).to_have_text(
        "Overloaded. Too many films wait. The page asks again by itself; you may cancel."
    )
    expect(rows(reader)).to_contain_text("Waiting: the server is busy")
    reader.presses("Cancel")
    expect(reader.page.get_by_text("Drop chest films here")).to_be_visible()
    reader.faults.clear()


def test_an_answer_is_not_lost_for_want_of_a_thumbnail(reader: Reader) -> None:
    reader.page.route("**/v1/film?side=*", lambda route: route.fulfill(status=404, json={}))
    reader.opens(bright_square())
    expect(counts(reader)).to_have_text("1 of 1 read")
    assert reader.page.locator(READ).count() == 1
