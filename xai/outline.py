"""Outline the lungs on a film: from a soft mask to polygons of few points, and back to pixels."""

from itertools import pairwise

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.radiograph import GridPlace, NetworkPixels

Floats = NDArray[np.floating]
Ring = tuple[tuple[float, float], ...]
"""A polygon's corners as (x, y) in film pixels; the last is joined to the first."""
Outline = tuple[Ring, ...]
"""Rings around the lungs. A point that lies in an odd number of them is inside."""

LEVEL = 0.3
"""Certainty of lung on the outline: nearest to people's masks on val (benchmarks/README.md)."""
TOLERANCE = 0.25
"""In cells; there an outline has at most 95 points."""
SUBPIXELS = 4
"""Parts of a pixel's side in which lines are drawn, so that their edges are smooth."""
LINES = ((3.5, 0), (1.5, 255))
"""Widths and grey of the lines of an outline: light on dark, to be seen on either."""
SIDE = 1000
"""On a longer film lines are wider, as if this were its longer side."""


def lung_outline(
    lungs: Floats, place: GridPlace, *, level: float = LEVEL, tolerance: float = TOLERANCE
) -> Outline:
    """Return the outline of a film's lungs: where the bilinear field of their mask has a level.

    Beyond the outermost centres of cells the field is constant, up to the edge of the mask.

    Args:
        lungs: [mask rows, mask columns] in [0, 1], how surely each cell is lung, 0 outside.
        place: Place of that grid on the film.
        level: Of the field, above 0.
        tolerance: How far the polygons may be from its level line, in cells.

    Returns:
        Rings of at least three corners, rounded to a tenth of a pixel; none where no cell reaches
        the level.

    Source:
        Douglas and Peucker 1973, doi:10.3138/FM57-6770-U75U-7727, the second method.
    """
    y, x = (np.r_[0, 0, np.arange(cells) + 0.5, cells, cells] for cells in lungs.shape)
    field = np.pad(np.pad(lungs, 1, mode="edge"), 1)
    a, b, c, d, e, f = place.affine
    rings = []
    for line in contour_generator(x, y, field).lines(level):
        column, row = simplified(np.asarray(line), tolerance)[:-1].T
        if len(column) > 2:
            points = np.stack([a * column + b * row + c, d * column + e * row + f], axis=1)
            rings.append(tuple(map(tuple, points.round(1).tolist())))
    return tuple(rings)


def film_outline(lungs: Floats | None, seen: NetworkPixels) -> Outline | None:
    """Return the outline of a film's lungs in its own pixels; None where a model sees it whole.

    Args:
        lungs: What the model answers for this film alone, [1, mask rows, mask columns], or None.
        seen: The film as the model was given it.
    """
    if lungs is None:
        return None
    _, rows, columns = lungs.shape
    return lung_outline(lungs[0], seen.grid_place((rows, columns), None))


def simplified(line: Floats, tolerance: float) -> Floats:
    """Return the points of a line that suffice to stay within a tolerance; both ends are kept.

    Args:
        line: [points, 2]; a ring ends with the point that it begins with.
        tolerance: Largest distance of a point that is left out, in the line's own unit.
    """
    from_start, (along, down) = line - line[0], line[-1] - line[0]
    length = np.hypot(along, down)
    across = np.abs(from_start[:, 0] * down - from_start[:, 1] * along)
    distance = across / length if length else np.hypot(*from_start.T)
    farthest = int(distance.argmax())
    if distance[farthest] <= tolerance:
        return line[[0, -1]]
    before, after = line[: farthest + 1], line[farthest:]
    return np.concatenate([simplified(before, tolerance)[:-1], simplified(after, tolerance)])


def outline_mask(outline: Outline, rows: int, columns: int) -> NDArray[np.bool_]:
    """Return which pixels of a film have their centre inside an outline.

    Args:
        outline: In pixels of the film.
        rows: Of the film.
        columns: Of the film.
    """
    return inside_at(outline, np.arange(columns) + 0.5, np.arange(rows) + 0.5)


def inside_at(outline: Outline, x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Return which points of a film lie inside an outline: an odd number of edges is left of them.

    Args:
        outline: In pixels of the film.
        x: Columns of the points, [points along a row], rising; pixel 0 covers [0, 1).
        y: Rows of the points, [points along a column].
    """
    crossed = np.zeros((len(y), len(x) + 1), np.bool_)
    for ring in outline:
        for (x0, y0), (x1, y1) in pairwise((*ring, ring[0])):
            rows = np.flatnonzero((y < y0) != (y < y1))
            edge = x0 + (y[rows] - y0) * (x1 - x0) / (y1 - y0 or 1)  # a level edge crosses no row
            crossed[rows, np.searchsorted(x, edge)] ^= True
    return np.logical_xor.accumulate(crossed, axis=1)[:, :-1]


def outlined(
    picture: NDArray[np.uint8], outline: Outline, *, side: int, first_row: int = 0
) -> NDArray[np.uint8]:
    """Return a picture of a film with the outline drawn on it as a thin smooth line.

    Args:
        picture: Rows of the film, rows x columns x RGB.
        outline: In pixels of the film.
        side: The film's longer side in pixels.
        first_row: Of the film, in the picture.
    """
    rows, columns, _ = picture.shape
    shown = Image.fromarray(picture)
    for width, grey in LINES:
        line = Image.new("L", (SUBPIXELS * columns, SUBPIXELS * rows))
        draw = ImageDraw.Draw(line)
        for ring in outline:
            corners = [(SUBPIXELS * x, SUBPIXELS * (y - first_row)) for x, y in (*ring, *ring[:2])]
            wide = round(SUBPIXELS * width * max(1, side / SIDE))
            draw.line(corners, fill=255, width=wide, joint="curve")
        shown.paste((grey, grey, grey), mask=line.reduce(SUBPIXELS))
    return np.asarray(shown)
