"""Turn an evidence grid into a heat map: its status, heat in [0, 1], colours, and an overlay.

Heat is evidence on the model's own fixed scale. It is not stretched for each map, so a weak map
looks weak. The colour tables are in `colour_maps`; the viewer uses the same ones.
"""

import json
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.radiograph import GridPlace
from xai.outline import Outline, outline_mask

Floats = NDArray[np.floating[Any]]

COLOUR_MAPS = Path(__file__).with_name("colour_maps")
"""A JSON file for each name; docs/scripts/write_colour_maps.py writes them."""


class ColourMapName(StrEnum):
    """Perceptually uniform colour maps, fit for colour-blind readers; the first is the default."""

    INFERNO = "inferno"
    VIRIDIS = "viridis"
    CIVIDIS = "cividis"
    MAGMA = "magma"
    MANAGUA_R = "managua_r"


class Status(StrEnum):
    """Status of a map: `ok`, or the reason why it must not be read as an explanation."""

    OK = "ok"
    NO_POSITIVE_EVIDENCE = "no_positive_evidence"
    BELOW_THRESHOLD = "below_threshold"
    OUT_OF_DISTRIBUTION = "out_of_distribution"
    OUT_OF_DISTRIBUTION_FORCED = "out_of_distribution_forced"


PAINTED = (Status.OK, Status.OUT_OF_DISTRIBUTION_FORCED)
"""Statuses of maps that are painted: explanations, and maps that were asked for all the same."""


def explanation_status(
    evidence: Floats,
    *,
    is_possible: bool,
    in_distribution: bool,
    force: bool = False,
) -> Status:
    """Return the first reason not to read the map as an explanation, or `ok`.

    Args:
        evidence: Signed evidence of one class, grid rows x grid columns.
        is_possible: False if the class is excluded, or below its threshold;
            see `ModelCard.is_possible`.
        in_distribution: True if the film is answered, not refused.
        force: The map of a refused film is asked for all the same.
    """
    if not in_distribution:
        return Status.OUT_OF_DISTRIBUTION_FORCED if force else Status.OUT_OF_DISTRIBUTION
    if not np.any(evidence > 0):
        return Status.NO_POSITIVE_EVIDENCE
    if not is_possible:
        return Status.BELOW_THRESHOLD
    return Status.OK


def heat(evidence: Floats, evidence_scale: float) -> NDArray[np.float32]:
    """Return heat in [0, 1]: the positive part of the evidence on the model's fixed scale.

    Args:
        evidence: Signed evidence, any shape.
        evidence_scale: Evidence that has heat 1, from the model card; more evidence has 1 too.

    Raises:
        ValueError: `evidence_scale` is not above 0, or `evidence` is not finite.
    """
    if not evidence_scale > 0:
        raise ValueError(f"evidence_scale must be above 0, not {evidence_scale}")
    if not np.all(np.isfinite(evidence)):
        raise ValueError("evidence must be finite, but holds NaN or infinity")
    return np.clip(evidence / evidence_scale, 0, 1).astype(np.float32)


def film_heat(
    heat: NDArray[np.float32],
    place: GridPlace,
    rows: int,
    columns: int,
    outline: Outline | None = None,
) -> NDArray[np.float32]:
    """Return heat at every pixel of the film, as `film_evidence` does evidence.

    Args:
        heat: Heat in [0, 1], grid rows x grid columns.
        place: Place of the grid on the film.
        rows: Rows of the film.
        columns: Columns of the film.
        outline: Of the lungs, in film pixels.

    Raises:
        ValueError: As `evidence_at` does.
    """
    # By rounding errors, the weights may not sum to exactly 1.
    return np.clip(film_evidence(heat, place, rows, columns, outline), 0, 1)


def film_evidence(
    evidence: NDArray[np.float32],
    place: GridPlace,
    rows: int,
    columns: int,
    outline: Outline | None = None,
) -> NDArray[np.float32]:
    """Return evidence at the centre of every pixel of the film, bilinear as `evidence_at`.

    This is what is drawn, and measured: a grid's cells are larger than a lung's edge is sharp, so
    that the map of a model that sees only the lungs would run over without the outline.

    Args:
        evidence: Any numbers, grid rows x grid columns.
        place: Place of the grid on the film.
        rows: Rows of the film.
        columns: Columns of the film.
        outline: Of the lungs, in film pixels: what lies outside is 0. None cuts off nothing.

    Raises:
        ValueError: As `evidence_at` does.
    """
    x, y = np.arange(columns) + 0.5, np.arange(rows) + 0.5
    drawn = evidence_at(evidence.astype(np.float32), place, x, y)
    return drawn if outline is None else drawn * outline_mask(outline, rows, columns)


