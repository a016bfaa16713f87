"""The outline of the lungs: polygons that say of each pixel of a film whether it is drawn on."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.lungs.pieces import certainty
from models.radiograph import GridPlace, grid_place
from tests.support.drawn_lungs import LEFT, RIGHT, drawn_mask, ellipses
from xai.heatmap import film_evidence
from xai.outline import LEVEL, Outline, lung_outline, outline_mask, outlined, simplified

ROWS, COLUMNS = 512, 640
PLACE = grid_place((64, 64), (ROWS, COLUMNS), None)
TWO_LUNGS = certainty(ellipses(RIGHT, LEFT))[0, 0].numpy()
SQUARE: Outline = (((2.0, 3.0), (12.0, 3.0), (12.0, 9.0), (2.0, 9.0)),)


def filled(lungs: NDArray[np.float32], place: GridPlace = PLACE) -> NDArray[np.bool_]:
    return outline_mask(lung_outline(lungs, place), ROWS, COLUMNS)


def spread(lungs: NDArray[np.float32], place: GridPlace = PLACE) -> NDArray[np.bool_]:
    """Return where the bilinear field has the outline's level, at every pixel of the film."""
    return film_evidence(lungs, place, ROWS, COLUMNS) > LEVEL


@pytest.mark.parametrize("seed", range(4))
def test_the_outline_encloses_where_the_field_is_above_the_level(seed: int) -> None:
    lungs = certainty(drawn_mask(seed))[0, 0].numpy()
    inside, expected = filled(lungs), spread(lungs)
    assert expected.any()
    assert (inside != expected).sum() < 0.03 * expected.sum()


@pytest.mark.parametrize("seed", range(4))
def test_an_outline_has_at_most_a_hundred_points(seed: int) -> None:
    rings = lung_outline(certainty(drawn_mask(seed))[0, 0].numpy(), PLACE)
    assert 6 < sum(map(len, rings)) <= 100


def test_two_lungs_have_two_rings_and_none_have_none() -> None:
    assert len(lung_outline(TWO_LUNGS, PLACE)) == 2
    assert lung_outline(np.zeros((64, 64), np.float32), PLACE) == ()
    assert lung_outline(np.full((64, 64), 0.9 * LEVEL, np.float32), PLACE) == ()


def test_the_outline_lies_where_the_network_saw_the_lungs() -> None:
    """A trimmed border moves it, and a letterbox stretches it."""
    moved = grid_place((64, 64), (128, 128), None, (3.0, 0.0, 100.0, 0.0, 2.0, 30.0))
    outline = lung_outline(TWO_LUNGS, moved)
    assert (outline_mask(outline, ROWS, COLUMNS) != spread(TWO_LUNGS, moved)).mean() < 0.01
    assert outline_mask(outline, ROWS, COLUMNS)[30 + 128, 100 + round(0.3 * 384)]


def test_lungs_that_reach_the_edge_are_outlined_up_to_it() -> None:
    everything = np.ones((64, 64), np.float32)
    [ring] = lung_outline(everything, PLACE)
    assert sorted(ring) == [(0, 0), (0, ROWS), (COLUMNS, 0), (COLUMNS, ROWS)]
    assert filled(everything).all()


def test_what_is_no_lung_in_the_middle_of_one_is_outside() -> None:
    lungs = np.zeros((64, 64), np.float32)
    lungs[10:50, 10:50] = 1
    lungs[25:35, 25:35] = 0
    inside = filled(lungs)
    assert inside[8 * 15, 10 * 15]
    assert not inside[8 * 30, 10 * 30]


def test_corners_are_rounded_to_a_tenth_of_a_pixel() -> None:
    corners = np.array(lung_outline(TWO_LUNGS, PLACE)[0])
    assert np.array_equal(corners, corners.round(1))


