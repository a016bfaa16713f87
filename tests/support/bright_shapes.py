"""Small films with several things to be learnt at once, each there or not; some labels unknown."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.support import bright_spot
from tests.support.bright_spot import CONFIG, SIDE

FINDINGS = ("spot", "hole", "stripes")
SHAPE = 16
CORNERS = ((8, 8), (8, 40), (40, 8), (40, 40))
"""Top left corners of the places where something may be."""

Places = dict[str, tuple[int, int]]


def film(seed: int, places: Places) -> NDArray[np.uint8]:
    """Return a grey, noisy film with these findings, each at its top left corner."""
    pixels = np.random.default_rng(seed).normal(110, 12, (SIDE, SIDE))
    stripes = np.where(np.arange(SHAPE) // 2 % 2, 70, -70)
    added = {"spot": 80, "hole": -80, "stripes": stripes}
    for finding, (row, column) in places.items():
        pixels[row : row + SHAPE, column : column + SHAPE] += added[finding]
    return pixels.clip(0, 255).astype(np.uint8)


def drawn_places(random: np.random.Generator) -> Places:
    """Return findings, each there in half of all films whatever the others do, with places."""
    corners = random.permutation(CORNERS)
    return {
        finding: (int(row), int(column))
        for finding, (row, column) in zip(FINDINGS, corners, strict=False)
        if random.random() < 0.5
    }


def write_set(folder: Path, *, films: int = 128) -> Path:
    """Write films and their manifest, in which nobody knows about a fifth of the findings."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(films):
        places = drawn_places(random)
        Image.fromarray(film(number, places)).save(folder / f"{number}.png")
        known = [str(int(f in places)) if random.random() < 0.8 else "" for f in FINDINGS]
        split = ("train", "train", "val", "train", "test")[number % 5]
        rows.append((f"{number}.png", f"p{number}", split, *known))
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "patient_id", "split", *(f"finding:{f}" for f in FINDINGS)))
        writer.writerows(rows)
    return folder / "manifest.csv"


def write_config(manifest: Path, *, epochs: int = 14) -> Path:
    """Write a run that learns the findings in seconds beside their manifest; return its path."""
    text = CONFIG.replace("spot_cnn", "shapes_cnn").replace("2e-3", "4e-3")
    return bright_spot.write_config(manifest, epochs=epochs, text=text)
