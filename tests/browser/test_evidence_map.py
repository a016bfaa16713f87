"""Tests of the map on the film: its place, when it is hidden, and its explanation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, expect

from models.card import CellCentres, DecisionThreshold, ResizeMode
from models.radiograph import network_pixels, read_radiograph
from service.app import create_app
from service.settings import Settings
from tests.browser.films import (
    EFFUSION,
    NORMAL,
    PNEUMONIA,
    all_bright,
    bright_square,
    dark_noise,
)
from tests.browser.painted import film_samples, heat_painted
from tests.browser.reader import Reader, reading
from tests.support import tiny_model
from tests.support.running_server import serving
from tests.support.tiny_model import picture
from xai.heatmap import film_heat, heat

pytestmark = pytest.mark.browser

ALWAYS_CALLED = [DecisionThreshold(value=0, sensitivity=1, specificity=1)] * 3


@pytest.fixture
def beside(reader: Reader) -> Reader:
    """A person who looks at a film with a bright quarter, and at its map beside it."""
    reader.opens(bright_square())
    reader.takes("Film and map")
    return reader


def is_bare(reader: Reader) -> bool:
    """Return whether no map lies over the film."""
    return np.array_equal(reader.sees("mapped"), reader.sees("plain"))


def is_coloured(reader: Reader) -> bool:
    """Return whether a map lies over the film."""
    return bool(np.ptp(reader.sees("mapped"), axis=-1).max() > 40)


@pytest.mark.parametrize("cells", [None, CellCentres(origin=(10, 4), step=(16, 12))])
@pytest.mark.parametrize("resize_mode", ["stretch", "letterbox"])
@pytest.mark.parametrize(("rows", "columns"), [(320, 600), (480, 320)])
def test_the_map_lies_where_the_model_saw_it(
    reader_of: Callable[..., Reader],
    resize_mode: ResizeMode,
    cells: CellCentres | None,
    rows: int,
    columns: int,
) -> None:
    film = bright_square(rows, columns)
    reader = reader_of(
        resize_mode=resize_mode, cell_centres=cells, decision_thresholds=ALWAYS_CALLED
    )
    reader.opens(film)
    reader.takes("Film and map")
    reader.chooses(PNEUMONIA)
    reader.sets_opacity(100)
    seen = [film_samples(reader.sees(panel), rows, columns) for panel in ("plain", "mapped")]
    painted = heat_painted(*seen, reader.colours())
    expected = expected_heat(film, resize_mode, cells)[5::10, 5::10]
    row, column = np.unravel_index(np.argmax(painted), painted.shape)
    assert row >= painted.shape[0] // 2  # in the square
    assert column >= painted.shape[1] // 2
    assert np.abs(painted - expected).mean() < 0.02


def expected_heat(
    film: bytes, resize_mode: ResizeMode, cells: CellCentres | None
) -> NDArray[np.float32]:
    """Return the heat for pneumonia on the film, worked out without browser and server."""
    radiograph = read_radiograph(film)
    seen = network_pixels(radiograph, image_size=tiny_model.IMAGE_SIZE, resize_mode=resize_mode)
    warm = heat(4 * (cell_means(seen.pixels) - 0.5), evidence_scale=1.2)
    place = seen.grid_place(tiny_model.GRID, cells)
    return film_heat(warm, place, radiograph.rows, radiograph.columns)


def cell_means(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of each cell of the tiny model's grid."""
    (rows, columns), (height, width) = tiny_model.GRID, pixels.shape
    return pixels.reshape(rows, height // rows, columns, width // columns).mean(axis=(1, 3))


def test_the_film_stands_beside_the_film_with_its_map_and_has_no_colour(beside: Reader) -> None:
    beside.chooses(PNEUMONIA)
    plain, mapped = beside.sees("plain"), beside.sees("mapped")
    assert plain.shape == mapped.shape
    assert np.ptp(plain, axis=-1).max() == 0
    assert np.ptp(mapped, axis=-1).max() > 40
    left, right = (beside.canvas(panel).bounding_box() for panel in ("plain", "mapped"))
    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] <= right["x"]


