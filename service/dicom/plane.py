"""Give a film's header a plane in space, which a parametric map needs and most films lack.

A projection has no depth, so the plane's place is made up: it goes through the origin of a frame of
reference of its own. Viewers lay the map over the film pixel by pixel, since the map says that its
locations are the film's. The directions are those of the film's Patient Orientation.
"""

from copy import deepcopy

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from models.film_files.dicom_grey_scale import film_spacing

DIRECTIONS = {
    "L": [1, 0, 0],
    "R": [-1, 0, 0],
    "P": [0, 1, 0],
    "A": [0, -1, 0],
    "H": [0, 0, 1],
    "F": [0, 0, -1],
}
"""Of rows and columns, by the first letter in Patient Orientation (PS3.3, C.7.6.1.1.1)."""
FRONTAL = ("L", "F")
UNKNOWN_SPACING = (1.0, 1.0)
"""Millimetres between pixels, for a film that gives none; the map must have some."""


def with_plane(header: Dataset, frame_of_reference: UID) -> Dataset:
    """Return a film's header with a plane in a frame of reference of its own."""
    header = deepcopy(header)
    header.FrameOfReferenceUID = frame_of_reference
    header.ImagePositionPatient = [0, 0, 0]
    header.ImageOrientationPatient = _orientation(header)
    header.PixelSpacing = list(film_spacing(header) or UNKNOWN_SPACING)
    header.SliceThickness = None  # highdicom asks for it
    return header


def _orientation(header: Dataset) -> list[int]:
    """Return the directions of a row and of a column; a frontal film's where none are given."""
    words = [str(word)[:1] for word in header.get("PatientOrientation") or ()]
    known = [DIRECTIONS[word] for word in words if word in DIRECTIONS]
    if len(known) != 2 or np.dot(known[0], known[1]) != 0:
        known = [DIRECTIONS[word] for word in FRONTAL]
    return [*known[0], *known[1]]
