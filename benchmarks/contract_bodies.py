"""Let schemathesis send films and zips, sound and damaged, where the document says "binary".

Loaded by `schemathesis run` (SCHEMATHESIS_HOOKS), which otherwise sends noise that is no film, to
models that don't exist.
"""

from typing import Any
from zlib import crc32

import schemathesis
from hypothesis import strategies as st
from mutated_films import damaged_bodies, sound_films, sound_zips

FILM_TYPES = ("image/png", "image/jpeg", "image/jpg", "image/tiff", "application/dicom")
ZIP_TYPES = ("application/zip", "application/x-zip-compressed")
DAMAGED = 100
MODEL = "chest_cnn"


def bodies(sound: dict[str, bytes]) -> st.SearchStrategy[bytes]:
    """Return a strategy of sound bodies, damaged ones and noise."""
    damaged = [body for _, body in damaged_bodies(sound, DAMAGED)]
    return st.sampled_from([*sound.values()]) | st.sampled_from(damaged) | st.binary()


FILMS, ZIPS = bodies(sound_films()), bodies(sound_zips())
for media_type in FILM_TYPES:
    schemathesis.openapi.media_type(media_type, FILMS)
for media_type in ZIP_TYPES:
    schemathesis.openapi.media_type(media_type, ZIPS)
schemathesis.openapi.media_type("application/octet-stream", FILMS | ZIPS)
schemathesis.openapi.format("binary", FILMS)


@schemathesis.hook
def map_path_parameters(_context: Any, path: dict[str, Any] | None) -> dict[str, Any] | None:
    """Name a model that exists in three of four cases."""
    return _sound(path, "name")


@schemathesis.hook
def map_query(_context: Any, query: dict[str, Any] | None) -> dict[str, Any] | None:
    """Name a model that exists in three of four cases."""
    return _sound(query, "model")


def _sound(parameters: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
    if parameters and name in parameters and crc32(str(parameters).encode()) % 4:
        return parameters | {name: MODEL}
    return parameters
