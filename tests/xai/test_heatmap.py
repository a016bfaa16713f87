import re
import subprocess
import sys

import numpy as np
import pytest
from matplotlib import colormaps

from docs.scripts.write_colour_maps import document
from models.radiograph import GridPlace
from xai.heatmap import (
    COLOUR_MAPS,
    ColourMapName,
    Status,
    colour_map,
    colours,
    explanation_status,
    film_heat,
    heat,
    overlay,
)
from xai.outline import outline_mask

POSITIVE = np.array([[0.0, 2.0], [-1.0, 0.5]])


def whole(affine, grid):
    """Return the place of a grid that ends where its cells do."""
    a, _, c, _, e, f = affine
    return GridPlace(affine, (c, f, c + a * grid[1], f + e * grid[0]))


def one_hot_cell(grid, cell):
    hot = np.zeros(grid, dtype=np.float32)
    hot[cell] = 1
    return hot


def interpolated_slowly(grid, place, row, column):
    """One pixel of `film_heat` from the definition."""
    (a, _, c, _, e, f), (left, top, right, bottom) = place
    if not (left <= column + 0.5 < right and top <= row + 0.5 < bottom):
        return 0.0
    u, v = (column + 0.5 - c) / a, (row + 0.5 - f) / e
    u, v = np.clip(u - 0.5, 0, grid.shape[1] - 1), np.clip(v - 0.5, 0, grid.shape[0] - 1)
    left, top = int(u), int(v)
    right, bottom = min(left + 1, grid.shape[1] - 1), min(top + 1, grid.shape[0] - 1)
    upper = (1 - u + left) * grid[top, left] + (u - left) * grid[top, right]
    lower = (1 - u + left) * grid[bottom, left] + (u - left) * grid[bottom, right]
    return (1 - v + top) * upper + (v - top) * lower


@pytest.mark.parametrize(
    ("evidence", "is_possible", "in_distribution", "force", "status"),
    [
        (POSITIVE, True, True, False, Status.OK),
        (POSITIVE, True, True, True, Status.OK),
        (POSITIVE, False, True, False, Status.BELOW_THRESHOLD),
        (-abs(POSITIVE), True, True, False, Status.NO_POSITIVE_EVIDENCE),
        (-abs(POSITIVE), False, True, False, Status.NO_POSITIVE_EVIDENCE),
        (POSITIVE, True, False, False, Status.OUT_OF_DISTRIBUTION),
        (-abs(POSITIVE), False, False, False, Status.OUT_OF_DISTRIBUTION),
        (-abs(POSITIVE), False, False, True, Status.OUT_OF_DISTRIBUTION_FORCED),
        (POSITIVE, False, False, True, Status.OUT_OF_DISTRIBUTION_FORCED),
        (POSITIVE, True, False, True, Status.OUT_OF_DISTRIBUTION_FORCED),
    ],
)
def test_the_status_is_the_first_reason_that_holds(
    evidence, is_possible, in_distribution, force, status
):
    found = explanation_status(
        evidence,
        is_possible=is_possible,
        in_distribution=in_distribution,
        force=force,
    )
    assert found is status


def test_statuses_are_the_words_of_the_answer():
    words = ["ok", "no_positive_evidence", "below_threshold", "out_of_distribution"]
    words += ["out_of_distribution_forced"]
    assert [str(status) for status in Status] == words


def test_heat_is_the_positive_part_on_the_scale():
    found = heat(np.array([[-3.0, 0.0], [1.0, 8.0]]), 4.0)
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 0], [0.25, 1]]


def test_a_weak_map_stays_weak():
    strong = np.array([[0.1, 4.0], [1.0, 2.0]])
    weak = heat(strong / 50, 4.0)
    assert weak.max() == pytest.approx(0.02)
    assert colours(weak).max() < 30


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_that_is_not_positive_is_refused(scale):
    with pytest.raises(ValueError, match="evidence_scale must be above 0"):
        heat(POSITIVE, scale)


def test_evidence_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="evidence must be finite"):
        heat(np.array([[np.nan, 1.0]]), 1.0)


def test_a_hot_cell_lands_where_the_affine_says_to_the_pixel():
    hot = one_hot_cell((5, 7), (1, 3))
    place = whole((11.0, 0.0, 20.0, 0.0, 9.0, 30.0), (5, 7))
    found = film_heat(hot, place, rows=120, columns=140)
    # The cell's centre (3.5, 1.5) is x = 11 * 3.5 + 20 = 58.5 and y = 9 * 1.5 + 30 = 43.5.
    assert found[43, 58] == 1
    assert np.unravel_index(found.argmax(), found.shape) == (43, 58)
    rows, columns = np.nonzero(found)
    assert (rows.min(), rows.max()) == (43 - 8, 43 + 8)
    assert (columns.min(), columns.max()) == (58 - 10, 58 + 10)


def test_outside_the_trimmed_region_there_is_no_heat():
    full = np.ones((2, 3), dtype=np.float32)
    place = whole((10.0, 0.0, 4.0, 0.0, 20.0, 6.0), (2, 3))
    found = film_heat(full, place, rows=50, columns=40)
    inside = np.zeros((50, 40), dtype=bool)
    inside[6:46, 4:34] = True
    assert np.array_equal(found == 1, inside)
    assert np.array_equal(found == 0, ~inside)


