"""Errors that are raised while a film file is read.

RadiographError (ValueError)
├── NotAnImageError        not PNG, JPEG, TIFF or DICOM
├── FilmTooLargeError      more bytes or pixels than allowed
├── UnreadableFilmError    truncated, corrupt, without pixels, encoded in a way nothing here decodes
└── UnsupportedFilmError   readable, but not one grey film

Messages never quote the film, because a header may hold a patient's name.
"""


class RadiographError(ValueError):
    """The film can't be used; the message says what is wrong and what is allowed."""


class NotAnImageError(RadiographError):
    """The bytes are none of PNG, JPEG, TIFF and DICOM."""


class FilmTooLargeError(RadiographError):
    """The film has more bytes or pixels than allowed."""


class UnreadableFilmError(RadiographError):
    """The film is truncated, corrupt, without pixels or in an encoding that can't be decoded."""


class UnsupportedFilmError(RadiographError):
    """The film can be read, but is not a single grey picture."""
