"""Measure the search for copies: what it finds, what it mistakes for copies, and its cost.

    python benchmarks/near_duplicates.py MANIFEST [--edited 200]

Every pair of the manifest's films is compared, as `cxr prepare` does it; then some films are edited
as republished films are, and compared with their originals.
"""

import argparse
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt64
from PIL import Image, ImageEnhance, ImageOps

from training.preparation.fingerprint import fingerprint, fingerprints
from training.preparation.layouts.own_manifest import read_own_manifest
from training.preparation.near_duplicates import near_duplicates

DISTANCES = (16, 24, 32, 40, 48, 56)
MANY_FILMS = 20_000
Hashes = UInt64[np.ndarray, "films kinds words"]
Edit = Callable[[Image.Image], Image.Image]
EDITS: dict[str, Edit] = {
    "JPEG, quality 30": lambda film: film,
    "half the size": lambda film: film.resize((film.width // 2, film.height // 2)),
    "squashed to 224x224": lambda film: film.resize((224, 224)),
    "brightness x 0.7": lambda film: ImageEnhance.Brightness(film).enhance(0.7),
    "brightness x 1.3": lambda film: ImageEnhance.Brightness(film).enhance(1.3),
    "contrast x 1.4": lambda film: ImageEnhance.Contrast(film).enhance(1.4),
    "gamma 1.5": lambda film: film.point(lambda grey: 255 * (grey / 255) ** 1.5),
    "gamma 0.6": lambda film: film.point(lambda grey: 255 * (grey / 255) ** 0.6),
    "framed in black": lambda film: ImageOps.expand(film, 20, 0),
    "turned by 1 degree": lambda film: film.rotate(1, Image.Resampling.BILINEAR),
    "2 % cropped on each side": lambda film: ImageOps.crop(film, round(0.02 * min(film.size))),
    "mirrored": ImageOps.mirror,
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--edited", type=int, default=200, help="films to edit (default 200)")
    arguments = parser.parse_args()
    films = [film.path for film in read_own_manifest(arguments.manifest).films]
    header = "| | " + " | ".join(f"{distance} bits" for distance in DISTANCES) + " |"
    print(f"{header}\n|{' --- |' * (1 + len(DISTANCES))}")
    print_pairs(films)
    chosen = np.random.default_rng(0).choice(len(films), arguments.edited, replace=False)
    for name, edit in EDITS.items():
        print_found(name, edit, [films[number] for number in chosen])
    print_cost(np.random.default_rng(0).integers(0, 2**63, (MANY_FILMS, 2, 4), np.uint64))


def print_pairs(films: Sequence[Path]) -> None:
    """Print the number of pairs of these films within each distance."""
    hashes = np.stack([print_.hashes for print_ in fingerprints(films)[0].values()])
    distances = [pair.distance for pair in near_duplicates(hashes, max_distance=max(DISTANCES))]
    counts = [sum(distance <= limit for distance in distances) for limit in DISTANCES]
    pairs = len(hashes) * (len(hashes) - 1) // 2
    print(f"| pairs of the {pairs:,} taken for copies | {' | '.join(map(str, counts))} |")


def print_found(name: str, edit: Edit, films: Sequence[Path]) -> None:
    """Print the share of films that is found again after an edit."""
    distances = np.array([_distance(film.read_bytes(), edit) for film in films])
    shares = [f"{100 * (distances <= limit).mean():.1f} %" for limit in DISTANCES]
    print(f"| {name} | {' | '.join(shares)} |")


def _distance(film: bytes, edit: Edit) -> int:
    buffer = io.BytesIO()
    edit(Image.open(io.BytesIO(film)).convert("L")).save(buffer, "JPEG", quality=30)
    differing = fingerprint(film).hashes ^ fingerprint(buffer.getvalue()).hashes
    return int(np.bitwise_count(differing).sum(axis=1, dtype=int).min())


def print_cost(hashes: Hashes) -> None:
    """Print the processor time that comparing all pairs of these hashes takes."""
    start = time.process_time()
    near_duplicates(hashes)
    print(
        f"\ncomparing {len(hashes):,} films: {time.process_time() - start:.1f} s of processor time"
    )


if __name__ == "__main__":
    main()
