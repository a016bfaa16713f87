"""Tests of masking a part of the film and asking the model again."""

import io
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, expect

from tests.browser.axe import violations
from tests.browser.films import bright_square, dark_noise
from tests.browser.reader import Pixels, Reader
from tests.support.tiny_model import evidence, picture, softmax

pytestmark = pytest.mark.browser

MASK = (240, 160, 480, 320)
"""The lower right quarter, which is bright in `bright_square`."""
LINE = (125, 184, 240)


def asked(reader: Reader) -> list[tuple[str, str]]:
    """Return the model and the mask of each question about a masked film."""
    queries = [parse_qs(urlsplit(url).query) for url in reader.requests if "/predict" in url]
    return [(query["model"][0], query["mask"][0]) for query in queries]


def masks(reader: Reader, *sides: int) -> None:
    """Enter the sides of a rectangle, by keyboard alone."""
    reader.page.get_by_label("Left", exact=True).focus()
    for value in sides:
        reader.page.keyboard.press("Control+A")
        reader.page.keyboard.type(str(value))
        if value is not sides[-1]:
            reader.page.keyboard.press("Tab")
    reader.page.keyboard.press("Enter")


def drags(reader: Reader, start: Any, end: Any, panel: str = "mapped") -> None:
    """Draw from one point of a panel's canvas to another."""
    box = reader.canvas(panel).bounding_box()
    assert box is not None
    reader.page.mouse.move(box["x"] + start[0], box["y"] + start[1])
    reader.page.mouse.down()
    reader.page.mouse.move(box["x"] + end[0], box["y"] + end[1], steps=3)
    reader.page.mouse.up()


def said(reader: Reader) -> Locator:
    """Return the sentence about the mask."""
    return reader.page.locator("#occlusion [role=status]")


def table(reader: Reader) -> list[list[str]]:
    """Return what each row says after its class: as it is, masked, the change."""
    rows = reader.page.locator("#occlusion tbody tr")
    rows.first.wait_for()
    return [
        [cell.split("\u202f")[0] for cell in row.locator("td").all_inner_texts()]
        for row in rows.all()
    ]


def has_rectangle(pixels: Pixels) -> bool:
    return bool((pixels == LINE).all(axis=2).any())


def bright_corners(pixels: Pixels) -> tuple[Any, Any]:
    """Return the upper left and the lower right corner, x and y, of what is bright."""
    rows, columns = np.nonzero(pixels.min(axis=2) > 230)
    return (
        (float(columns.min()), float(rows.min())),
        (float(columns.max() + 1), float(rows.max() + 1)),
    )


def worked_out(film: bytes, mask: tuple[int, ...] | None = None) -> Any:
    """Return the tiny model's probabilities, by numpy."""
    pixels = np.array(Image.open(io.BytesIO(film)), np.float32)
    if mask:
        pixels[mask[1] : mask[3], mask[0] : mask[2]] = np.median(pixels)
    small = pixels.reshape(32, 10, 48, 10).mean(axis=(1, 3))
    return softmax(evidence(small).mean(axis=(1, 2)))


def test_the_probabilities_with_a_part_masked_stand_beside_those_of_the_film(
    reader: Reader,
) -> None:
    reader.opens(bright_square())
    masks(reader, *MASK)
    before, after = (worked_out(bright_square(), mask) for mask in (None, MASK))
    for row, one, other in zip(table(reader), before, after, strict=True):
        assert [float(row[0]), float(row[1])] == pytest.approx([100 * one, 100 * other], abs=1)
        assert float(row[2].replace("\u2212", "-")) == pytest.approx(100 * (other - one), abs=1)
    assert abs(after - before).max() > 0.1
    assert asked(reader) == [("tiny", "240,160,480,320")]
    expect(said(reader)).to_have_text("With 240 \u00d7 160 pixels at 240, 160 masked:")
    assert has_rectangle(reader.sees())
    assert violations(reader.page) == []


def test_what_stands_there_is_the_servers_own_answer_for_this_mask(reader: Reader) -> None:
    reader.opens(bright_square())
    with reader.page.expect_response("**/v1/predict?*") as response:
        masks(reader, 10, 20, 130, 300)
    answer = response.value.json()
    assert answer["mask"] == [10, 20, 130, 300]
    expected = [round(100 * finding["probability"]) for finding in answer["findings"]]
    assert [float(row[1]) for row in table(reader)] == expected


