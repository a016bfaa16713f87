"""Measure how near outlines of the lungs come to masks by people, by level and by tolerance.

    python benchmarks/outline.py --manifest ../shared/data/lungs/lungs.csv [--split val]

The lung field finds the lungs on each film, stray pieces are removed as in an exported file, and
the polygons of `xai.outline` are filled in the film's own pixels. The figures are over films with
human masks: Dice (mean, tenth percentile), and how many points the polygons have in all (mean,
99th percentile, most).
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from models.checkpoint import lung_field
from models.lungs.pieces import TwoLungs, certainty
from models.lungs.window import MASK_SIZE
from models.radiograph import GridPlace
from training.data.dataset import film_radiograph
from training.data.manifest import Split, of_split
from training.outlines.outlined_films import read_outlined_films
from training.outlines.planes import read_mask, seen_whole, unknown_part
from training.statistics.metrics import dice_coefficients
from xai.outline import LEVEL, TOLERANCE, lung_outline, outline_mask

SETTINGS = (
    *((level, TOLERANCE) for level in (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)),
    *((LEVEL, tolerance) for tolerance in (0.0, 0.5, 1.0)),
)
Mask = NDArray[np.bool_]
Found = tuple[NDArray[np.float32], GridPlace, Mask, Mask]
"""A film's lungs with their place, its mask, and where that says something."""


def main() -> None:
    """Print a row for each setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", choices=("train", "val", "test"), default="val")
    arguments = parser.parse_args()
    rows = [
        [measured(found, *setting) for setting in SETTINGS]
        for found in found_lungs(arguments.manifest, arguments.split)
    ]
    print(f"{len(rows)} films of {arguments.split}")
    print("level  tolerance  Dice    tenth   points  99 %  most")
    columns = zip(SETTINGS, np.transpose(rows, (1, 2, 0)), strict=True)
    for (level, tolerance), (dice, points) in columns:
        tenth, many = np.quantile(dice, 0.1), np.quantile(points, 0.99)
        print(
            f"{level:5.2f}  {tolerance:9.2f}  {dice.mean():.4f}  {tenth:.4f}"
            f"  {points.mean():6.1f}  {many:4.0f}  {points.max():4.0f}"
        )


@torch.inference_mode()
def found_lungs(manifest: Path, split: Split) -> Iterator[Found]:
    """Yield what is found on each film that a person outlined."""
    network, spec = lung_field()
    two_lungs = TwoLungs(MASK_SIZE)
    films = [
        one for one in of_split(read_outlined_films(manifest), split) if one.mask_by == "human"
    ]
    for film in tqdm(films, unit="film"):
        radiograph = film_radiograph(film)
        view = seen_whole(radiograph, spec.image_size)
        mask = read_mask(film.mask, radiograph)
        probabilities = network(torch.from_numpy(view.pixels)[None, None]).sigmoid()
        lungs = two_lungs(certainty(probabilities))[0, 0].numpy()
        known = ~unknown_part(mask, film.convention)
        yield lungs, view.grid_place(MASK_SIZE, None), mask, known


def measured(found: Found, level: float, tolerance: float) -> tuple[float, int]:
    """Return the Dice coefficient of one film's outline, and how many points it has."""
    lungs, place, mask, known = found
    outline = lung_outline(lungs, place, level=level, tolerance=tolerance)
    inside = outline_mask(outline, *mask.shape)
    dice = dice_coefficients(inside[None], mask[None], known[None])[0]
    return float(dice), sum(map(len, outline))


if __name__ == "__main__":
    main()
