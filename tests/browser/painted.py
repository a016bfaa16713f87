"""Read from the canvases what is painted over a film."""

import numpy as np
from numpy.typing import NDArray

from tests.browser.reader import Pixels


def film_samples(seen: Pixels, rows: int, columns: int) -> NDArray[np.int32]:
    """Return the canvas at the middle of every 10 x 10 pixels of a film that is fitted into it."""
    height, width, _ = seen.shape
    scale = min(height / rows, width / columns)
    y = (height - scale * rows) / 2 + scale * (np.arange(5, rows, 10) + 0.5)
    x = (width - scale * columns) / 2 + scale * (np.arange(5, columns, 10) + 0.5)
    return seen[np.ix_(y.astype(int), x.astype(int))].astype(np.int32)


def heat_painted(
    plain: NDArray[np.int32], mapped: NDArray[np.int32], colours: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Return the heat that explains best, at full opacity, what a map made of the film's grey.

    Args:
        plain: The film, rows x columns x 3.
        mapped: The film with the map, of the same shape.
        colours: The 256 colours that it is painted in.
    """
    fits = [
        np.abs((255 - level) * plain + level * colour - 255 * mapped).sum(axis=-1)
        for level, colour in enumerate(colours.astype(np.int32))
    ]
    return np.argmin(fits, axis=0) / 255
