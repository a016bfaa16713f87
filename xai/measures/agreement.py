"""Measure the agreement of two heat maps of one film, which may come from different networks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.radiograph import GridPlace
from xai.heatmap import Floats, evidence_at
from xai.measures.sanity import ranks

POINTS = 28
"""Points along each side of the region that both maps cover, at which they are compared."""

TOP_SHARE = 0.1


@dataclass(frozen=True)
class EvidenceMap:
    """Evidence for one class, and its place on the film.

    Attributes:
        evidence: [grid rows, grid columns], signed; NaN where a position does not count.
        place: Place of the grid on the film.
    """

    evidence: NDArray[np.float32]
    place: GridPlace


@dataclass(frozen=True)
class Agreement:
    """Agreement of two maps: rank correlation, and overlap of their hottest tenths.

    Attributes:
        rank_correlation: Spearman's, from -1 to 1; None if one of the maps is constant.
        top_tenth_overlap: Share of one map's hottest tenth of the film that is also in the other's;
            1 is the same tenth, 0.1 is chance.
    """

    rank_correlation: float | None
    top_tenth_overlap: float | None


def agreement(first: EvidenceMap, second: EvidenceMap) -> Agreement:
    """Return the agreement of two maps of one film, over the region that both cover.

    A point counts where every cell that its value is drawn from counts, in both maps: of a network
    that looks only inside the lungs, those inside.

    Source:
        Spearman 1904, The proof and measurement of association between two things.
    """
    one, other = _sampled(first, second)
    if one.size * TOP_SHARE < 1 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return Agreement(None, None)
    correlation = np.corrcoef(ranks(one), ranks(other))[0, 1]
    count = round(TOP_SHARE * one.size)
    tops = [set(np.argsort(-values, kind="stable")[:count].tolist()) for values in (one, other)]
    return Agreement(float(correlation), len(tops[0] & tops[1]) / count)


def _sampled(first: EvidenceMap, second: EvidenceMap) -> tuple[Floats, Floats]:
    left, top = np.maximum(first.place.extent[:2], second.place.extent[:2])
    right, bottom = np.minimum(first.place.extent[2:], second.place.extent[2:])
    steps = (np.arange(POINTS) + 0.5) / POINTS
    x, y = left + steps * (right - left), top + steps * (bottom - top)
    one, other = (
        evidence_at(np.nan_to_num(seen.evidence).astype(np.float64), seen.place, x, y)
        for seen in (first, second)
    )
    left_out = [
        evidence_at(np.isnan(seen.evidence).astype(np.float64), seen.place, x, y)
        for seen in (first, second)
    ]
    counts = np.maximum(*left_out) == 0
    return one[counts], other[counts]
