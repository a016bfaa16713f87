"""Find the lungs on training films once, and keep their outlines on disk."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from tqdm import tqdm

from models.lungs.window import MASK_SIZE, LungWindow
from training.data.film_cache import cached_array
from training.data.manifest import Film

BATCH = 64


def found_lungs(
    films: Sequence[Film],
    pixels: UInt8[np.ndarray, "films rows columns"],
    window: LungWindow,
    folder: Path,
) -> UInt8[np.ndarray, "films mask_rows mask_columns"]:
    """Return each film's probability of lung as the window finds it, 255 for 1.

    Args:
        films: At least one.
        pixels: Of these films, as the network takes them.
        window: Of the network.
        folder: Of the cache, which may be removed when no run uses it.
    """
    return cached_array(
        folder,
        shape=(len(films), *MASK_SIZE),
        rows=lambda: _found(pixels, window),
        settings=("lungs", pixels.shape, pixels[0].tobytes(), _digest(window)),
        files=[film.path for film in films],
        code=[Path(__file__)],
    )


@torch.inference_mode()
def _found(
    pixels: UInt8[np.ndarray, "films rows columns"], window: LungWindow
) -> Iterator[NDArray[np.uint8]]:
    starts = tqdm(range(0, len(pixels), BATCH), "finding lungs", unit="batch", leave=False)
    for start in starts:
        films = torch.from_numpy(np.array(pixels[start : start + BATCH]))[:, None].float() / 255
        yield from (window.probabilities(films)[:, 0] * 255).round().byte().numpy()


def _digest(window: LungWindow) -> str:
    """Return the hash of the lung field's weights."""
    weights = window.field.state_dict().values()
    return hashlib.sha256(b"".join(w.cpu().numpy().tobytes() for w in weights)).hexdigest()
