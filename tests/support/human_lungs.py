"""Lungs that people outlined on real films."""

import csv
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tests.support.drawn_lungs import MASK


def human_masks(shared: Path, number: int) -> list[Tensor]:
    """Return outlines drawn by people as the share of each of 64x64 cells, evenly over the list."""
    folder = shared / "data" / "lungs"
    with (folder / "lungs.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["mask_by"] == "human"]
    masks = []
    for row in rows[:: len(rows) // number][:number]:
        with Image.open(folder / row["mask"]) as picture:
            cells = picture.convert("L").resize(MASK, Image.Resampling.BOX)
        masks.append(torch.from_numpy(np.asarray(cells, np.float32) / 255)[None, None])
    return masks
