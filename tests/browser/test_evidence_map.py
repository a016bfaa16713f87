"""The map on the film: where it lies, when it is hidden, what is said about it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import expect

from docs.make_screenshot import show_film, show_map
from models.card import DecisionThreshold, ResizeMode
from models.radiograph import network_pixels, read_radiograph
from tests import tiny_model
from tests.browser.films import EFFUSION, NORMAL, PNEUMONIA, all_bright, bright_square
from tests.browser.reader import READ, Pixels, Reader
from xai.heatmap import film_heat, heat

pytestmark = pytest.mark.browser

ALWAYS_CALLED = [DecisionThreshold(value=0, sensitivity=1, specificity=1)] * 3


def painted_heat(reader: Reader, rows: int, columns: int) -> NDArray[np.float64]:
    """Return the heat that explains the picture best, at the middle of every 10 x 10 film pixels.

    The slider must stand at full opacity.
    """
    grey = sampled(reader.sees("plain"), rows, columns)[..., :1]
    seen = sampled(reader.sees("mapped"), rows, columns)
    fits = [
        np.abs((255 - level) * grey + level * colour - 255 * seen).sum(axis=-1)
        for level, colour in enumerate(reader.colours().astype(np.int32))
    ]
    return np.argmin(fits, axis=0) / 255


def sampled(seen: Pixels, rows: int, columns: int) -> NDArray[np.int32]:
    """Return the canvas at every tenth pixel of a film that is fitted into it."""
    height, width, _ = seen.shape
    scale = min(height / rows, width / columns)
    y = (height - scale * rows) / 2 + scale * (np.arange(5, rows, 10) + 0.5)
    x = (width - scale * columns) / 2 + scale * (np.arange(5, columns, 10) + 0.5)
    return seen[np.ix_(y.astype(int), x.astype(int))].astype(np.int32)


@pytest.mark.parametrize("resize_mode", ["stretch", "letterbox"])
@pytest.mark.parametrize(("rows", "columns"), [(320, 600), (480, 320)])
def test_the_map_lies_where_the_model_saw_it(
    reader_of: Callable[..., Reader], resize_mode: ResizeMode, rows: int, columns: int
) -> None:
    film = bright_square(rows, columns)
    reader = reader_of(resize_mode=resize_mode, decision_thresholds=ALWAYS_CALLED)
    reader.opens(film)
    reader.chooses(PNEUMONIA)
    reader.sets_opacity(100)
    painted = painted_heat(reader, rows, columns)
    expected = expected_heat(film, resize_mode)[5::10, 5::10]
    row, column = np.unravel_index(np.argmax(painted), painted.shape)
    assert row >= painted.shape[0] // 2  # in the square
    assert column >= painted.shape[1] // 2
    assert np.abs(painted - expected).mean() < 0.02


def expected_heat(film: bytes, resize_mode: ResizeMode) -> NDArray[np.float32]:
    """Return the heat for pneumonia on the film, worked out without browser and server."""
    radiograph = read_radiograph(film)
    seen = network_pixels(radiograph, image_size=tiny_model.IMAGE_SIZE, resize_mode=resize_mode)
    cells = cell_means(seen.pixels)
    warm = heat(4 * (cells - 0.5), evidence_scale=1.2)
    affine = seen.grid_affine(tiny_model.GRID)
    return film_heat(warm, affine, radiograph.rows, radiograph.columns)


def cell_means(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of each cell of the tiny model's grid."""
    (rows, columns), (height, width) = tiny_model.GRID, pixels.shape
    return pixels.reshape(rows, height // rows, columns, width // columns).mean(axis=(1, 3))


def test_the_original_stands_beside_the_overlay_and_has_no_colour(reader: Reader) -> None:
    reader.opens(bright_square())
    reader.chooses(PNEUMONIA)
    original, overlay = reader.sees("plain"), reader.sees("mapped")
    assert original.shape == overlay.shape
    assert np.ptp(original, axis=-1).max() == 0
    assert np.ptp(overlay, axis=-1).max() > 40
    boxes = [reader.page.locator(f"#{name}").bounding_box() for name in ("original", "overlay")]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]


def test_the_opacity_slider_changes_the_overlay_and_zero_leaves_the_film(reader: Reader) -> None:
    reader.opens(bright_square())
    reader.chooses(PNEUMONIA)
    half = reader.sees("mapped")
    reader.sets_opacity(100)
    assert np.abs(reader.sees("mapped").astype(int) - half).max() > 40
    reader.sets_opacity(0)
    assert np.array_equal(reader.sees("mapped"), reader.sees("plain"))


