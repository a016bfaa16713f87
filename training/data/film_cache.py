"""Cache decoded films on disk, mapped into memory: decoded once for all runs and processes.

A file holds the films of one split at one size. Its name is the hash of everything that determines
its contents, this repository's decoders included, so that a file is never out of date.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

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
        file = self.folder / f"{self._key(films)}.npy"
        whole_file(file, lambda path: self._write(path, films))
        return np.load(file, mmap_mode="r")

    def _key(self, films: Sequence[Film]) -> str:
        settings = (self.image_size, self.resize_mode, self.crop_pct)
        libraries = (
            PIL.__version__,
            pydicom.__version__,
            *(file.read_bytes() for file in DECODERS),
        )
        digest = hashlib.sha256(repr((settings, libraries)).encode())
        for film in films:
            file = film.path.stat()
            digest.update(repr((film.path.resolve(), file.st_size, file.st_mtime_ns)).encode())
        return digest.hexdigest()[:32]

    def _write(self, file: Path, films: Sequence[Film]) -> None:
        shape = (len(films), *self.image_size)
        array = np.lib.format.open_memmap(file, "w+", np.dtype(np.uint8), shape)
        for number, film in enumerate(self._decoded(films)):
            array[number] = film
        array.flush()

    def _decoded(self, films: Sequence[Film]) -> Iterator[NDArray[np.uint8]]:
        with ThreadPoolExecutor() as pool:
            decoded = pool.map(self._bytes, films)
            yield from tqdm(decoded, "decoding", len(films), unit="film", leave=False)

    def _bytes(self, film: Film) -> NDArray[np.uint8]:
        seen = network_pixels(
            film_radiograph(film),
            image_size=self.image_size,
            resize_mode=self.resize_mode,
            crop_pct=self.crop_pct,
        )
        return np.rint(seen.pixels * 255).astype(np.uint8)
