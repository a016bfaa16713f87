"""Check that maps lie where the evidence is: cover a patch of a film, see where the map changes.

    python benchmarks/registration.py --films FOLDER [--number 24] [MODEL ...]

Patches on an even lattice are covered, as `?mask=` does it, one at a time. The change of the
evidence, over all classes, is drawn on the film, and its centre is compared with the patch's: the
middle of what is above half of the largest change. Patches lie symmetrically about the middle of
what the network sees, so that a change elsewhere pulls as often one way as the other. Offsets are
shares of the side that the network sees, times 224. "Even" cells are those that fill the input
evenly: how maps were drawn before cards had `cell_centres`.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from models.card import CellCentres
from models.radiograph import GridPlace, PixelBox, Radiograph, network_pixels, read_radiograph
from service.films.decoding import View
from service.settings import OWN_MODELS
from xai.explainer import Explainer
from xai.heatmap import evidence_at

LATTICE = 5
"""Patches along each side."""

SIDE = 1 / 7
"""Side of a patch, as a share of the side that the network sees: 32 of 224 pixels."""

POINTS = 224
"""Points along each side at which a change is drawn."""

Offsets = Float[np.ndarray, "patches 2"]
"""To the right and down, of 224 pixels."""


def offsets(
    explainer: Explainer, film: Radiograph, placings: Sequence[CellCentres | None]
) -> list[Offsets]:
    """Return how far from each covered patch the change is drawn, for each placing of the cells."""
    grid, view = explainer.card.activation_grid, View.of(explainer.card)._asdict()
    seen = network_pixels(film, **view)
    left, top, right, bottom = seen.grid_place(grid, None).extent
    boxes = list(patches((left, top, right, bottom)))
    covered = (network_pixels(film, **view, mask=box) for box in boxes)
    films = [one.pixels[None, None] for one in (seen, *covered)]
    evidence = np.concatenate([explainer(one).evidence for one in films])
    changes = np.abs(evidence[1:] - evidence[0]).sum(axis=1)
    middles = np.array([middle(box) for box in boxes])
    found = []
    for cells in placings:
        place = seen.grid_place(grid, cells)
        centres = np.array([centre(change, place) for change in changes])
        found.append(POINTS * (centres - middles) / (right - left, bottom - top))
    return found


def patches(extent: tuple[float, float, float, float]) -> Iterator[PixelBox]:
    """Yield boxes of whole film pixels about the points of a lattice on what is seen."""
    left, top, right, bottom = extent
    width, height = right - left, bottom - top
    for down in range(1, LATTICE + 1):
        for across in range(1, LATTICE + 1):
            x, y = left + across * width / (LATTICE + 1), top + down * height / (LATTICE + 1)
            sides = x - SIDE * width / 2, y - SIDE * height / 2
            ends = x + SIDE * width / 2, y + SIDE * height / 2
            yield (round(sides[0]), round(sides[1]), round(ends[0]), round(ends[1]))


def middle(box: PixelBox) -> tuple[float, float]:
    """Return the middle of a box on the film."""
    left, top, right, bottom = box
    return (left + right) / 2, (top + bottom) / 2


def centre(
    change: Float[np.ndarray, "grid_rows grid_columns"], place: GridPlace
) -> tuple[float, float]:
    """Return the middle of what is above half of a change's maximum, in film pixels."""
    left, top, right, bottom = place.extent
    steps = (np.arange(POINTS) + 0.5) / POINTS
    x, y = left + steps * (right - left), top + steps * (bottom - top)
    drawn = evidence_at(change, place, x, y)
    weights = np.maximum(drawn - drawn.max() / 2, 0)
    return float(weights.sum(axis=0) @ x / weights.sum()), float(
        weights.sum(axis=1) @ y / weights.sum()
    )


def line(name: str, found: Offsets) -> str:
    """Return a table's line: the mean offset, its length, and the mean length."""
    right, down = found.mean(axis=0)
    lengths = np.hypot(*found.T)
    return (
        f"| {name} | {right:+.1f} | {down:+.1f} | {np.hypot(right, down):.1f} "
        f"| {lengths.mean():.1f} | {np.median(lengths):.1f} |"
    )


def main() -> int:
    """Print a table of the offsets of each model's maps."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", type=Path, help="ONNX files (default: those of ours)")
    parser.add_argument("--films", type=Path, required=True, help="folder of films")
    parser.add_argument("--number", type=int, default=24, help="of films, evenly spread")
    options = parser.parse_args()
    files = sorted(file for file in options.films.iterdir() if file.is_file())
    chosen = np.linspace(0, len(files) - 1, options.number).round().astype(int)
    films = [read_radiograph(files[number].read_bytes()) for number in chosen]
    print("| model, cells | right | down | length of the mean offset | mean length | median |")
    print("| --- | --- | --- | --- | --- | --- |")
    for model in options.models or sorted(OWN_MODELS.glob("*.onnx")):
        explainer = Explainer(model)
        placings = (None, explainer.card.cell_centres)
        found = [offsets(explainer, film, placings) for film in tqdm(films, leave=False)]
        for words, of_films in zip(("even", "of the card"), zip(*found, strict=True), strict=True):
            print(line(f"{explainer.card.name}, {words}", np.concatenate(of_films)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
