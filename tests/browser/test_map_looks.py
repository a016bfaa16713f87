"""Tests that each way of drawing a map changes the canvas as it says."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, expect

from models.radiograph import GridPlace, network_pixels, read_radiograph
from tests.browser.films import PNEUMONIA, bright_square
from tests.browser.painted import film_samples, heat_painted
from tests.browser.reader import Reader, reading
from tests.support import tiny_model
from xai.heatmap import ColourMapName, colour_map, film_heat

pytestmark = pytest.mark.browser

ROWS, COLUMNS = 320, 480
PLACE = GridPlace(
    (COLUMNS / 4, 0.0, 0.0, 0.0, ROWS / 2, 0.0), (0.0, 0.0, float(COLUMNS), float(ROWS))
)
SCALE = 1.2  # the tiny model's full colour
PLAIN_LOOK = """
() => {
  for (const box of document.querySelectorAll("#map-controls input[type=checkbox]:checked")) {
    box.click();
  }
}
"""


@pytest.fixture(scope="module")
def open_film(browser: Browser, address: str) -> Iterator[Reader]:
    with reading(browser, address) as reader:
        reader.opens(bright_square(ROWS, COLUMNS))
        reader.takes("Film and map")
        reader.chooses(PNEUMONIA)
        yield reader
        assert reader.faults == []


@pytest.fixture
def viewed(open_film: Reader) -> Reader:
    """A person in front of a film with a bright quarter, whose map is drawn plainly and opaque."""
    open_film.page.evaluate(PLAIN_LOOK)
    open_film.sets_opacity(100)
    open_film.page.get_by_label("Hide weak evidence").fill("0")
    open_film.page.get_by_label("Colours").select_option("Inferno")
    return open_film


def cells() -> NDArray[np.float32]:
    """Return the signed heat of each cell, worked out without browser and server."""
    seen = network_pixels(
        read_radiograph(bright_square(ROWS, COLUMNS)),
        image_size=tiny_model.IMAGE_SIZE,
        resize_mode="stretch",
    )
    return np.clip(tiny_model.evidence(255 * seen.pixels)[1] / SCALE, -1, 1)


def spread(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return heat in [-1, 1] at every tenth film pixel, spread as the server does it."""
    return (2 * film_heat((cells + 1) / 2, PLACE, ROWS, COLUMNS) - 1)[5::10, 5::10]


def film_and_map(viewed: Reader) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return both panels at the middle of every 10 x 10 film pixels."""
    plain, mapped = (
        film_samples(viewed.sees(panel), ROWS, COLUMNS) for panel in ("plain", "mapped")
    )
    return plain, mapped


def blended(
    plain: NDArray[np.int32], heat: NDArray[np.float32], colours: NDArray[np.uint8], opacity: float
) -> NDArray[np.float64]:
    """Return the film painted over: `(1 - opacity |heat|) grey + opacity |heat| colour`."""
    paint = opacity * np.abs(heat)[..., None]
    return (1 - paint) * plain + paint * colours


@pytest.mark.parametrize("opacity", [1.0, 0.3])
@pytest.mark.parametrize("name", ["inferno", "viridis", "cividis", "magma"])
def test_the_canvas_has_the_servers_colours_at_each_opacity(
    viewed: Reader, name: str, opacity: float
) -> None:
    viewed.page.get_by_label("Colours").select_option(name)
    viewed.sets_opacity(round(100 * opacity))
    plain, mapped = film_and_map(viewed)
    heat = spread(np.maximum(cells(), 0))
    levels = np.floor(heat * 255 + 0.5).astype(int)
    colours = np.array(colour_map(ColourMapName(name))["rgb"], np.uint8)[levels]
    off = np.abs(mapped - blended(plain, heat, colours, opacity))
    assert off.mean() < 1
    assert off.max() < 12  # where the heat is steep, a canvas pixel covers several levels


def test_the_threshold_hides_weak_evidence_and_leaves_the_rest(viewed: Reader) -> None:
    plain, whole = film_and_map(viewed)
    viewed.page.get_by_label("Hide weak evidence").fill("40")
    _, cut = film_and_map(viewed)
    heat = spread(np.maximum(cells(), 0))
    weak, strong = (heat > 0.05) & (heat < 0.34), heat > 0.48
    assert weak.sum() > 50
    assert (cut[weak] == plain[weak]).all()
    assert (whole[weak] != plain[weak]).any(axis=-1).mean() > 0.95
    assert (cut[strong] == whole[strong]).all()


def test_the_signed_view_paints_what_argues_against_in_the_other_hue(viewed: Reader) -> None:
    viewed.page.get_by_label("For and against").check()
    plain, mapped = film_and_map(viewed)
    heat = spread(cells())
    table = np.array(colour_map(ColourMapName.MANAGUA_R)["rgb"], np.uint8)
    colours = table[np.floor((heat + 1) * 127.5 + 0.5).astype(int)]
    assert np.abs(mapped - blended(plain, heat, colours, 1)).mean() < 1.5
    against, for_it = mapped[heat < -0.6].mean(axis=0), mapped[heat > 0.9].mean(axis=0)
    assert np.argmax(against) != np.argmax(for_it)  # red, green, blue


def test_the_raw_grid_is_flat_within_a_cell_and_says_how_many_there_are(viewed: Reader) -> None:
    viewed.page.get_by_label("Raw grid (2 \u00d7 4 squares)").check()
    painted = heat_painted(*film_and_map(viewed), viewed.colours()).reshape(2, 16, 4, 12)
    inner = painted[:, 1:-1, :, 1:-1]
    assert np.ptp(inner, axis=(1, 3)).max() < 0.02
    assert np.abs(inner[:, 7, :, 5] - np.maximum(cells(), 0)).max() < 0.02


def test_the_outline_runs_where_the_heat_has_its_level(viewed: Reader) -> None:
    viewed.sets_opacity(0)
    viewed.page.get_by_label("Outline", exact=True).check()
    viewed.page.get_by_label("Level of the outline").fill("30")
    plain, outlined = viewed.sees("plain"), viewed.sees("mapped")
    rows, columns = np.nonzero((plain != outlined).any(axis=-1))
    height, width, _ = plain.shape
    scale = min(height / ROWS, width / COLUMNS)
    y = (rows + 0.5 - (height - scale * ROWS) / 2) / scale
    x = (columns + 0.5 - (width - scale * COLUMNS) / 2) / scale
    heat = film_heat(np.maximum(cells(), 0), PLACE, ROWS, COLUMNS)
    crossed = heat[np.clip(y.astype(int), 0, ROWS - 1), np.clip(x.astype(int), 0, COLUMNS - 1)]
    assert len(rows) > 500
    assert np.abs(crossed - 0.3).max() < 0.05  # the line is a few pixels broad
    assert (outlined[rows, columns] > 240).all(axis=-1).any()


def test_a_new_look_is_kept_for_the_next_class_and_told_in_the_legend(viewed: Reader) -> None:
    viewed.page.get_by_label("For and against").check()
    viewed.chooses("Normal")
    viewed.chooses(PNEUMONIA)
    expect(viewed.page.get_by_label("For and against")).to_be_checked()
    expect(viewed.page.locator("#map-controls")).to_contain_text("argues against")
