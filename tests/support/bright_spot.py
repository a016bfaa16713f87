"""Small films in which one thing is to be learnt: a bright spot, or none."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.config import Config, read_config

SIDE = 64
SPOT = 14


def film(seed: int, *, spot: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Return a grey, noisy film; with a spot whose top left corner is (row, column)."""
    random = np.random.default_rng(seed)
    pixels = random.normal(90, 12, (SIDE, SIDE))
    if spot:
        row, column = spot
        pixels[row : row + SPOT, column : column + SPOT] += 90
    return pixels.clip(0, 255).astype(np.uint8)


def write_set(folder: Path, *, films: int = 96) -> Path:
    """Write films, half of them with a spot somewhere, and return their manifest."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(films):
        has_spot = number % 2 == 1
        row, column = random.integers(4, SIDE - SPOT - 4, size=2)
        name = f"{number}.png"
        pixels = film(number, spot=(int(row), int(column)) if has_spot else None)
        Image.fromarray(pixels).save(folder / name)
        split = ("train", "train", "val", "test")[number // 2 % 4]
        rows.append((name, "spot" if has_spot else "normal", f"p{number}", split, "drawn"))
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "patient_id", "split", "source"))
        writer.writerows(rows)
    return folder / "manifest.csv"


CONFIG = """
name = "spot_cnn"
version = "0.1.0"
intended_use = "tests"
limits = ["knows spots only"]

[data]
manifest = "{manifest}"
cache = "{cache}"
description = "bright spots"

[network]
image_size = [64, 64]

[augmentation]
gamma = 0
blur = 0
downsampling = 0
jpeg = 0.2

[training]
epochs = {epochs}
batch_size = 12
model_ema_decay = 0.5

[training.optimiser]
learning_rate = 2e-3
warmup_epochs = 1
"""


def write_config(manifest: Path, *, epochs: int = 10, text: str = CONFIG) -> Path:
    """Write a run that learns the spot in seconds beside its manifest, and return its path.

    `text` is that of another run, with places for manifest, cache and epochs.
    """
    path = manifest.with_name("config.toml")
    path.write_text(
        text.format(manifest=manifest, cache=manifest.with_name("decoded"), epochs=epochs)
    )
    return path


def config(manifest: Path, *, epochs: int = 10) -> Config:
    """Return that run."""
    return read_config(write_config(manifest, epochs=epochs))