@given(st.integers(2, 30), st.floats(0.1, 3), st.integers(0, 99))
def test_a_simplified_line_passes_all_points_within_the_tolerance(
    points: int, tolerance: float, seed: int
) -> None:
    line = np.random.default_rng(seed).normal(size=(points, 2)).cumsum(axis=0)
    kept = simplified(line, tolerance)
    assert np.array_equal(kept[[0, -1]], line[[0, -1]])
    places = [int((line == point).all(axis=1).argmax()) for point in kept]
    assert places == sorted(places)
    for first, last in pairwise(places):
        along, down = line[last] - line[first]
        across = np.abs((line[first:last] - line[first]) @ [down, -along])
        assert (across <= tolerance * np.hypot(along, down) + 1e-9).all()


def test_a_mask_holds_the_pixels_whose_centres_are_inside() -> None:
    expected = np.zeros((20, 20), bool)
    expected[3:9, 2:12] = True
    assert np.array_equal(outline_mask(SQUARE, 20, 20), expected)
    shifted = (tuple((x + 0.4, y - 0.4) for x, y in SQUARE[0]),)
    assert np.array_equal(outline_mask(shifted, 20, 20), expected)
    beyond = (((-5.0, -5.0), (40.0, -5.0), (40.0, 40.0), (-5.0, 40.0)),)
    assert outline_mask(beyond, 20, 20).all()


@given(st.integers(3, 12), st.integers(0, 99))
def test_a_point_is_inside_if_the_ring_turns_round_it_an_odd_number_of_times(
    corners: int, seed: int
) -> None:
    """Even where the ring crosses itself; turns are counted by the angle it is seen under."""
    ring = np.random.default_rng(seed).uniform(-3, 23, (corners, 2))
    inside = outline_mask((tuple(map(tuple, ring.tolist())),), 20, 20)
    closed = np.concatenate([ring, ring[:1]])
    for row, column in np.ndindex(inside.shape):
        x, y = (closed - (column + 0.5, row + 0.5)).T
        turned = (np.diff(np.arctan2(y, x)) + np.pi) % (2 * np.pi) - np.pi
        assert inside[row, column] == round(turned.sum() / (2 * np.pi)) % 2


def test_a_ring_within_a_ring_is_a_hole() -> None:
    hole = ((5.0, 5.0), (9.0, 5.0), (9.0, 7.0), (5.0, 7.0))
    inside = outline_mask((*SQUARE, hole), 20, 20)
    assert inside.sum() == 6 * 10 - 2 * 4
    assert not inside[5:7, 5:9].any()


@pytest.mark.parametrize("grey", [0, 255])
def test_the_line_is_seen_on_black_and_on_white_and_is_smooth(grey: int) -> None:
    film = np.full((60, 80, 3), grey, np.uint8)
    ring = ((20.0, 10.0), (60.0, 20.0), (30.0, 50.0))
    drawn = outlined(film, (ring,), side=80)
    changed = (drawn != film).any(axis=-1)
    assert np.ptp(drawn, axis=-1).max() == 0
    assert np.abs(drawn.astype(int) - grey).max() == 255
    assert len(np.unique(drawn)) > 8
    assert not changed[25, 35]  # inside
    assert not changed[55, 70]  # outside


def test_the_line_is_the_same_when_drawn_in_bands() -> None:
    film = np.full((60, 80, 3), 90, np.uint8)
    outline = (((20.0, 10.0), (60.0, 20.0), (30.0, 50.0)),)
    whole = outlined(film, outline, side=80)
    bands = [outlined(film[top : top + 20], outline, side=80, first_row=top) for top in (0, 20, 40)]
    assert np.array_equal(np.concatenate(bands), whole)


def test_the_line_is_wider_on_a_larger_film() -> None:
    film = np.full((60, 80, 3), 90, np.uint8)
    small, large = (
        (outlined(film, SQUARE, side=side) != film).any(axis=-1).sum() for side in (80, 3000)
    )
    assert large > 2 * small
