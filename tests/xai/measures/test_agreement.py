"""Two heat maps of one film, from grids that may differ."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from models.radiograph import GridPlace
from xai.measures.agreement import EvidenceMap, agreement
from xai.measures.sanity import ranks

FILM = (10.0, 0.0, 0.0, 0.0, 10.0, 0.0)
"""Ten film pixels a cell."""

noise = np.random.default_rng(0).normal(size=(14, 14)).astype(np.float32)


def seen(evidence, affine=FILM) -> EvidenceMap:
    """Return a map that ends where its cells do."""
    (a, _, c, _, e, f), (rows, columns) = affine, evidence.shape
    place = GridPlace(affine, (c, f, c + a * columns, f + e * rows))
    return EvidenceMap(np.asarray(evidence, np.float32), place)


def test_a_map_agrees_with_itself():
    found = agreement(seen(noise), seen(noise))
    assert found.rank_correlation == pytest.approx(1)
    assert found.top_tenth_overlap == 1


def test_only_the_order_counts():
    found = agreement(seen(noise), seen(3 * noise - 5))
    assert found.rank_correlation == pytest.approx(1)
    assert found.top_tenth_overlap == 1


def test_a_map_upside_down_disagrees():
    ramp = np.arange(14.0)[:, None] + np.zeros(14)
    found = agreement(seen(ramp), seen(-ramp))
    assert found.rank_correlation == pytest.approx(-1)
    assert found.top_tenth_overlap == 0


def test_unrelated_maps_overlap_as_chance_has_it():
    generator = np.random.default_rng(1)
    overlaps = [
        agreement(*(seen(generator.normal(size=(14, 14))) for _ in range(2))).top_tenth_overlap
        for _ in range(200)
    ]
    assert np.mean(overlaps) == pytest.approx(0.1, abs=0.01)


def test_grids_of_different_size_are_compared_on_the_film():
    coarse = np.add.outer(np.arange(7.0), np.arange(7.0))
    fine = np.add.outer(np.arange(14.0), np.arange(14.0))
    twice = (20.0, 0.0, 0.0, 0.0, 20.0, 0.0)
    found = agreement(seen(coarse, twice), seen(fine))
    assert found.rank_correlation > 0.999
    assert found.top_tenth_overlap > 0.95


def test_only_the_region_that_both_cover_counts():
    """The second map is the middle of the first one."""
    middle = (10.0, 0.0, 40.0, 0.0, 10.0, 40.0)
    found = agreement(seen(noise), seen(noise[4:10, 4:10], middle))
    assert found.rank_correlation > 0.9


def test_maps_of_networks_with_other_cell_centres_are_compared_on_the_film():
    """The second network's cells lie half a cell further up and to the left."""
    ramp = np.add.outer(np.arange(29.0), np.arange(29.0))
    even, whole = ramp[1::2, 1::2], (0.0, 0.0, 140.0, 140.0)
    corners = EvidenceMap(
        ramp[:28:2, :28:2].astype(np.float32), GridPlace((10.0, 0.0, -5.0, 0.0, 10.0, -5.0), whole)
    )
    found = agreement(seen(even), corners)
    assert found.rank_correlation > 0.999
    shifted = agreement(seen(even), seen(np.roll(even, 1)))
    assert shifted.rank_correlation < found.rank_correlation


def test_a_constant_map_has_no_order():
    found = agreement(seen(np.zeros((14, 14))), seen(noise))
    assert (found.rank_correlation, found.top_tenth_overlap) == (None, None)


def test_ranks_are_those_of_scipy():
    values = np.round(noise.ravel(), 1).astype(float)  # with ties
    other = np.random.default_rng(2).normal(size=values.size)
    expected = spearmanr(values, other).statistic
    assert np.corrcoef(ranks(values), ranks(other))[0, 1] == pytest.approx(expected)
