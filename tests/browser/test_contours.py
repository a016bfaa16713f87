"""Tests that level lines (`contours.js`) lie where the painted field has their level."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.browser.reader import Reader

pytestmark = pytest.mark.browser

CONTOURS = """
async ([grid, level]) => {
  const { contours } = await import("/maps/contours.js");
  return contours(grid, level);
}
"""
Line = NDArray[np.float64]


@pytest.fixture(scope="module")
def reader(shared_reader: Reader) -> Reader:
    return shared_reader


def contours(reader: Reader, grid: Any, level: float) -> list[Line]:
    """Return the page's lines, each points x (column, row)."""
    lines = reader.page.evaluate(CONTOURS, [np.asarray(grid, float).tolist(), level])
    return [np.array(line) for line in lines]


def field(grid: NDArray[np.float64], column: float, row: float) -> float:
    """Return what `heatAt` says within the grid and on its edge."""
    (above, down), (left, right) = (
        divmod(np.clip(place - 0.5, 0, cells - 1), 1)
        for place, cells in zip((row, column), grid.shape, strict=True)
    )
    corners = np.pad(grid, ((0, 1), (0, 1)), mode="edge")[int(above) :, int(left) :][:2, :2]
    return float(np.array([1 - down, down]) @ corners @ np.array([1 - right, right]))


def is_ring(line: Line) -> bool:
    return np.array_equal(line[0], line[-1])


def winding(line: Line, column: float, row: float) -> int:
    """Return how often a ring goes round a point."""
    angles = np.unwrap(np.arctan2(line[:, 1] - row, line[:, 0] - column))
    return abs(round((angles[-1] - angles[0]) / (2 * np.pi)))


grids = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99)).map(
    lambda drawn: np.random.default_rng(drawn[2]).normal(size=drawn[:2])
)
browsing = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


@browsing
@given(grid=grids, level=st.floats(-1.5, 1.5))
def test_every_point_of_a_line_lies_on_the_level(
    reader: Reader, grid: NDArray[np.float64], level: float
) -> None:
    for line in contours(reader, grid, level):
        assert np.abs([field(grid, *point) - level for point in line]).max() < 1e-6


@browsing
@given(grid=grids, level=st.floats(-1.5, 1.5))
def test_lines_are_rings_or_end_at_the_edge_of_the_grid(
    reader: Reader, grid: NDArray[np.float64], level: float
) -> None:
    rows, columns = grid.shape
    for line in contours(reader, grid, level):
        ends = line[[0, -1]]
        at_edge = np.any((ends == 0) | (ends == [columns, rows]), axis=1)
        assert is_ring(line) or at_edge.all()


@browsing
@given(grid=grids, level=st.floats(-1.5, 1.5))
def test_a_line_is_crossed_wherever_the_field_passes_the_level(
    reader: Reader, grid: NDArray[np.float64], level: float
) -> None:
    ringed = np.pad(grid, 1, constant_values=-9.0)  # then every line is a ring
    rings = contours(reader, ringed, level)
    for row, column in np.ndindex(ringed.shape):
        rounds = sum(winding(ring, column + 0.5, row + 0.5) for ring in rings)
        assert rounds % 2 == (ringed[row, column] > level)


def test_a_bright_cell_has_one_ring_around_it(reader: Reader) -> None:
    grid = np.zeros((5, 7))
    grid[2, 3] = 1
    [ring] = contours(reader, grid, 0.5)
    assert is_ring(ring)
    assert winding(ring, 3.5, 2.5) == 1
    assert np.array_equal([ring.min(axis=0), ring.max(axis=0)], [[3, 2], [4, 3]])


def test_the_line_beside_a_bright_column_goes_from_edge_to_edge(reader: Reader) -> None:
    [line] = contours(reader, [[0, 0, 1], [0, 0, 1]], 0.25)
    assert np.array_equal(np.unique(line[:, 0]), [1.75])
    assert sorted(line[[0, -1], 1]) == [0, 2]


@pytest.mark.parametrize(("level", "joined"), [(0.3, True), (0.7, False)])
def test_the_high_corners_of_a_saddle_are_joined_where_its_middle_is_high(
    reader: Reader, level: float, joined: bool
) -> None:
    lines = contours(reader, [[1, 0], [0, 1]], level)  # 0.5 in the middle
    cut_off = {tuple(np.sign(line.mean(axis=0) - 1)) for line in lines}
    assert cut_off == ({(1, -1), (-1, 1)} if joined else {(1, 1), (-1, -1)})


@pytest.mark.parametrize("level", [1.0, 2.0, -0.1])
def test_no_line_is_drawn_beyond_what_the_grid_holds(reader: Reader, level: float) -> None:
    assert contours(reader, [[0, 0.4], [1, 0.2]], level) == []