def test_the_opacity_slider_changes_the_map_and_zero_leaves_the_film(beside: Reader) -> None:
    beside.chooses(PNEUMONIA)
    half = beside.sees()
    beside.sets_opacity(100)
    assert np.abs(beside.sees().astype(int) - half).max() > 40
    beside.sets_opacity(0)
    assert is_bare(beside)


def test_another_class_has_another_map(beside: Reader) -> None:
    caption = beside.page.locator("figure[data-panel=mapped] figcaption")
    beside.chooses(PNEUMONIA)
    expect(caption).to_contain_text("tiny 1.2.3")
    expect(caption).to_contain_text("Pneumonia 23")
    assert "Where the model sees" in beside.explanation()
    beside.chooses(EFFUSION)
    expect(caption).to_contain_text("Effusion")
    expect(caption).to_contain_text("no map shown")
    assert "No position argues for this class" in beside.explanation()
    assert is_bare(beside)


def test_classes_can_be_switched_with_the_arrow_keys_and_with_comma_and_full_stop(
    reader: Reader,
) -> None:
    reader.opens(bright_square())
    reader.page.get_by_role("radio", name=NORMAL).focus()
    for key, class_name in [("ArrowDown", PNEUMONIA), (".", EFFUSION), (".", NORMAL)]:
        reader.page.keyboard.press(key)
        expect(reader.page.get_by_role("radio", name=class_name)).to_be_checked()
        expect(reader.page.locator("figcaption")).to_contain_text(class_name)
    reader.page.keyboard.press(",")
    expect(reader.page.get_by_role("radio", name=EFFUSION)).to_be_checked()


def test_space_hides_the_map_and_shows_it_again_although_a_class_was_just_chosen(
    beside: Reader,
) -> None:
    beside.chooses(PNEUMONIA)
    mapped = beside.sees()
    beside.page.keyboard.press("Space")
    assert is_bare(beside)
    beside.page.keyboard.press("Space")
    assert np.array_equal(beside.sees(), mapped)
    beside.presses("Hide the map, or show it again")
    assert is_bare(beside)


def test_a_map_below_the_threshold_is_hidden_until_asked_for(beside: Reader) -> None:
    # The film is most likely normal, but that is below its threshold.
    assert "Below the decision threshold: map hidden" in beside.explanation()
    assert is_bare(beside)
    beside.presses("Show it anyway")
    assert "Shown although below the decision threshold" in beside.explanation()
    assert is_coloured(beside)
    beside.page.locator("#explanation-button", has_text="Hide the map").click()
    assert is_bare(beside)


def test_a_refused_film_is_greyed_and_its_maps_can_be_demanded(reader: Reader) -> None:
    reader.opens(all_bright())
    reader.takes("Film and map")
    reader.chooses(PNEUMONIA)
    assert "Unlike the films this model knows: no decision, no map" in reader.explanation()
    expect(reader.finding(PNEUMONIA)).to_contain_text("No decision")
    expect(reader.page.locator("#findings")).to_have_class("undecided")
    expect(reader.page.locator("#facts")).to_contain_text("Unlike them: above the limit of 8")
    assert is_bare(reader)
    reader.presses("Ask for the maps anyway")
    expect(reader.page.get_by_role("button", name="Ask for the maps anyway")).to_be_hidden()
    assert "unlike those the model knows" in reader.explanation()
    expect(reader.finding(PNEUMONIA)).to_contain_text("No decision")
    assert is_coloured(reader)


