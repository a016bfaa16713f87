"""Check that maps lie where the evidence is: cover a patch of a film, see where the map changes.

    python benchmarks/registration.py --films FOLDER [--number 24] [--random-weights] [MODEL ...]

Patches as large as a cell, in the middle half of a film, are covered one at a time, with black and
with white. The change of the evidence, over all classes, is drawn on the film, and its middle is
compared with the patch's. "Even" cells are those that fill the network's input evenly: how maps
were drawn before cards had `cell_centres`, and as if a crop to the lungs were not known of. Before
a network that finds the lungs itself, patches are made a little darker and lighter instead, or
it would find other lungs: the median offset tells more than the mean then. With
`--random-weights`, other ones for each film, nothing has been learnt. What is left then is how
wrongly maps are drawn; what is left with a file's own weights, also what it has learnt: to look
below a place more than above it, say.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from tqdm import tqdm

from models.architectures import build
from models.card import CellCentres, ModelCard
from models.radiograph import GridPlace, PixelBox, Radiograph, network_pixels, read_radiograph
from service.films.decoding import View
from service.settings import OWN_MODELS
from training.onnx_files.network_from_onnx import logits_and_evidence
from xai.explainer import Explainer
from xai.heatmap import evidence_at

LATTICE = 4
"""Patches along each side."""

SIDE = 1 / 14
"""Side of a patch, as a share of the side that the network sees."""

GREYS = (0.0, 1.0)
"""What a patch is covered with, in turn."""

SLIGHT = 0.05
"""Opacity of a patch before a network that finds the lungs itself."""

POINTS = 224
"""Points along each side at which a change is drawn; offsets are in these."""

Offsets = Float[np.ndarray, "patches 2"]
"""To the right and down, in 224ths of what the network sees."""

Pixels = Float32[np.ndarray, "films 1 rows columns"]
Evidence = Float[np.ndarray, "films classes grid_rows grid_columns"]


def offsets(
    evidence_of: Callable[[Pixels], Evidence],
    card: ModelCard,
    film: Radiograph,
    placings: Sequence[CellCentres | None],
) -> list[Offsets]:
    """Return how far from each covered patch the change is drawn, for each placing of the cells.

    Args:
        evidence_of: The network.
        card: Its card.
        film: The film whose patches are covered.
        placings: Where its cells are taken to lie; None fills the input evenly.
    """
    grid, view = card.activation_grid, View.of(card)._asdict()
    seen = network_pixels(film, **view)
    left, top, right, bottom = seen.grid_place(grid, None).extent
    boxes = list(patches((left, top, right, bottom)))
    opacity = SLIGHT if card.lungs else 1.0
    covered = (network_pixels(with_patch(film, *one, opacity), **view) for one in boxes)
    films = [one.pixels[None, None] for one in (seen, *covered)]
    evidence = np.concatenate([evidence_of(one) for one in films])
    changes = np.abs(evidence[1:] - evidence[0]).sum(axis=1)
    middles = [middle(box) for box, _ in boxes]
    found = []
    for cells in placings:
        place = seen.grid_place(grid, cells)
        drawn = [middle_of(change, place) for change in changes]
        found.append(POINTS * np.subtract(drawn, middles) / (right - left, bottom - top))
    return found


def patches(extent: tuple[float, float, float, float]) -> Iterator[tuple[PixelBox, float]]:
    """Yield boxes about the points of a lattice in the middle of an extent, each with a grey."""
    left, top, right, bottom = extent
    width, height = right - left, bottom - top
    places = np.linspace(0.25, 0.75, LATTICE)
    for down, across, grey in product(places, places, GREYS):
        box = (
            round(left + (across - SIDE / 2) * width),
            round(top + (down - SIDE / 2) * height),
            round(left + (across + SIDE / 2) * width),
            round(top + (down + SIDE / 2) * height),
        )
        yield box, grey


def with_patch(film: Radiograph, box: PixelBox, grey: float, opacity: float) -> Radiograph:
    """Return a film of which a box is covered, by a cover of an opacity in [0, 1]."""
    left, top, right, bottom = box
    pixels = film.pixels.copy()
    pixels[top:bottom, left:right] += opacity * (grey - pixels[top:bottom, left:right])
    return Radiograph(pixels, film.format)


def middle(box: PixelBox) -> tuple[float, float]:
    """Return the middle of a box on the film."""
    left, top, right, bottom = box
    return (left + right) / 2, (top + bottom) / 2


def middle_of(
    change: Float[np.ndarray, "grid_rows grid_columns"], place: GridPlace
) -> tuple[float, float]:
    """Return the middle of what is drawn above half of a change's maximum, in film pixels."""
    left, top, right, bottom = place.extent
    steps = (np.arange(POINTS) + 0.5) / POINTS
    x, y = left + steps * (right - left), top + steps * (bottom - top)
    drawn = evidence_at(change.astype(np.float64), place, x, y)
    weights = np.maximum(drawn - drawn.max() / 2, 0)
    whole = weights.sum()
    return float(weights.sum(axis=0) @ x / whole), float(weights.sum(axis=1) @ y / whole)