def evidence_at(evidence: Floats, place: GridPlace, x: Floats, y: Floats) -> Floats:
    """Return evidence at points of the film, bilinear between the centres of the grid's cells.

    Beyond the outermost centres the value is that of the outermost cell, up to the edges of what
    the network saw. A point outside them (in a border that was trimmed) gets 0.

    Args:
        evidence: Any numbers, grid rows x grid columns.
        place: Place of the grid on the film.
        x: Columns of the points, [points along a row]; pixel 0 covers [0, 1).
        y: Rows of the points, [points along a column].

    Returns:
        len(y) x len(x) values of the evidence's own type.

    Raises:
        ValueError: The place's affine rotates, mirrors or shears, or has a scale of 0.
    """
    (a, b, c, d, e, f), (left, top, right, bottom) = place
    if b != 0 or d != 0 or a <= 0 or e <= 0:
        raise ValueError(
            f"affine must only scale and shift (b = d = 0, a and e above 0): {place.affine}"
        )
    rows, columns = evidence.shape
    along_rows = _cell_weights((y - f) / e, rows) * _within(y, top, bottom)
    along_columns = _cell_weights((x - c) / a, columns) * _within(x, left, right)
    kind = evidence.dtype
    return np.asarray(along_rows.astype(kind) @ evidence @ along_columns.astype(kind).T)


def _cell_weights(places: Floats, cells: int) -> Floats:
    """Return the weight of each cell for each place in grid coordinates, places x cells."""
    between_centres = np.clip(places - 0.5, 0, cells - 1)
    return np.maximum(0, 1 - np.abs(between_centres[:, None] - np.arange(cells)))


def _within(places: Floats, first: float, end: float) -> NDArray[np.bool_]:
    return ((places >= first) & (places < end))[:, None]


def colour_map(name: ColourMapName) -> dict[str, Any]:
    """Return a colour map by its name.

    Returns:
        `name`, `source` with its licence, `kind` (sequential or diverging) and `rgb`: 256 colours.
        Sequential maps begin with the coldest colour, and heat h has colour `floor(255 h + 0.5)`.
        Diverging maps go from -1 (all against) over 0 to 1 (all for).
    """
    return json.loads((COLOUR_MAPS / f"{name}.json").read_text(encoding="utf-8"))


def colours(heat: Floats) -> NDArray[np.uint8]:
    """Return the colour of each heat in [0, 1] as 8-bit RGB in a new last axis.

    Source:
        The perceptually uniform map `inferno`, see `colour_maps/inferno.json`.
    """
    level = np.floor(np.clip(heat, 0, 1) * 255 + 0.5).astype(np.uint8)
    return _colour_table()[level]


@cache
def _colour_table() -> NDArray[np.uint8]:
    return np.array(colour_map(ColourMapName.INFERNO)["rgb"], dtype=np.uint8)


def overlay(
    radiograph_pixels: Floats, heat_on_film: Floats, opacity: float = 0.5
) -> NDArray[np.uint8]:
    """Return the film as 8-bit RGB, overlaid with its heat in colour.

    A pixel is `(1 - opacity * heat) * grey + opacity * heat * colour`: grey where heat is 0.

    Args:
        radiograph_pixels: The film in [0, 1], rows x columns.
        heat_on_film: Heat in [0, 1] of the same shape.
        opacity: Opacity of the colour at heat 1, in [0, 1].

    Raises:
        ValueError: The shapes differ, or `opacity` is outside [0, 1].
    """
    if radiograph_pixels.shape != heat_on_film.shape:
        raise ValueError(
            f"heat_on_film must have the film's shape {radiograph_pixels.shape}, "
            f"not {heat_on_film.shape}"
        )
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity must lie in [0, 1], not {opacity}")
    paint = (opacity * heat_on_film)[..., None].astype(np.float32)
    grey = 255 * radiograph_pixels[..., None].astype(np.float32)
    return np.rint((1 - paint) * grey + paint * colours(heat_on_film)).astype(np.uint8)
