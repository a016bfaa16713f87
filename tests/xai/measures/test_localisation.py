"""Figures about maps and marked regions, against CheXlocalize's definitions worked by hand."""

import json

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.radiograph import GridPlace
from xai.measures.localisation import (
    THRESHOLDS,
    best_threshold,
    boxes_region,
    energy,
    is_hit,
    map_on_film,
    otsu,
    region_from_runs,
    scores,
    segmented,
    share_inside,
    shares_in_outline,
)
from xai.outline import outline_mask

HEAT = np.array([[0.0, 0.1, 0.9], [0.0, 0.3, 1.0], [0.0, 0.2, 0.5]], np.float32)
CORNER = boxes_region([(1.0, 0.0, 2.0, 2.0)], rows=3, columns=3)
"""The four pixels of rows 0 and 1 and columns 1 and 2: heat 0.1, 0.9, 0.3, 1.0 of 3.0."""


def boxes(*corners: tuple[float, ...], rows: int = 3, columns: int = 3) -> NDArray[np.bool_]:
    return boxes_region([tuple(map(float, box)) for box in corners], rows=rows, columns=columns)


def map_like(values: list[list[float]]) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def test_the_four_figures_of_a_small_map_are_those_worked_out_by_hand():
    """Otsu leaves 0.9, 1.0 and 0.5 (2 of them inside); a half leaves 0.9 and 1.0."""
    found = scores(HEAT, CORNER)
    assert found.hit == 1
    assert found.iou_otsu == pytest.approx(2 / 5, abs=1e-6)
    assert found.iou_at[THRESHOLDS.index(0.5)] == pytest.approx(2 / 4, abs=1e-6)
    assert found.energy_ratio == pytest.approx((2.3 / 3.0) / (4 / 9), abs=1e-6)


def test_the_maximum_outside_is_a_miss():
    elsewhere = boxes((0, 2, 3, 1))
    assert is_hit(HEAT, elsewhere) == 0


def test_a_threshold_belongs_to_neither_side_as_in_chexlocalize():
    assert segmented(map_like([[0, 0.5, 1]]), 0.5).tolist() == [[False, False, True]]


def test_a_cold_map_hits_nothing_and_covers_nothing():
    found = scores(np.zeros((3, 3), np.float32), CORNER)
    assert found[:3] == (0, 0, (0,) * len(THRESHOLDS))
    assert np.isnan(found.energy_ratio)


def test_an_even_map_has_the_energy_of_the_area():
    assert energy(np.ones((3, 3), np.float32), CORNER) == pytest.approx(1)
    assert share_inside(np.ones((3, 3), np.float32), CORNER) == pytest.approx(4 / 9)


@pytest.mark.parametrize("seed", range(5))
def test_otsus_level_is_opencvs(seed: int):
    levels = np.random.default_rng(seed).beta(0.4, 2, (40, 50))
    levels = (255 * levels / levels.max()).astype(np.uint8)
    assert otsu(levels) == cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)[0]


def test_the_threshold_is_the_one_of_the_largest_mean_iou():
    narrow = boxes((2, 0, 1, 2))
    assert best_threshold([scores(HEAT, narrow)]) == 0.5
    wide = boxes((1, 0, 2, 3))
    assert best_threshold([scores(HEAT, wide)]) == 0.2


def test_the_map_peaks_at_the_centre_of_its_hottest_cell_and_is_cold_outside_the_grid():
    place = GridPlace((4.0, 0.0, 2.0, 0.0, 4.0, 0.0), (2.0, 0.0, 10.0, 8.0))
    on_film = map_on_film(np.array([[0, 0], [0, 2.0]]), place, rows=8, columns=12)
    assert on_film.max() == 1
    assert on_film[6:8, 8:10].min() == on_film.max()
    assert not on_film[:, :2].any()
    assert not on_film[:, 10:].any()


def test_only_evidence_for_the_class_counts():
    place = GridPlace((1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 2.0, 1.0))
    on_film = map_on_film(np.array([[-5.0, 1.0]]), place, rows=1, columns=2)
    assert on_film.tolist() == [[0, 1]]


def test_boxes_take_the_pixels_whose_centre_they_cover():
    region = boxes((0.6, 0.4, 2, 1), (3, 2, 1, 1), columns=4)
    assert np.argwhere(region).tolist() == [[0, 1], [0, 2], [2, 3]]


def test_runs_go_down_the_columns():
    """3 zeros, 2 ones, 1 zero in a mask of 2 x 3; written as 48 + the number."""
    region = region_from_runs("321", rows=2, columns=3)
    assert region.astype(int).tolist() == [[0, 0, 1], [0, 1, 0]]


def test_runs_after_the_third_are_differences():
    """1, 2, 3, 2 + 2 = 4 and 3 - 3 = 0: the last group's highest bit is the sign."""
    region = region_from_runs("1232M", rows=2, columns=5)
    assert region.T.ravel().astype(int).tolist() == [0, 1, 1, 0, 0, 0, 1, 1, 1, 1]


def test_an_empty_mask_of_chexlocalizes_sample_is_empty():
    sample = json.loads('{"size": [2022, 2021], "counts": "nefl3"}')
    rows, columns = sample["size"]
    assert not region_from_runs(sample["counts"], rows=rows, columns=columns).any()


def test_runs_of_another_size_are_refused():
    with pytest.raises(ValueError, match="must fill 2 x 4 pixels, not 6"):
        region_from_runs("321", rows=2, columns=4)


ROWS, COLUMNS = 600, 700
EVENLY = GridPlace((100.0, 0.0, 0.0, 0.0, 100.0, 0.0), (0.0, 0.0, 700.0, 600.0))
OUTLINE = (((110.0, 120.0), (480.0, 200.0), (300.0, 480.0)),)


def test_within_the_outline_all_of_a_drawn_map_is_inside_and_without_it_is_not():
    evidence = np.random.default_rng(0).normal(size=(6, 7))
    inside = outline_mask(OUTLINE, ROWS, COLUMNS)
    size = {"rows": ROWS, "columns": COLUMNS}
    drawn = map_on_film(evidence, EVENLY, **size, outline=OUTLINE)
    uncut = map_on_film(evidence, EVENLY, **size)
    assert share_inside(drawn, inside) == 1
    assert 0 < share_inside(uncut, inside) < 0.9
    assert drawn.max() == 1
    assert is_hit(drawn, inside)


def test_the_share_in_the_outline_is_that_of_the_map_before_it_is_cut_off():
    evidence = np.stack([np.random.default_rng(0).normal(size=(6, 7)), -np.ones((6, 7))])
    size = {"rows": ROWS, "columns": COLUMNS}
    found = shares_in_outline(evidence, EVENLY, OUTLINE, **size)
    whole = share_inside(
        map_on_film(evidence[0], EVENLY, **size), outline_mask(OUTLINE, ROWS, COLUMNS)
    )
    assert found == [pytest.approx(whole, abs=0.005), None]
    assert shares_in_outline(evidence, EVENLY, (), **size) == [0, None]
