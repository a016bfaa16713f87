"""Measure the localisation of a heat map: hit rate, IoU and energy inside regions that were marked.

Source:
    Saporta et al. 2022, Benchmarking saliency methods for chest X-ray interpretation, Nature
    Machine Intelligence 4: hit rate, and mean intersection over union at Otsu's threshold and at
    one tuned on the validation films. The pointing game: Zhang et al. 2016, arXiv:1608.00507.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.radiograph import GridPlace
from xai.heatmap import evidence_at, film_heat
from xai.outline import Outline, inside_at

Heat = NDArray[np.float32]
"""[film rows, film columns], 0 to 1; 1 is the map's own maximum. All 0: no positive evidence."""

Region = NDArray[np.bool_]
"""[film rows, film columns], true where a finding was marked."""

Box = tuple[float, float, float, float]
"""Left, top, width, height in film pixels; pixel (0, 0) covers [0, 1) x [0, 1)."""

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Candidate thresholds for tuning, as shares of the map's range; those of CheXlocalize."""


SAMPLES = 512
"""Most points along a side of the film at which `shares_in_outline` looks at a map."""


class Scores(NamedTuple):
    """Localisation scores of a map against a region.

    Attributes:
        hit: 1 if the map's maximum lies in the region, else 0.
        iou_otsu: Intersection over union of the region and the map above Otsu's threshold.
        iou_at: Likewise with each of `THRESHOLDS`.
        energy_ratio: Share of the heat in the region, divided by the region's share of the film; 1
            for an even map, nan for a map without heat.
    """

    hit: float
    iou_otsu: float
    iou_at: tuple[float, ...]
    energy_ratio: float


def map_on_film(
    evidence: NDArray[np.floating],
    place: GridPlace,
    *,
    rows: int,
    columns: int,
    outline: Outline | None = None,
) -> Heat:
    """Return the positive part of a map at each film pixel, as it is drawn, its maximum at 1.

    Args:
        evidence: [grid rows, grid columns], signed.
        place: Place of the grid on the film.
        rows: Of the film.
        columns: Of the film.
        outline: Of the lungs, outside which nothing is drawn; None cuts off nothing.
    """
    positive = np.maximum(evidence, 0).astype(np.float32)
    on_film = film_heat(positive / (positive.max() or 1), place, rows, columns, outline)
    return on_film / (on_film.max() or np.float32(1))


def scores(heat: Heat, region: Region) -> Scores:
    """Return the localisation scores of a map against a region.

    Raises:
        ValueError: The region is empty, or of another size than the map.
    """
    if heat.shape != region.shape or not region.any():
        raise ValueError(f"region must have pixels, and the map's size {heat.shape}")
    iou_at = tuple(iou(segmented(heat, threshold), region) for threshold in THRESHOLDS)
    return Scores(is_hit(heat, region), iou(segmented(heat), region), iou_at, energy(heat, region))


def is_hit(heat: Heat, region: Region) -> float:
    """Return 1 if the map's maximum, the first of several, lies in the region, else 0."""
    return float(region.ravel()[heat.argmax()] and heat.max() > 0)


def segmented(heat: Heat, threshold: float | None = None) -> Region:
    """Return the region where a map, stretched over its own range, is above a threshold.

    Args:
        heat: The map.
        threshold: Share of the range; None is Otsu's threshold on 256 levels.
    """
    span = np.ptp(heat)
    if span == 0:
        return np.zeros(heat.shape, bool)
    stretched = (heat - heat.min()) / span
    if threshold is not None:
        return stretched > threshold
    levels = (255 * stretched).astype(np.uint8)
    return levels > otsu(levels)


def otsu(levels: NDArray[np.uint8]) -> int:
    """Return Otsu's threshold: the level above which a pixel is foreground.

    Source:
        Otsu 1979, IEEE Transactions on Systems, Man, and Cybernetics 9(1), equation 18.
    """
    shares = np.bincount(levels.ravel(), minlength=256) / levels.size
    below, sums = shares.cumsum(), (shares * np.arange(256)).cumsum()
    both = below * (1 - below)
    between = np.divide(
        (sums[-1] * below - sums) ** 2, both, out=np.zeros(256), where=both > np.finfo(float).eps
    )
    return int(between.argmax())


