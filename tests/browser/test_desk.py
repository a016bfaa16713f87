"""Tests of the film on the desk: zoom, pan, turn, window, pixel values and scale bar."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Locator, expect

from tests.browser.films import dicom
from tests.browser.hand import Hand
from tests.browser.reader import Reader
from tests.support.tiny_model import picture

pytestmark = pytest.mark.browser

SPACED = """
() => {
  window.said = [];
  const { fillText } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
    window.said.push(text);
    return fillText.call(this, text, ...place);
  };
}
"""


def noise(rows: int = 321, columns: int = 480, *, bits: int = 8) -> NDArray[np.unsignedinteger]:
    """Return a grey film of which no two parts are alike, with its darkest and brightest values."""
    kind = np.uint8 if bits == 8 else np.uint16
    most = 2**bits
    film = np.random.default_rng(1).integers(most // 8, most // 2, (rows, columns), dtype=kind)
    film[0, :2] = most // 8 - 1, most // 2
    return film


def placed(film: NDArray[Any], shape: tuple[int, int], top: int, left: int) -> NDArray[Any]:
    """Return what a black canvas shows of a film whose corner lies somewhere, even outside."""
    rows, columns = shape
    black = np.zeros((rows + 2 * film.shape[0], columns + 2 * film.shape[1]), film.dtype)
    y, x = top + film.shape[0], left + film.shape[1]
    black[y : y + film.shape[0], x : x + film.shape[1]] = film
    return black[film.shape[0] : film.shape[0] + rows, film.shape[1] : film.shape[1] + columns]


def shows_exactly(reader: Reader, film: NDArray[np.uint8], *, turns: int = 0) -> bool:
    """Return whether the canvas is this film, one film pixel on one canvas pixel, and nothing else.

    Where the film lies, the page says of the pixel in the canvas' middle.
    """
    hand = Hand(reader)
    column, row = hand.middle()
    pointed = hand.points((column, row))
    assert pointed is not None
    x, y, _ = pointed
    rows = film.shape[0]
    at_x, at_y = (rows - 1 - y, x) if turns else (x, y)
    turned = np.rot90(film, -turns)
    seen = reader.sees()
    expected = placed(turned, seen.shape[:2], row - at_y, column - at_x)
    return np.array_equal(seen, np.repeat(expected[..., None], 3, axis=-1))


def window(reader: Reader) -> tuple[float, float]:
    """Return centre and width of the window that the page says."""
    words = reader.page.locator("#view-words").inner_text()
    found = re.search(r"window (\S+) / (\S+)", words)
    assert found
    return float(found[1]), float(found[2])


def zoom(reader: Reader) -> int:
    """Return the zoom that the page says, in per cent."""
    reader.sees()
    found = re.search(r"Zoom ([\d,]+)", reader.page.locator("#view-words").inner_text())
    assert found
    return int(found[1].replace(",", ""))


def preset_of(reader: Reader) -> Locator:
    """Return the choice of a window."""
    return reader.page.get_by_role("combobox", name="Window")


def grey(values: NDArray[Any], centre: float, width: float) -> NDArray[np.float64]:
    """Return the grey of values in a window, of 255 (DICOM PS3.3 C.11.2.1.2, LINEAR)."""
    return 255 * np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


@pytest.mark.parametrize(("size", "ratio"), [((321, 480), 1), ((1101, 1200), 1), ((321, 480), 2)])
def test_at_one_to_one_each_film_pixel_is_a_pixel_of_the_screen(
    browser: Browser, address: str, size: tuple[int, int], ratio: int
) -> None:
    film = noise(*size)
    with at_ratio(browser, address, ratio) as reader:
        reader.opens(picture(film))
        reader.presses("One film pixel on one screen pixel")
        assert zoom(reader) == 100
        assert shows_exactly(reader, film)
        Hand(reader).drags((200, 300), (63, -41))
        assert shows_exactly(reader, film)
        reader.page.keyboard.press("r")
        assert shows_exactly(reader, film, turns=1)
        reader.page.keyboard.press("i")
        assert not shows_exactly(reader, film, turns=1)


@contextmanager
def at_ratio(browser: Browser, address: str, ratio: int) -> Iterator[Reader]:
    """Give a reader in front of a screen with so many pixels to a CSS pixel's side."""
    size = {"width": 1280 // ratio, "height": 800}
    with browser.new_context(viewport=size, device_scale_factor=ratio) as context:
        yield Reader(context.new_page(), address)


def test_the_wheel_zooms_to_the_pointer(reader: Reader) -> None:
    reader.opens(picture(noise()))
    hand = Hand(reader)
    place, before = (250, 200), zoom(reader)
    pointed = hand.points(place)
    hand.wheels(place, 700)
    assert zoom(reader) > 2 * before
    assert hand.pointed() == pointed
    hand.wheels(place, -700)
    assert hand.pointed() == pointed
    assert zoom(reader) == before


def test_a_drag_moves_the_film_with_the_pointer(reader: Reader) -> None:
    reader.opens(picture(noise()))
    reader.page.keyboard.press("1")
    hand, before = Hand(reader), reader.sees()
    start, end = (300, 250), (350, 180)
    pointed = hand.points(start)
    hand.drags(start, (50, -70))
    assert hand.points(end) == pointed
    assert np.array_equal(reader.sees()[:-70, 50:], before[70:, :-50])


@pytest.mark.parametrize("action", ["-", "1", "r", "i"])
def test_each_button_does_what_its_key_does_and_reset_takes_it_back(
    reader: Reader, action: str
) -> None:
    buttons = {"-": "Zoom out", "1": "One film pixel", "r": "Turn a quarter", "i": "Exchange black"}
    reader.opens(picture(noise(700, 500)))
    whole = reader.sees()
    reader.presses(buttons[action])
    by_button = reader.sees()
    assert not np.array_equal(by_button, whole)
    reader.presses("View, window and inversion as they were")
    assert np.array_equal(reader.sees(), whole)
    reader.page.keyboard.press(action)
    assert np.array_equal(reader.sees(), by_button)
    reader.page.keyboard.press("Escape")
    assert np.array_equal(reader.sees(), whole)


def test_a_film_can_be_fitted_again_by_button_and_key(reader: Reader) -> None:
    reader.opens(picture(noise(700, 500)))
    whole = reader.sees()
    for fit in (
        lambda: reader.presses("Show the whole film"),
        lambda: reader.page.keyboard.press("0"),
    ):
        for closer in (lambda: reader.page.keyboard.press("+"), lambda: reader.presses("Zoom in")):
            closer()
            assert not np.array_equal(reader.sees(), whole)
            fit()
            assert np.array_equal(reader.sees(), whole)


def test_a_turned_film_is_fitted_whole_with_its_top_at_the_right(reader: Reader) -> None:
    film = noise(300, 600)
    film[:30] = 255
    reader.opens(picture(film))
    reader.presses("Turn a quarter")
    seen = reader.sees()[..., 0]
    assert np.flatnonzero(seen.max(axis=1) > 20).tolist() == list(range(seen.shape[0]))
    columns = np.flatnonzero(seen.max(axis=0) > 20)
    bright = np.flatnonzero(np.median(seen, axis=0) > 250)
    assert bright[-1] >= columns[-1] - 1
    assert len(bright) == pytest.approx(len(columns) / 10, abs=2)


@pytest.mark.parametrize(("tool", "button"), [("Window", "left"), ("Move", "right")])
def test_a_drag_windows_the_film(reader: Reader, tool: str, button: str) -> None:
    film = noise(bits=12)
    reader.opens(dicom(film, bits=12, negative=False), "film.dcm")
    reader.page.keyboard.press("1")
    reader.takes(tool)
    seen, (centre, width) = reader.sees(), window(reader)
    Hand(reader).drags((100, 100), (seen.shape[1] // 4, seen.shape[0] // 8), button=button)
    now, high_less_low = reader.sees(), int(np.ptp(film))
    wider, darker = seen.shape[1] // 4 / seen.shape[1], seen.shape[0] // 8 / seen.shape[0]
    assert window(reader) == pytest.approx(
        (centre + darker * high_less_low, width + wider * high_less_low), abs=0.2
    )
    assert now.mean() < seen.mean()
    assert preset_of(reader).input_value() == "own"


DEEP = [(12, False, 1.0, 0.0), (14, True, 1.0, -1024.0), (16, False, 0.5, 10.0)]


@pytest.mark.parametrize(("bits", "negative", "slope", "intercept"), DEEP)
def test_a_dicom_film_keeps_its_real_values(
    reader: Reader, bits: int, negative: bool, slope: float, intercept: float
) -> None:
    film = noise(bits=bits)
    rescale = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    reader.opens(dicom(film, bits=bits, negative=negative, **rescale), "film.dcm")
    reader.page.keyboard.press("1")
    reader.page.keyboard.press("Space")  # no map over it
    values = dicom_values(film, bits, negative) * slope + intercept
    hand = Hand(reader)
    for place in [hand.middle(), (300, 250), (500, 400)]:
        pointed = hand.points(place)
        assert pointed is not None
        column, row, value = pointed
        assert value == values[row, column]
    preset_of(reader).select_option("Full range")
    low, high = values.min(), values.max()
    assert window(reader) == pytest.approx(((low + high + 1) / 2, high - low + 1), abs=0.06)
    x, y, _ = hand.points(hand.middle()) or (0, 0, 0)
    column, row = hand.middle()
    part = reader.sees()[row - 100 : row + 100, column - 100 : column + 100, 0]
    shown = grey(values, (low + high + 1) / 2, high - low + 1)[y - 100 : y + 100, x - 100 : x + 100]
    assert np.abs(part - shown).max() <= 0.51


def dicom_values(film: NDArray[Any], bits: int, negative: bool) -> NDArray[np.int64]:
    """Return what a film's stored values are in the page: a negative is mirrored in its range."""
    stored = 2**bits - 1 - film.astype(np.int64) if negative else film.astype(np.int64)
    return stored.min() + stored.max() - stored if negative else stored


def test_a_png_of_sixteen_bits_keeps_them(reader: Reader) -> None:
    film = noise(bits=16)
    reader.opens(picture(film))
    hand = Hand(reader)
    for place in [hand.middle(), (300, 250)]:
        x, y, value = hand.points(place) or (0, 0, 0.0)
        assert value == film[y, x] > 8000
    assert window(reader) == (32768, 65536)
    assert hand.points((3, 3)) is None  # beside the film


def test_presets_numbers_and_brackets_choose_the_window(reader: Reader) -> None:
    film = noise(bits=12)
    header = {
        "WindowCenter": [1000, 600],
        "WindowWidth": [1500, 300],
        "WindowCenterWidthExplanation": ["NORMAL", "LUNG"],
    }
    reader.opens(dicom(film, bits=12, negative=False, **header), "film.dcm")
    preset = preset_of(reader)
    offered = preset.locator("option:not([hidden])").all_inner_texts()
    assert offered[:3] == ["As the models read it", "LUNG", "Full range"]
    assert window(reader) == (1000, 1500)
    as_read = reader.sees()
    preset.select_option("LUNG")
    assert not np.array_equal(reader.sees(), as_read)
    assert window(reader) == (600, 300)
    reader.page.get_by_label("Centre").fill("700.5")
    reader.page.get_by_label("Centre").press("Enter")
    reader.page.get_by_label("Width").fill("900")
    reader.page.get_by_label("Width").press("Tab")
    reader.sees()
    assert window(reader) == (700.5, 900)
    expect(preset).to_have_value("own")


def test_brackets_step_through_the_windows_and_come_round(reader: Reader) -> None:
    reader.opens(picture(noise()))
    preset, seen = preset_of(reader), []
    for _ in range(4):
        seen.append((preset.locator("option:checked").inner_text(), window(reader)))
        reader.page.keyboard.press("]")
        reader.sees()
    assert len({words for words, _ in seen}) == 4
    assert seen[0] == (preset.locator("option:checked").inner_text(), window(reader))
    reader.page.keyboard.press("[")
    reader.sees()
    assert seen[-1] == (preset.locator("option:checked").inner_text(), window(reader))


def bar_length(reader: Reader) -> int:
    """Return how many canvas pixels the scale bar is long, 0 without one."""
    seen = reader.sees()[..., 0]
    return int((seen[-20:-4] > 150).sum(axis=1).max())


def test_a_scale_bar_is_as_long_as_it_says_where_the_spacing_is_known(reader: Reader) -> None:
    reader.page.evaluate(SPACED)
    film = np.full((700, 900), 1000, np.uint16)
    film[0, :2] = 0, 4095
    for spacing, turns in [([0.1, 0.1], 0), ([0.2, 0.05], 0), ([0.2, 0.05], 1)]:
        header = {"PixelSpacing": spacing}
        reader.opens(dicom(film, bits=12, negative=False, **header), "film.dcm")
        reader.page.keyboard.press("1")
        for _ in range(turns):
            reader.page.keyboard.press("r")
        length = bar_length(reader)
        number, unit = reader.page.evaluate("() => said.at(-1)").split("\u202f")
        pixels = float(number) * {"mm": 1, "cm": 10}[unit] / spacing[0 if turns else 1]
        assert length == pytest.approx(pixels, abs=3)  # the line has a width


def test_there_is_no_scale_bar_where_the_spacing_is_unknown(reader: Reader) -> None:
    reader.page.evaluate(SPACED)
    reader.opens(picture(noise(700, 900)))
    assert bar_length(reader) == 0
    assert reader.page.evaluate("() => said") == []


def test_two_fingers_pinch_the_film_about_what_lies_between_them(
    browser: Browser, address: str
) -> None:
    size = {"width": 1024, "height": 768}
    with browser.new_context(viewport=size, has_touch=True) as context:
        reader = Reader(context.new_page(), address)
        reader.opens(picture(noise()))
        hand = Hand(reader)
        column, row = hand.middle()
        x, y, _ = hand.points((column + 20, row)) or (0, 0, 0)
        before = zoom(reader)
        apart = ((column - 30, row), (column + 70, row)), ((column - 80, row), (column + 120, row))
        hand.pinches(*apart)
        assert zoom(reader) == pytest.approx(2 * before, rel=0.02)
        held = hand.points((column + 20, row)) or (0, 0, 0)
        assert abs(held[0] - x) <= 1
        assert abs(held[1] - y) <= 1
