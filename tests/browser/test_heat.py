"""Tests that the page computes heat (`heat.js`) as the server does (`xai.heatmap`)."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.radiograph import GridPlace
from tests.browser.reader import Reader
from xai.heatmap import ColourMapName, colour_map, colours, film_heat, heat, overlay

pytestmark = pytest.mark.browser

INFERNO, MANAGUA = (
    colour_map(name)["rgb"] for name in (ColourMapName.INFERNO, ColourMapName.MANAGUA_R)
)
LAYER = """
async ([evidence, options]) => {
  const { heatLayer } = await import("/maps/heat.js");
  const { width, height, data } = heatLayer(evidence, options);
  return [width, height, Array.from(data)];
}
"""
PAINTED = """
async ([film, evidence, options, opacity]) => {
  const { heatLayer } = await import("/maps/heat.js");
  const layer = heatLayer(evidence, options);
  const [above, below] = [0, 1].map(() => new OffscreenCanvas(layer.width, layer.height));
  above.getContext("2d").putImageData(layer, 0, 0);
  const context = below.getContext("2d");
  const grey = film.flatMap((level) => [level, level, level, 255]);
  context.putImageData(new ImageData(new Uint8ClampedArray(grey), layer.width), 0, 0);
  context.globalAlpha = opacity;
  context.drawImage(above, 0, 0);
  return Array.from(context.getImageData(0, 0, layer.width, layer.height).data);
}
"""


@pytest.fixture(scope="module")
def reader(shared_reader: Reader) -> Reader:
    return shared_reader


def layer(reader: Reader, evidence: Any, **options: Any) -> NDArray[np.int64]:
    """Return a layer of the page, 4 pixels a cell, as rows x columns x RGBA."""
    asked = {"evidenceScale": 1, "colours": INFERNO, "pixelsPerCell": 4} | options
    grid = np.asarray(evidence).tolist()
    width, height, data = reader.page.evaluate(LAYER, [grid, asked])
    return np.array(data).reshape(height, width, 4)


def smooth(warm: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return heat as `xai.heatmap` spreads it on 4 pixels a cell."""
    rows, columns = warm.shape
    place = GridPlace((4.0, 0.0, 0.0, 0.0, 4.0, 0.0), (0.0, 0.0, 4.0 * columns, 4.0 * rows))
    return film_heat(warm, place, 4 * rows, 4 * columns)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(1, 8), columns=st.integers(1, 8), seed=st.integers(0, 9))
def test_a_painted_layer_has_the_heat_and_the_colours_of_the_server(
    reader: Reader, rows: int, columns: int, seed: int
) -> None:
    evidence = np.random.default_rng(seed).normal(size=(rows, columns))
    painted = layer(reader, evidence, evidenceScale=1.5)
    warm = smooth(heat(evidence, 1.5))
    shown = painted[..., 3] > 0  # what is transparent has no colour
    assert np.abs(painted[..., 3] - 255 * warm).max() <= 0.51
    assert np.abs(painted[..., :3] - colours(warm).astype(int))[shown].max(initial=0) <= 10


def test_a_layer_over_the_film_is_the_overlay_of_the_server(reader: Reader) -> None:
    random = np.random.default_rng(0)
    film, evidence = random.integers(0, 256, (20, 24)), random.normal(size=(5, 6))
    options = {"evidenceScale": 1.5, "colours": INFERNO, "pixelsPerCell": 4}
    asked = [film.ravel().tolist(), evidence.tolist(), options, 0.5]
    painted = np.array(reader.page.evaluate(PAINTED, asked)).reshape(20, 24, 4)
    expected = overlay(film / 255, smooth(heat(evidence, 1.5)), opacity=0.5)
    assert np.abs(painted[..., :3] - expected.astype(int)).max() <= 3  # of 255, in three roundings


def test_the_signed_layer_is_as_opaque_for_as_against(reader: Reader) -> None:
    evidence = np.random.default_rng(0).uniform(-1, 1, size=(5, 6)).astype(np.float32)
    painted = layer(reader, evidence, signed=True, colours=MANAGUA)
    signed_heat = 2 * smooth((evidence + 1) / 2) - 1
    assert np.abs(painted[..., 3] - 255 * np.abs(signed_heat)).max() <= 0.52


def test_the_signed_layer_has_one_half_of_the_colours_for_each_side(reader: Reader) -> None:
    painted = layer(reader, [[-2, -0.5, 0.5, 2]], signed=True, raw=True, colours=MANAGUA)
    expected = [MANAGUA[level] for level in (0, 64, 192, 255)]
    assert np.abs(painted[0, ::4, :3] - expected).max() <= 2
    assert painted[0, ::4, 3].tolist() == [255, 127, 128, 255]


@pytest.mark.parametrize("threshold", [0.25, 0.6, 1.0])
@pytest.mark.parametrize("signed", [False, True])
def test_nothing_below_the_threshold_is_painted_and_all_above_as_without_it(
    reader: Reader, signed: bool, threshold: float
) -> None:
    evidence = np.random.default_rng(1).normal(size=(5, 6))
    whole = layer(reader, 3 * evidence, signed=signed)
    cut = layer(reader, 3 * evidence, signed=signed, threshold=threshold)
    above = whole[..., 3] >= 255 * threshold
    assert 0 < above.sum() < above.size
    assert np.array_equal(cut, whole * above[..., None])


@pytest.mark.parametrize("raw", [False, True])
def test_in_a_larger_box_the_outermost_cells_go_on_to_its_edges(reader: Reader, raw: bool) -> None:
    """One cell more on the right and below, half a cell less on the left."""
    evidence = np.random.default_rng(3).uniform(size=(3, 5))
    painted = layer(reader, evidence, raw=raw, box=[0.5, 0, 6, 4])
    whole = layer(reader, evidence, raw=raw)
    expected = np.pad(whole, ((0, 4), (0, 4), (0, 0)), mode="edge")[:, 2:]
    assert np.abs(painted - expected).max() <= 1


def test_the_raw_grid_is_one_flat_colour_for_each_cell(reader: Reader) -> None:
    evidence = np.random.default_rng(2).uniform(size=(3, 5))
    painted = layer(reader, evidence, raw=True)
    cells = painted.reshape(3, 4, 5, 4, 4)
    assert np.ptp(cells, axis=(1, 3)).max() == 0
    assert np.array_equal(cells[:, 0, :, 0, 3], np.floor(255 * evidence + 0.5))
    assert np.array_equal(cells[:, 0, :, 0, :3], colours(evidence))