def test_another_class_has_another_map(reader: Reader) -> None:
    reader.opens(bright_square())
    reader.chooses(PNEUMONIA)
    expect(reader.page.locator("#map-name")).to_have_text(PNEUMONIA)
    assert "Where the model sees" in reader.explanation()
    reader.chooses(EFFUSION)
    assert "No position argues for this class" in reader.explanation()
    assert np.array_equal(reader.sees("mapped"), reader.sees("plain"))


def test_classes_can_be_switched_with_the_arrow_keys(reader: Reader) -> None:
    reader.opens(bright_square())
    reader.page.get_by_role("radio", name=NORMAL).focus()
    reader.page.keyboard.press("ArrowDown")
    expect(reader.page.get_by_role("radio", name=PNEUMONIA)).to_be_checked()
    expect(reader.page.locator("#map-name")).to_have_text(PNEUMONIA)


def test_a_map_below_the_threshold_is_hidden_until_asked_for(reader: Reader) -> None:
    reader.opens(bright_square())  # most likely normal, but not called
    assert "Below the decision threshold: map hidden" in reader.explanation()
    assert np.array_equal(reader.sees("mapped"), reader.sees("plain"))
    reader.presses("Show it anyway")
    assert "Shown although below the decision threshold" in reader.explanation()
    assert np.ptp(reader.sees("mapped"), axis=-1).max() > 40
    reader.presses("Hide the map")
    assert np.array_equal(reader.sees("mapped"), reader.sees("plain"))


def test_a_film_unlike_the_training_films_is_refused_politely(reader: Reader) -> None:
    reader.opens(all_bright())
    reader.chooses(PNEUMONIA)
    assert "Unlike the films this model knows: no decision, no map" in reader.explanation()
    expect(reader.finding(PNEUMONIA)).to_contain_text("No decision")
    expect(reader.page.locator("#facts")).to_contain_text("Unlike them: above the limit of 8")
    assert np.array_equal(reader.sees("mapped"), reader.sees("plain"))


def test_the_map_of_a_refused_film_can_be_demanded(reader: Reader) -> None:
    reader.opens(all_bright())
    reader.presses("Ask for the maps anyway")
    expect(reader.page.get_by_role("button", name="Ask for the maps anyway")).to_be_hidden()
    reader.chooses(PNEUMONIA)
    assert "unlike those the model knows" in reader.explanation()
    expect(reader.finding(PNEUMONIA)).to_contain_text("No decision")
    assert np.ptp(reader.sees("mapped"), axis=-1).max() > 40


def test_a_refused_sample_is_said_to_be_a_drawing_whose_maps_can_be_demanded(
    reader_of: Callable[..., Reader],
) -> None:
    reader = reader_of(distance_threshold=0.01)
    reader.presses("Opacity")
    reader.page.wait_for_selector(READ)
    assert "This is a drawing, unlike the films this model knows" in reader.explanation()
    assert "You may ask for the maps anyway" in reader.explanation()
    reader.presses("Ask for the maps anyway")
    reader.page.wait_for_selector(READ)
    reader.opens(bright_square())
    assert "This is a drawing" not in reader.explanation()


@pytest.mark.parametrize("limit", [0.01, 100.0])  # all films are refused, none is
@pytest.mark.parametrize("class_name", [None, "pneumonia", "normal"])
def test_the_screenshot_shows_a_map_that_the_page_holds_back(
    reader_of: Callable[..., Reader], tmp_path: Path, limit: float, class_name: str | None
) -> None:
    reader = reader_of(distance_threshold=limit)
    (tmp_path / "film.png").write_bytes(bright_square())
    show_film(reader.page, tmp_path / "film.png", sample="")
    show_map(reader.page, class_name, opacity=100)
    assert np.ptp(reader.sees("mapped"), axis=-1).max() > 40
    expect(reader.page.get_by_role("slider")).to_have_value("100")


def test_the_screenshot_does_without_the_map_of_a_class_that_has_none(reader: Reader) -> None:
    show_film(reader.page, None, sample="drawn_normal")
    show_map(reader.page, "effusion", opacity=100)
    expect(reader.page.get_by_role("slider")).to_be_disabled()


def test_the_legend_says_the_scale_in_words(reader: Reader) -> None:
    reader.opens(bright_square())
    expect(reader.page.locator("#legend-words")).to_contain_text("in logits per position")
    expect(reader.page.locator("#legend-full")).to_have_text("1.2 or more")