SEEN_AS = {
    "fitted": [],
    "closer, turned": ["+", "+", "r"],
    "one to one, upside down": ["1", "r", "r"],
}


@pytest.mark.parametrize("keys", SEEN_AS.values(), ids=SEEN_AS)
def test_a_drawn_rectangle_is_asked_about_in_film_pixels(reader: Reader, keys: list[str]) -> None:
    film = dark_noise(900, 1200)
    film[400:520, 500:660] = 250
    reader.opens(picture(film))
    for key in [" ", *keys]:  # the map is hidden
        reader.page.keyboard.press(key)
    drags(reader, (300, 300), (340, 270))  # a move
    reader.takes("Mask")
    with reader.page.expect_request("**/v1/predict?*"):
        drags(reader, *bright_corners(reader.sees()))
    [(_, mask)] = asked(reader)
    assert [int(side) for side in mask.split(",")] == pytest.approx([500, 400, 660, 520], abs=3)


def test_a_click_masks_nothing_and_takes_no_mask_away(reader: Reader) -> None:
    reader.opens(bright_square())
    reader.page.keyboard.press("m")
    drags(reader, (300, 300), (300, 300))
    drags(reader, (300, 300), (302, 301))
    expect(said(reader)).to_contain_text("Mask it and see")
    assert not has_rectangle(reader.sees())
    masks(reader, *MASK)
    assert len(table(reader)) == 3
    drags(reader, (300, 300), (301, 300))
    assert has_rectangle(reader.sees())
    assert len(asked(reader)) == 1


def test_a_mask_is_taken_away_by_key_and_by_button(reader: Reader) -> None:
    reader.opens(bright_square())
    for take_away in (lambda: reader.page.keyboard.press("x"), lambda: reader.presses("Take the")):
        masks(reader, *MASK)
        table(reader)
        reader.page.get_by_role("button", name="Mask a rectangle by hand").focus()
        take_away()
        assert not has_rectangle(reader.sees())
        expect(said(reader)).to_contain_text("Mask it and see")
        expect(reader.page.locator("#occlusion table")).to_have_count(0)
    expect(reader.page.get_by_role("button", name="Mask a rectangle by hand")).to_be_focused()
    assert len(asked(reader)) == 1  # the second time the answer was known


def test_a_rectangle_beside_the_film_is_said_to_be_empty(reader: Reader) -> None:
    reader.opens(bright_square())
    masks(reader, 100, 50, 100, 80)
    expect(said(reader)).to_have_text("This rectangle holds no pixel of the film.")
    assert asked(reader) == []
    masks(reader, 200, 80, 100, 50)  # from the other corner
    table(reader)
    assert asked(reader) == [("tiny", "100,50,200,80")]


def test_what_goes_wrong_is_said_and_can_be_tried_again(reader: Reader) -> None:
    reader.opens(bright_square())
    refusal = {"title": "Overloaded", "detail": "Ask again later."}
    reader.page.route("**/v1/predict*", lambda route: route.fulfill(status=429, json=refusal))
    masks(reader, *MASK)
    expect(said(reader)).to_have_text("Overloaded. Ask again later.")
    reader.page.unroute("**/v1/predict*")
    reader.presses("Mask it")
    assert len(table(reader)) == 3


def test_another_model_is_asked_about_the_same_mask(comparer: Reader) -> None:
    comparer.opens(bright_square())
    comparer.takes("Compare models")
    expect(comparer.page.locator("figure figcaption", has_text="%")).to_have_count(3)
    comparer.takes("Mask")
    with comparer.page.expect_response("**/v1/predict?*"):
        drags(comparer, (40, 300), (120, 340), panel="beta")
    assert all(has_rectangle(comparer.sees(name)) for name in ("alpha", "beta", "gamma"))
    with comparer.page.expect_response("**/v1/predict?*"):
        comparer.page.get_by_role("radio", name="beta").check()
    expect(comparer.page.locator("#occlusion tbody th").last).to_have_text("Mass")
    [(one, mask), (other, same)] = asked(comparer)
    assert (one, other) == ("alpha", "beta")
    assert mask == same


def test_the_next_film_has_no_mask(reader: Reader) -> None:
    reader.opens(bright_square())
    masks(reader, *MASK)
    table(reader)
    reader.opens(bright_square(300, 300))
    assert not has_rectangle(reader.sees())
    expect(reader.page.locator("#occlusion table")).to_have_count(0)
    expect(reader.page.get_by_label("Right", exact=True)).to_have_value("200")
