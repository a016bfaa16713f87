"""Cache decoded films on disk, mapped into memory: decoded once for all runs and processes.

A file holds the films of one split at one size. Its name is the hash of everything that determines
its contents, this repository's decoders included, so that a file is never out of date.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import PIL
import pydicom
from jaxtyping import UInt8
from numpy.typing import NDArray
from tqdm import tqdm

import models
from models.card import Grid, ResizeMode
from models.radiograph import network_pixels
from training.data.dataset import film_radiograph
from training.data.manifest import Film
from training.data.whole_file import whole_file

MODELS = Path(models.__path__[0])
DECODERS = (MODELS / "radiograph.py", *sorted((MODELS / "film_files").glob("*.py")))
"""Source files that determine a film's pixels."""


T = TypeVar("T")


@dataclass(frozen=True)
class FilmMemory:
    """A folder of films decoded for a network's input.

    Attributes:
        folder: Of the files; they may be removed when no run uses them.
        image_size: Rows and columns.
        resize_mode: See `models.radiograph.network_pixels`.
        crop_pct: Likewise.
    """

    folder: Path
    image_size: Grid
    resize_mode: ResizeMode
    crop_pct: float = 1.0

    def pixels(self, films: Sequence[Film]) -> UInt8[np.ndarray, "films rows columns"]:
        """Return the films as read-only network pixels of 0 to 255; decode what is not cached.

        Raises:
            ValueError: A film cannot be read; the message names its file.
        """
        return cached_array(
            self.folder,
            shape=(len(films), *self.image_size),
            rows=lambda: decoded(self._bytes, films),
            settings=(self.image_size, self.resize_mode, self.crop_pct),
            files=[film.path for film in films],
        )

    def _bytes(self, film: Film) -> NDArray[np.uint8]:
        seen = network_pixels(
            film_radiograph(film),
            image_size=self.image_size,
            resize_mode=self.resize_mode,
            crop_pct=self.crop_pct,
        )
        return np.rint(seen.pixels * 255).astype(np.uint8)


def decoded(
    decode: Callable[[T], NDArray[np.uint8]], films: Sequence[T]
) -> Iterator[NDArray[np.uint8]]:
    """Yield what `decode` makes of each film, several at a time, in their order."""
    with ThreadPoolExecutor() as pool:
        made = pool.map(decode, films)
        yield from tqdm(made, "decoding", len(films), unit="film", leave=False)


def cached_array(
    folder: Path,
    *,
    shape: tuple[int, ...],
    rows: Callable[[], Iterator[NDArray[np.uint8]]],
    settings: object,
    files: Iterable[Path],
    code: Sequence[Path] = (),
) -> UInt8[np.ndarray, "..."]:
    """Return an array that is made of films once, then mapped read-only from its file.

    Args:
        folder: Of the file.
        shape: Of the array.
        rows: Makes its rows, one after the other.
        settings: What they depend on besides, as something that `repr` writes out.
        files: What they are made of; a file that changes makes them anew.
        code: Source files that they depend on besides this repository's decoders.
    """

    def write(path: Path) -> None:
        array = np.lib.format.open_memmap(path, "w+", np.dtype(np.uint8), shape)
        for number, row in enumerate(rows()):
            array[number] = row
        array.flush()

    file = whole_file(folder / f"{_key(settings, files, code)}.npy", write)
    return np.load(file, mmap_mode="r")


def _key(settings: object, files: Iterable[Path], code: Sequence[Path]) -> str:
    sources = (file.read_bytes() for file in (*DECODERS, *code))
    libraries = (PIL.__version__, pydicom.__version__, *sources)
    digest = hashlib.sha256(repr((settings, libraries)).encode())
    for path in files:
        file = path.stat()
        digest.update(repr((path.resolve(), file.st_size, file.st_mtime_ns)).encode())
    return digest.hexdigest()[:32]
