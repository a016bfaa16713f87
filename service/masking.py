"""What a client says about the part of a film that a model shall not see."""

import re

from service.problems import MalformedMask
from service.reading import Mask

NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")


def asked_mask(text: str) -> Mask:
    """Return the rectangle that `x0,y0,x1,y1` says.

    Raises:
        MalformedMask: It says none. What was sent is not repeated: it may be anything.
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
    """Return the problem of a mask that lies beside its film."""
    return MalformedMask(
        f"The mask lies outside the film, which has {columns} columns (x) and {rows} rows (y)."
    )
