"""Tests of a film's own pixels (`film_pixels.js`): values, windows, drawing."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.browser.reader import Reader

pytestmark = pytest.mark.browser

DRAWN = """
async ([about, raw, canvas, scene]) => {
  const { FilmPixels } = await import("/desk/film_pixels.js");
  const { filmToCanvas, visibleBox } = await import("/desk/geometry.js");
  const film = new FilmPixels(about, Uint16Array.from(raw));
  const view = { zoom: scene.zoom, x: 0.5, y: 0.5, turns: 0 };
  const context = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
  const [a, b, c, d, e, f] = filmToCanvas(view, film, canvas);
  context.setTransform(a, d, b, e, c, f);
  film.draw(context, visibleBox([a, b, c, d, e, f], film, canvas), scene);
  return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data);
}
"""


@pytest.fixture(scope="module")
def reader(shared_reader: Reader) -> Reader:
    return shared_reader


def drawn(
    reader: Reader, raw: NDArray[np.uint16], *, zoom: float = 1, **scene: Any
) -> NDArray[np.uint8]:
    """Return what the page draws of a film at a zoom: [rows, columns] of grey."""
    rows, columns = raw.shape
    about = {"rows": rows, "columns": columns, "slope": 1, "intercept": 0}
    canvas = {"width": round(zoom * columns), "height": round(zoom * rows)}
    usual = {"window": {"centre": 128, "width": 256}, "inverted": False, "zoom": zoom}
    pixels = reader.page.evaluate(DRAWN, [about, raw.ravel().tolist(), canvas, usual | scene])
    return np.array(pixels, np.uint8).reshape(canvas["height"], canvas["width"], 4)[..., 0]


def noise(rows: int = 24, columns: int = 31) -> NDArray[np.uint16]:
    return np.random.default_rng(0).integers(0, 256, (rows, columns), dtype=np.uint16)


def test_eight_bits_in_the_full_window_are_drawn_as_they_are(reader: Reader) -> None:
    assert (drawn(reader, noise()) == noise()).all()


def test_a_window_is_dicoms_linear_one(reader: Reader) -> None:
    grey = drawn(reader, noise(), window={"centre": 100, "width": 50})
    wanted = ((noise() - 99.5) / 49 + 0.5).clip(0, 1) * 255  # PS3.3 C.11.2.1.2
    assert np.abs(grey - wanted).max() <= 0.5


def test_inversion_exchanges_black_and_white(reader: Reader) -> None:
    assert (drawn(reader, noise(), inverted=True) == 255 - noise()).all()


def test_a_film_seen_from_far_is_averaged_not_sampled(reader: Reader) -> None:
    chequered = (np.indices((64, 64)).sum(0) % 2 * 200).astype(np.uint16)
    assert set(np.unique(drawn(reader, chequered, zoom=0.25))) == {100}


def test_odd_sizes_keep_their_last_row_and_column_in_place(reader: Reader) -> None:
    film = np.zeros((41, 41), np.uint16)
    film[20:] = 200
    grey = drawn(reader, film, zoom=0.5)
    assert grey[:9].max() == 0
    assert grey[11:].min() == 200


def test_a_value_is_rescaled_and_there_is_none_beside_the_film(reader: Reader) -> None:
    values = reader.page.evaluate("""async () => {
      const { FilmPixels } = await import("/desk/film_pixels.js");
      const about = { rows: 2, columns: 3, slope: 0.5, intercept: -10 };
      const film = new FilmPixels(about, Uint16Array.of(0, 1, 2, 3, 4, 50));
      const points = [[2.9, 1.2], [0, 0], [3, 0], [-0.1, 0]];
      return points.map((point) => film.valueAt(...point));
    }""")
    assert values == [15, -10, None, None]


def test_a_dragged_window_widens_to_the_right_and_darkens_downwards(reader: Reader) -> None:
    window = reader.page.evaluate("""async () => {
      const { draggedWindow } = await import("/desk/window_control.js");
      return draggedWindow({ centre: 50, width: 40 }, [0.1, 0.2], { low: 0, high: 100 });
    }""")
    assert window == pytest.approx({"centre": 70, "width": 50})


def test_the_full_window_reaches_from_the_lowest_value_to_the_highest(reader: Reader) -> None:
    [full] = reader.page.evaluate("""async () => {
      const { windowsOf } = await import("/desk/window_control.js");
      const windows = windowsOf({ windows: [{ centre: 128, width: 256 }], low: 10, high: 90 });
      return windows.filter(({ name }) => name === "Full range");
    }""")
    black = full["centre"] - 0.5 - (full["width"] - 1) / 2
    assert (black, black + full["width"] - 1) == (10, 90)
