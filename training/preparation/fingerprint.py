"""Hash films: SHA-256 of the file, and perceptual hashes of 2 x 256 bits of the picture."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
from jaxtyping import Float32, UInt64
from PIL import Image
from tqdm import tqdm

from models.film_files.errors import RadiographError
from models.radiograph import network_pixels, read_radiograph

HASH_SIDE = 16
"""Chest films resemble each other: with the usual 8x8 bits two patients would look the same."""

HASH_BITS = HASH_SIDE**2
TRIMMED_SIZE = (256, 256)


@dataclass(frozen=True)
class Fingerprint:
    """The hashes of a film.

    Attributes:
        sha256: Of the file.
        hashes: Perceptual hashes of the whole film and of the film without its uniform borders,
            256 bits each. Either fails where the other works: if a border was added, or if another
            brightness moved the detected border.
    """

    sha256: str
    hashes: UInt64[np.ndarray, "2 words"]


def fingerprint(film: bytes) -> Fingerprint:
    """Return the hashes of the film in a file, given the file's bytes.

    Raises:
        RadiographError: The film cannot be decoded.
    """
    radiograph = read_radiograph(film)
    trimmed = network_pixels(radiograph, image_size=TRIMMED_SIZE, resize_mode="stretch")
    hashes = np.stack([perceptual_hash(radiograph.pixels), perceptual_hash(trimmed.pixels)])
    return Fingerprint(hashlib.sha256(film).hexdigest(), hashes)


def perceptual_hash(pixels: Float32[np.ndarray, "rows columns"]) -> UInt64[np.ndarray, "words"]:
    """Return the perceptual hash of a film (pixels in [0, 1]), packed into 64-bit words.

    Each bit says whether one of the 16x16 lowest frequencies is above their median.

    Source:
        pHash: Zauner 2010, "Implementation and benchmarking of perceptual image hash functions".
    """
    film = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
    return np.packbits(imagehash.phash(film, hash_size=HASH_SIDE).hash).view(np.uint64)


def fingerprints(films: Sequence[Path]) -> tuple[dict[Path, Fingerprint], dict[Path, str]]:
    """Return the fingerprints of films that can be decoded, and the error of each other film."""
    taken: dict[Path, Fingerprint] = {}
    faults: dict[Path, str] = {}
    with ThreadPoolExecutor() as pool:
        answers = tqdm(pool.map(_read, films), "hashing", len(films), unit="film", leave=False)
        for film, answer in zip(films, answers, strict=True):
            if isinstance(answer, Fingerprint):
                taken[film] = answer
            else:
                faults[film] = answer
    return taken, faults


def _read(film: Path) -> Fingerprint | str:
    try:
        return fingerprint(film.read_bytes())
    except FileNotFoundError:
        return "The file does not exist."
    except (OSError, RadiographError) as error:
        return str(error)
