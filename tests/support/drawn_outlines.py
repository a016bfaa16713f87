"""Drawn films with the outline of their lungs, and a training that learns it in seconds."""

import csv
from pathlib import Path

from PIL import Image

from tests.support.bright_spot import write_config
from training.config import Config, read_config
from training.data.phantom import FINDINGS, draw_film

COLUMNS = ("image", "mask", "split", "source", "patient_id", "mask_by", "convention")


def write_outlined_set(folder: Path, *, films: int = 60, columns: int = 64) -> Path:
    """Write drawn films and masks, and return their manifest.

    Each tenth mask is a network's, and is empty; of the others half are `fields`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lungs.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for number in range(films):
            film = draw_film(FINDINGS[number % len(FINDINGS)], seed=number, columns=columns)
            is_networks = number % 10 == 9
            Image.fromarray(film.pixels).save(folder / f"{number}.png")
            Image.fromarray(film.lungs & (not is_networks)).save(folder / f"{number}_mask.png")
            split = ("train", "train", "val", "test")[number // 2 % 4]
            by = "network" if is_networks else "human"
            convention = ("whole", "fields")[number % 2]
            names = f"{number}.png", f"{number}_mask.png"
            rows.writerow((*names, split, f"drawn {convention}", f"p{number}", by, convention))
    return folder / "lungs.csv"


CONFIG = """
name = "drawn_lungs"
version = "0.1.0"
task = "segmentation"
intended_use = "tests"
limits = ["knows drawn lungs only"]

[data]
manifest = "{manifest}"
cache = "{cache}"
description = "drawn chests"

[network]
architecture = "lung_field"
image_size = [64, 64]

[augmentation]
mirror = 0.5
stretch = 0.1
opacities = 0.3
shading = 0.3

[training]
epochs = {epochs}
batch_size = 8
model_ema_decay = 0.5

[training.optimiser]
learning_rate = 5e-3
warmup_epochs = 1
"""


def write_outline_config(manifest: Path, *, epochs: int = 12) -> Path:
    """Write a run that learns drawn lungs beside its manifest, and return its path."""
    return write_config(manifest, epochs=epochs, text=CONFIG)


def outline_config(manifest: Path, *, epochs: int = 12) -> Config:
    """Return that run."""
    return read_config(write_outline_config(manifest, epochs=epochs))