def iou(segment: Region, region: Region) -> float:
    """Return intersection over union; 0 for an empty segment, which CheXlocalize may omit."""
    return float((segment & region).sum() / (segment | region).sum())


def energy(heat: Heat, region: Region) -> float:
    """Return the share of the heat in a region, divided by the region's share of the film."""
    return share_inside(heat, region) / float(region.mean())


def share_inside(heat: Heat, region: Region) -> float:
    """Return the share of the heat that lies in a region; nan for a map without heat.

    Source:
        Wang et al. 2020, arXiv:1910.01279, section 4.2 (the energy-based pointing game).
    """
    everywhere = heat.sum(dtype=np.float64)
    inside = heat[region].sum(dtype=np.float64)
    return float(inside / everywhere) if everywhere else float("nan")


def shares_in_outline(
    evidence: NDArray[np.floating],
    place: GridPlace,
    outline: Outline,
    *,
    rows: int,
    columns: int,
) -> list[float | None]:
    """Return which share of each class's map lies inside the lungs, before the outline cuts it off.

    It is measured at even distances on the film, at most `SAMPLES` along each side: not at every
    pixel, since each answer of a server says it.

    Args:
        evidence: [classes, grid rows, grid columns], signed; the positive part counts.
        place: Place of the grid on the film.
        outline: Of the lungs.
        rows: Of the film.
        columns: Of the film.

    Returns:
        In [0, 1]; None for a class without positive evidence.
    """
    y, x = (_even_places(side) for side in (rows, columns))
    inside = inside_at(outline, x, y)
    drawn = (evidence_at(np.maximum(one, 0).astype(np.float32), place, x, y) for one in evidence)
    shares = (share_inside(one, inside) for one in drawn)
    return [None if np.isnan(share) else share for share in shares]


def _even_places(side: int) -> NDArray[np.float64]:
    points = min(side, SAMPLES)
    return (np.arange(points) + 0.5) * side / points


def best_threshold(found: Sequence[Scores]) -> float:
    """Return the threshold with the largest mean IoU, the first of several.

    Args:
        found: Scores of validation films, never of the films that are measured with it.
    """
    return THRESHOLDS[int(np.mean([one.iou_at for one in found], axis=0).argmax())]


def boxes_region(boxes: Iterable[Box], *, rows: int, columns: int) -> Region:
    """Return the region of all pixels whose centre lies in one of the boxes."""
    x, y = np.arange(columns) + 0.5, (np.arange(rows) + 0.5)[:, None]
    region = np.zeros((rows, columns), bool)
    for left, top, width, height in boxes:
        region |= (x >= left) & (x < left + width) & (y >= top) & (y < top + height)
    return region


def region_from_runs(counts: str, *, rows: int, columns: int) -> Region:
    """Return a mask from COCO's compressed run lengths, the format of CheXlocalize's JSON.

    Runs of 0 and 1 alternate, column by column. From the fourth on, a run is written as the
    difference from the one before the last, in groups of five bits, the lowest first.

    Raises:
        ValueError: The runs do not fill the mask.
    """
    runs: list[int] = []
    for number in _signed_numbers(counts):
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
    if min(runs, default=0) < 0 or sum(runs) != rows * columns:
        raise ValueError(f"counts must fill {rows} x {columns} pixels, not {sum(runs)}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(columns, rows).T


def _signed_numbers(counts: str) -> Iterable[int]:
    number, bits = 0, 0
    for letter in counts.encode("ascii"):
        group = letter - 48
        number |= (group & 31) << bits
        bits += 5
        if not group & 32:  # the last group; its highest bit is the sign
            yield number - (1 << bits) if group & 16 else number
            number, bits = 0, 0
