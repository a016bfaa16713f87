"""Read the mask of a request: the rectangle of a film that the model must not see."""

import math
import re
from typing import NamedTuple

from models.radiograph import PixelBox
from service.problems import MalformedMask


class Mask(NamedTuple):
    """A rectangle of a film, in its pixels; pixel (0, 0) covers [0, 1) x [0, 1)."""

    left: float
    top: float
    right: float
    bottom: float

    def pixels(self, rows: int, columns: int) -> PixelBox | None:
        """Return all pixels of the film that the rectangle touches, or None if there are none."""
        left, top = max(math.floor(self.left), 0), max(math.floor(self.top), 0)
        right, bottom = min(math.ceil(self.right), columns), min(math.ceil(self.bottom), rows)
        return (left, top, right, bottom) if left < right and top < bottom else None


NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")


def asked_mask(text: str) -> Mask:
    """Return the rectangle that the text `x0,y0,x1,y1` gives.

    Raises:
        MalformedMask: It gives none. What was sent is not repeated: it may be a patient's name.
    """
    words = text.split(",")
    if len(words) != 4:
        raise MalformedMask(f"mask has {len(words)} numbers; it must have four: x0,y0,x1,y1.")
    for name, word in zip(("x0", "y0", "x1", "y1"), words, strict=True):
        if not NUMBER.fullmatch(word):
            raise MalformedMask(f"{name} of the mask must be a number such as 12 or 12.5.")
    mask = Mask(*map(float, words))
    if mask.left >= mask.right or mask.top >= mask.bottom:
        raise MalformedMask("The mask is empty; x0 must be less than x1, and y0 less than y1.")
    return mask


def mask_outside(rows: int, columns: int) -> MalformedMask:
    """Return the problem of a mask that lies outside its film."""
    return MalformedMask(
        f"The mask lies outside the film, which has {columns} columns (x) and {rows} rows (y)."
    )
