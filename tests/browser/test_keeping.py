"""Tests of saving what is on the page: picture, answer, report, link; and the theme."""

import io
import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Download, expect
from pypdf import PdfReader

from tests.browser.films import NORMAL, PNEUMONIA, bright_square
from tests.browser.reader import Pixels, Reader, reading
from tests.browser.test_occlusion import masks, table

pytestmark = pytest.mark.browser

NAMES = ("alpha", "beta", "gamma")
STORED = """
async () => [
  Object.keys(localStorage), Object.keys(sessionStorage), document.cookie,
  (await indexedDB.databases()).length, (await caches.keys()).length,
]
"""


WRITTEN = """
() => {
  window.written = [];
  const { fillText } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
    written.push(text);
    fillText.call(this, text, ...place);
  };
}
"""
"""Notes all text that is written on canvases."""


def keeps(reader: Reader, what: str) -> tuple[str, bytes]:
    """Save something and return its file's name and bytes."""
    with reader.page.expect_download() as download:
        reader.presses(f"Save {what}")
    saved: Download = download.value
    return saved.suggested_filename, Path(saved.path()).read_bytes()


def picture(reader: Reader) -> Pixels:
    """Return the kept picture as rows x columns x 3."""
    _, png = keeps(reader, "picture")
    return np.asarray(Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB"))


def report(reader: Reader) -> str:
    """Return the words of the kept report, which has one page."""
    _, pdf = keeps(reader, "report")
    [page] = PdfReader(io.BytesIO(pdf), strict=True).pages
    return " ".join(page.extract_text().split())


def link(reader: Reader) -> str:
    """Copy the link and return it."""
    reader.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    reader.presses("Copy link")
    expect(reader.page.get_by_text("Link copied")).to_be_visible()
    return reader.page.evaluate("() => navigator.clipboard.readText()")


def told(reader: Reader) -> dict[str, str]:
    """Return the fields of the page's address, once it says what is in view."""
    reader.page.wait_for_url("**/#model=*")
    return {key: values[0] for key, values in parse_qs(urlsplit(reader.page.url).fragment).items()}


def compares(reader: Reader) -> None:
    reader.takes("Compare models")
    expect(reader.page.locator("figure figcaption", has_text="%")).to_have_count(3)


def test_the_picture_is_the_canvas_with_a_caption_under_it(reader: Reader) -> None:
    reader.opens(bright_square(), "SURNAME.png")
    reader.chooses(PNEUMONIA)
    seen = reader.sees()
    name, png = keeps(reader, "picture")
    kept = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    assert np.array_equal(kept[: len(seen)], seen)
    assert len(kept) > len(seen) + 60
    assert (kept[len(seen) + 2] == kept[-1]).all()  # the strip's ground
    assert name.startswith("tiny-pneumonia-20")
    assert "SURNAME" not in name


def test_models_side_by_side_are_kept_side_by_side_and_each_is_named(comparer: Reader) -> None:
    comparer.opens(bright_square())
    compares(comparer)
    comparer.chooses(PNEUMONIA)
    comparer.page.evaluate(WRITTEN)
    kept = picture(comparer)
    panels = [comparer.sees(name) for name in NAMES]
    assert np.array_equal(kept[: len(panels[0])], np.hstack(panels))
    lines = [line.replace("\u202f", " ") for line in comparer.page.evaluate("() => written")]
    assert lines[0].startswith("1. alpha 1.0.0: Pneumonia ")
    assert lines[0].endswith("called, threshold 10 %; full colour from 1.2")
    assert lines[1].startswith("2. beta 2.0.0: Pneumonia ")
    assert lines[2].startswith("3. gamma 3.0.0: Pneumonia ")
    assert "no decision (unlike the films this model knows)" in lines[2]
    assert "Research use only. Not a medical device." in lines


def test_the_answer_holds_every_model_that_was_read(comparer: Reader) -> None:
    comparer.opens(bright_square())
    compares(comparer)
    masks(comparer, 10, 20, 100, 200)
    table(comparer)
    name, text = keeps(comparer, "answer")
    kept = json.loads(text)
    assert [answer["model"]["name"] for answer in kept["models"]] == list(NAMES)
    assert kept["masked"]["mask"] == [10, 20, 100, 200]
    assert "film_name" not in kept
    assert name.endswith(".json")


def test_the_report_is_one_page_about_the_class_in_view(comparer: Reader) -> None:
    comparer.opens(bright_square(), "SURNAME.png")
    comparer.chooses(PNEUMONIA)
    said = report(comparer)
    probability = comparer.finding(PNEUMONIA).locator(".probability").inner_text()
    for words in (
        PNEUMONIA,
        probability.replace("\u202f", " "),
        "alpha 1.0.0",
        "Research use only",
    ):
        assert words in said.replace("\u202f", " ")
    assert "SURNAME" not in said
    assert "Rectangle" not in said


def test_a_mask_is_told_in_picture_and_report(reader: Reader) -> None:
    reader.opens(bright_square())
    reader.chooses(PNEUMONIA)
    without = picture(reader)
    masks(reader, 240, 160, 480, 320)
    masked = table(reader)[1][1]
    assert len(picture(reader)) > len(without)  # one line more
    said = report(reader).replace("\u202f", " ")
    assert f"240 \u00d7 160 pixels at 240, 160: with it masked, Pneumonia {masked} %" in said


def test_the_report_of_models_side_by_side_shows_the_map_of_the_one_it_is_about(
    comparer: Reader,
) -> None:
    comparer.opens(bright_square())
    comparer.chooses(PNEUMONIA)
    kinds = []
    for mode in ("One film", "Compare models"):
        comparer.takes(mode)
        _, pdf = keeps(comparer, "report")
        images = PdfReader(io.BytesIO(pdf)).pages[0].images
        kinds.append(np.asarray(images[1].image.convert("RGB"), int))
    assert np.ptp(kinds[0], axis=2).max() > 50  # in colour: the last panel's model refuses the film
    assert abs(kinds[0] - kinds[1]).max() < 8


def test_a_link_leads_to_the_same_view(comparer: Reader, browser: Browser) -> None:
    comparer.opens(bright_square(), "SURNAME.png")
    comparer.page.get_by_role("radio", name="beta").check()
    comparer.chooses(PNEUMONIA)
    compares(comparer)
    comparer.page.get_by_label("Centre").fill("110")
    comparer.page.get_by_label("Width").fill("190")
    comparer.canvas("gamma").hover(position={"x": 90, "y": 300})
    comparer.page.mouse.wheel(0, -500)
    comparer.presses("Turn a quarter")
    comparer.presses("Exchange black and white")
    comparer.sets_opacity(70)
    comparer.page.get_by_label("Hide weak evidence").fill("20")
    for look in ("For and against", "Raw grid"):
        comparer.page.get_by_label(look).check()
    with reading(browser, link(comparer)) as other:
        other.opens(bright_square(), "SURNAME.png")
        expect(other.page.locator("figure figcaption", has_text="%")).to_have_count(3)
        for name in NAMES:
            seen, expected = (one.sees(name).astype(int) for one in (other, comparer))
            assert abs(seen - expected).max() <= 2  # a link's numbers have six digits
        assert told(other) == told(comparer)
        assert told(other)["window"] == "110_190"
        expect(other.page.get_by_role("radio", name="beta")).to_be_checked()
        assert other.faults == []


def test_the_address_tells_the_view_and_nothing_of_the_film(reader: Reader) -> None:
    reader.opens(bright_square(), "SURNAME.png")
    for key in "+ir":
        reader.page.keyboard.press(key)
    masks(reader, 10, 20, 100, 200)
    table(reader)
    reader.page.wait_for_url("**rotation=90*")
    assert set(told(reader)) == {"model", "class", "zoom", "centre", "rotation", "invert"}
    assert "SURNAME" not in reader.page.url
    assert reader.page.evaluate("() => history.length") <= 2


def test_an_edited_address_is_followed_and_so_is_going_back(comparer: Reader) -> None:
    comparer.opens(bright_square())
    comparer.chooses(NORMAL)
    told(comparer)
    comparer.page.evaluate(
        "location.hash = 'model=beta&class=mass&mode=beside&rotation=90&opacity=0.9'"
    )
    expect(comparer.finding("Mass").get_by_role("radio")).to_be_checked()
    expect(comparer.page.get_by_label("Opacity")).to_have_value("90")
    expect(comparer.page.locator("figure")).to_have_count(2)
    comparer.page.go_back()
    expect(comparer.finding(NORMAL).get_by_role("radio")).to_be_checked()
    expect(comparer.page.get_by_role("radio", name="alpha")).to_be_checked()
    expect(comparer.page.get_by_label("Opacity")).to_have_value("50")
    expect(comparer.page.locator("figure")).to_have_count(1)


BAD = "#model=nothing&class=%3Cb%3E&mode=four&zoom=1e9&window=1_0&rotation=45&opacity=7&x=%E0%A4"


def test_a_bad_link_is_as_good_as_none(reader: Reader, browser: Browser) -> None:
    reader.opens(bright_square())
    with reading(browser, f"{reader.address}/{BAD}") as other:
        other.opens(bright_square())
        assert np.array_equal(other.sees(), reader.sees())
        other.page.evaluate(f"location.hash = '{BAD}&invert=true'")
        expect(other.page.locator("#notice")).to_be_hidden()
        other.page.wait_for_url(lambda url: "nothing" not in url and "invert" in url)
        other.page.keyboard.press("i")
        other.page.wait_for_url(lambda url: "invert" not in url)
        assert told(other) == told(reader)
        assert other.faults == []
        assert not any("nothing" in url for url in other.requests if "/v1/" in url)


def test_a_links_window_is_taken_where_it_suits_the_film(reader: Reader) -> None:
    reader.opens(bright_square())
    for window, width in (
        ("100_50", "50"),
        ("2048_4096", "256"),
        ("90_60", "60"),
        ("-900_40", "256"),
    ):
        reader.page.evaluate(f"location.hash = 'window={window}'")
        expect(reader.page.get_by_label("Width")).to_have_value(width)


def test_a_link_is_for_the_first_film_and_the_next_begins_with_its_own_window(
    browser: Browser, address: str
) -> None:
    with reading(browser, f"{address}/#window=100_50&rotation=90&class=normal") as reader:
        reader.opens(bright_square())
        expect(reader.finding(NORMAL).get_by_role("radio")).to_be_checked()
        reader.opens(bright_square(300, 300))
        expect(reader.page.get_by_label("Width")).to_have_value("256")
        reader.page.wait_for_url(lambda url: "rotation" not in url)


def test_the_films_name_is_asked_for_again_with_each_film(reader: Reader) -> None:
    reader.opens(bright_square(), "SURNAME.png")
    reader.page.get_by_label("With the file\u2019s name").check()
    assert json.loads(keeps(reader, "answer")[1])["film_name"] == "SURNAME.png"
    reader.opens(bright_square(300, 300), "SECOND.png")
    expect(reader.page.get_by_label("With the file\u2019s name")).not_to_be_checked()


def test_the_theme_is_kept_and_nothing_else(reader: Reader) -> None:
    theme = reader.page.locator("html")
    expect(theme).to_have_attribute("data-theme", "dark")
    reader.opens(bright_square(), "SURNAME.png")
    told(reader)
    reader.presses("Light / dark")
    expect(theme).to_have_attribute("data-theme", "light")
    reader.page.reload()
    expect(theme).to_have_attribute("data-theme", "light")
    assert reader.page.evaluate(STORED) == [["theme"], [], "", 0, 0]
    assert reader.page.evaluate("() => localStorage.theme") == "light"