@pytest.mark.parametrize(
    "place",
    [
        whole((6.3, 0.0, 2.7, 0.0, 8.1, -3.4), (3, 4)),
        GridPlace((6.3, 0.0, 2.7, 0.0, 8.1, -3.4), (4.2, -2.0, 32.8, 22.0)),
    ],
)
def test_film_heat_equals_the_definition_at_every_pixel(place):
    grid = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    expected = [[interpolated_slowly(grid, place, r, c) for c in range(33)] for r in range(25)]
    assert np.allclose(film_heat(grid, place, rows=25, columns=33), expected, atol=1e-6)


def test_the_outermost_cells_go_on_to_the_edges_of_what_was_seen_and_no_further():
    """Centres at 8, 16 and 24; seen is from 2 to 38, where the grid ends at 4 and 28."""
    place = GridPlace((8.0, 0.0, 4.0, 0.0, 8.0, 4.0), (2.0, 2.0, 38.0, 38.0))
    found = film_heat(np.diag([1.0, 0.5, 1.0]).astype(np.float32), place, rows=40, columns=40)
    assert (found[2:8, 2:8] == 1).all()
    assert (found[24:38, 24:38] == 1).all()
    assert not found[:2].any()
    assert not found[:, 38:].any()


def test_outside_the_outline_of_the_lungs_there_is_no_heat_and_inside_it_is_as_without():
    grid = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    place = whole((10.0, 0.0, 0.0, 0.0, 10.0, 0.0), (3, 4))
    outline = (((5.0, 4.0), (30.0, 8.0), (20.0, 25.0)),)
    found = film_heat(grid, place, 30, 40, outline)
    inside = outline_mask(outline, 30, 40)
    assert 0 < inside.sum() < inside.size
    assert np.array_equal(found, film_heat(grid, place, 30, 40) * inside)
    assert not film_heat(grid, place, 30, 40, ()).any()


def test_a_grid_finer_than_the_film_keeps_its_place():
    found = film_heat(
        one_hot_cell((8, 8), (6, 2)), whole((0.5, 0.0, 0.0, 0.0, 0.5, 0.0), (8, 8)), 4, 4
    )
    assert np.unravel_index(found.argmax(), found.shape) == (3, 1)


@pytest.mark.parametrize(
    "affine",
    [
        (1.0, 0.1, 0.0, 0.0, 1.0, 0.0),
        (1.0, 0.0, 0.0, -0.1, 1.0, 0.0),
        (0.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        (1.0, 0.0, 0.0, 0.0, -1.0, 2.0),
    ],
)
def test_an_affine_that_turns_mirrors_shears_or_flattens_is_refused(affine):
    with pytest.raises(ValueError, match="affine must only scale and shift"):
        film_heat(one_hot_cell((2, 2), (0, 0)), whole(affine, (2, 2)), rows=4, columns=4)


def test_colours_are_those_of_inferno():
    levels = np.linspace(0, 1, 256)
    assert np.array_equal(colours(levels), colour_map(ColourMapName.INFERNO)["rgb"])
    assert colours(levels).dtype == np.uint8


@pytest.mark.parametrize("name", ColourMapName)
def test_every_colour_map_is_matplotlibs(name):
    rgb = np.rint(colormaps[name](np.arange(256))[:, :3] * 255)
    assert np.array_equal(colour_map(name)["rgb"], rgb)
    assert re.search("matplotlib.*(CC0|MIT)", colour_map(name)["source"])


@pytest.mark.parametrize("name", ColourMapName)
def test_every_colour_map_lies_in_the_folder_as_it_is_written(name):
    assert (COLOUR_MAPS / f"{name}.json").read_text() == document(name)


def luminance(rgb):
    return np.array(rgb) @ np.array([0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("name", ColourMapName)
def test_colour_maps_go_one_way_and_diverging_ones_two(name):
    steps = np.diff(luminance(colour_map(name)["rgb"]))
    diverging = colour_map(name)["kind"] == "diverging"
    falls = steps[:120] if diverging else -steps
    assert np.all(falls < 0.7)
    assert not diverging or np.all(steps[136:] > -0.7)


def test_full_heat_is_bright_and_none_is_dark():
    dark, bright = luminance(colours(np.array([0.0, 1.0])))
    assert bright > 240 > 1 > dark


def test_no_heat_leaves_the_film_grey():
    film = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    grey = np.rint(255 * film)[..., None].repeat(3, axis=-1)
    assert np.array_equal(overlay(film, np.zeros_like(film), opacity=1.0), grey)


def test_full_heat_at_full_opacity_hides_the_film():
    film = np.full((2, 2), 0.3)
    painted = overlay(film, np.ones((2, 2)), opacity=1.0)
    assert np.array_equal(painted, colours(np.ones((2, 2))))


def test_an_opacity_of_zero_shows_the_film_alone():
    film = np.full((2, 2), 0.2)
    assert np.all(overlay(film, np.ones((2, 2)), opacity=0.0) == 51)


def test_an_overlay_of_another_shape_or_opacity_is_refused():
    with pytest.raises(ValueError, match=r"heat_on_film must have the film's shape \(2, 2\)"):
        overlay(np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="opacity must lie in"):
        overlay(np.zeros((2, 2)), np.zeros((2, 2)), opacity=1.5)


def test_importing_heatmap_loads_no_training_tool():
    script = (
        "import sys, xai.heatmap; print({'torch', 'onnx', 'jaxtyping', 'matplotlib', 'tqdm'}"
        " & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