def test_demanded_maps_stay_when_the_film_is_opened_again(reader: Reader) -> None:
    reader.opens(all_bright())
    reader.presses("Ask for the maps anyway")
    reader.chooses(PNEUMONIA)
    reader.opens(bright_square(), "other.png")
    with reader.waits():
        reader.page.keyboard.press("k")
    reader.chooses(PNEUMONIA)
    expect(reader.page.get_by_role("button", name="Ask for the maps anyway")).to_be_hidden()
    assert is_coloured(reader)


def test_maps_that_cannot_be_had_leave_the_answer_as_it_was(reader: Reader) -> None:
    reader.opens(all_bright())
    reader.page.route("**/v1/explain?*force=true*", lambda route: route.abort())
    reader.presses("Ask for the maps anyway")
    expect(reader.page.locator("#notice")).to_be_visible()
    reader.chooses(PNEUMONIA)
    expect(reader.finding(PNEUMONIA)).to_contain_text("No decision")
    reader.page.unroute("**/v1/explain?*force=true*")
    reader.presses("Ask for the maps anyway")
    expect(reader.page.get_by_role("button", name="Ask for the maps anyway")).to_be_hidden()
    assert [fault for fault in reader.faults if "ERR_FAILED" not in fault] == []
    reader.faults.clear()


def test_looking_on_asks_the_server_nothing_once_all_models_were_read(
    browser: Browser, tmp_path: Path
) -> None:
    for name in ("tiny", "twin"):
        tiny_model.write_model(tmp_path, name=name)
    app = create_app(Settings(models=tmp_path, own_models=False, default_model="tiny"))
    with serving(app) as client, reading(browser, str(client.base_url).rstrip("/")) as reader:
        reader.opens(bright_square())
        reader.takes("Compare models")
        expect(reader.page.locator("figure")).to_have_count(2)
        before = len(reader.requests)
        looks_on(reader)
        asked = [url for url in reader.requests[before:] if not url.endswith("/icon.svg")]
        assert asked == []  # Chromium looks for the icon again when the address changes
        assert reader.faults == []


def looks_on(reader: Reader) -> None:
    """Change all that is only a matter of looking."""
    for mode in ("One film", "Film and map", "Compare models"):
        reader.takes(mode)
        for class_name in (PNEUMONIA, EFFUSION, NORMAL):
            reader.chooses(class_name)
    for name in ("twin", "tiny"):
        reader.page.locator("#model-picker").get_by_role("radio", name=name).check()
        expect(reader.page.locator("#facts")).to_contain_text(f"{name} 1.2.3")
    reader.presses("Show it anyway")
    for label, value in [("Opacity", "80"), ("Hide weak evidence", "20"), ("Centre", "90")]:
        reader.page.get_by_label(label).fill(value)
    reader.page.get_by_label("For and against").check()
    for key in ["]", "+", "r", "i", "1", "0", " ", "Escape"]:
        reader.page.keyboard.press(key)
    assert len(reader.sees("tiny"))


def test_the_legend_names_the_scale(reader: Reader) -> None:
    reader.opens(bright_square())
    controls = reader.page.locator("#map-controls")
    expect(controls).to_contain_text("Evidence for the class, in logits per position.")
    assert controls.locator(".legend-ends span").all_inner_texts() == ["0", "0.6", "1.2 or more"]
    reader.page.get_by_label("For and against").check()
    expect(controls).to_contain_text("for the class right of 0, against it left of 0")
    expect(controls).to_contain_text("\u22121.2 or beyond: argues against")


def test_what_argues_against_a_class_can_be_seen_where_nothing_argues_for_it(
    reader: Reader,
) -> None:
    reader.opens(picture(dark_noise(320, 480)))
    reader.chooses(PNEUMONIA)
    assert "there is nothing to colour" in reader.explanation()
    assert np.ptp(reader.sees(), axis=-1).max() == 0
    reader.page.get_by_label("For and against").check()
    assert "what is coloured argues against it" in reader.explanation()
    assert np.ptp(reader.sees(), axis=-1).max() > 40