def own_cells(explainer: Explainer, film: Radiograph) -> CellCentres | None:
    """Return the centres of a network's cells on one film, inside its crop if it has one."""
    seen = network_pixels(film, **View.of(explainer.card)._asdict())
    return explainer.card.cells_on(explainer(seen.pixels[None, None]).region_of(0))


def of_file(explainer: Explainer) -> Callable[[Pixels], Evidence]:
    """Return the evidence of an exported network."""
    return lambda pixels: explainer(pixels).evidence


def of_random_weights(card: ModelCard, seed: int) -> Callable[[Pixels], Evidence]:
    """Return the evidence of a network that has learnt nothing."""
    torch.manual_seed(seed)
    network = build(card).eval().requires_grad_(False)
    return lambda pixels: logits_and_evidence(network, torch.from_numpy(pixels))[1].numpy()


def line(name: str, found: Sequence[Offsets]) -> str:
    """Return a table's line: the mean offset with its standard error over films, and its length."""
    means = np.array([of_film.mean(axis=0) for of_film in found])
    (right, down), (x_error, y_error) = means.mean(axis=0), means.std(axis=0) / len(means) ** 0.5
    return (
        f"| {name} | {right:+.1f} ± {x_error:.1f} | {down:+.1f} ± {y_error:.1f} "
        f"| {np.hypot(right, down):.1f} |"
    )


def main() -> int:
    """Print a table of the offsets of each model's maps."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", type=Path, help="ONNX files (default: those of ours)")
    parser.add_argument("--films", type=Path, required=True, help="folder of films")
    parser.add_argument("--number", type=int, default=24, help="of films, evenly spread")
    parser.add_argument("--random-weights", action="store_true", help="instead of the files' own")
    options = parser.parse_args()
    files = sorted(file for file in options.films.iterdir() if file.is_file())
    chosen = np.linspace(0, len(files) - 1, options.number).round().astype(int)
    films = [read_radiograph(files[number].read_bytes()) for number in chosen]
    print("| model, cells | right | down | length |")
    print("| --- | --- | --- | --- |")
    for model in options.models or sorted(OWN_MODELS.glob("*.onnx")):
        explainer = Explainer(model)
        card, found = explainer.card, []
        for seed, film in enumerate(tqdm(films, leave=False)):
            random = of_random_weights(card, seed) if options.random_weights else None
            evidence_of = random or of_file(explainer)
            found.append(offsets(evidence_of, card, film, (None, own_cells(explainer, film))))
        for cells, of_films in zip(("even", "of the card"), zip(*found, strict=True), strict=True):
            print(line(f"{card.name}, {cells}", of_films), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
