"""Draw an audit: mean evidence of each class over the mean film, and changes by covered edge."""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.audit.covering import EdgeChanges, edges
from training.audit.evidence_place import on_pixels
from training.data.lung_regions import SeenFilms


def draw_audit(
    seen: SeenFilms,
    evidence: Float[np.ndarray, "films classes grid_rows grid_columns"],
    changes: EdgeChanges,
    class_names: tuple[str, ...],
    file: Path,
) -> None:
    """Write two panels per class as a PNG: mean evidence over the mean film, and edge changes."""
    numbers = np.unique(changes.targets).tolist()
    figure = Figure(figsize=(3.2 * len(numbers), 6.6), layout="constrained")
    panels = figure.subplots(2, len(numbers), squeeze=False)
    for column, number in enumerate(numbers):
        films = changes.targets == number
        mean_map = np.maximum(evidence[films, number], 0).mean(axis=0)
        _draw_evidence(panels[0, column], seen, seen.pixels[films, 0].mean(axis=0), mean_map)
        panels[0, column].set_title(f"{class_names[number]}: mean evidence", fontsize=9)
        _draw_edges(panels[1, column], changes, number, seen.pixels.shape[2:])
        panels[1, column].set_title("mean change, edge covered", fontsize=9)
    figure.savefig(file, dpi=100)


def _draw_evidence(
    axes: Axes,
    seen: SeenFilms,
    mean_film: Float[np.ndarray, "rows columns"],
    mean_map: Float[np.ndarray, "grid_rows grid_columns"],
) -> None:
    axes.imshow(mean_film, cmap="gray")
    axes.imshow(on_pixels(mean_map, mean_film.shape), cmap="inferno", alpha=0.5)
    axes.contour(seen.lungs.typical, levels=[0.5], colors="white", linewidths=1)
    axes.set_axis_off()


def _draw_edges(axes: Axes, changes: EdgeChanges, number: int, size: tuple[int, int]) -> None:
    canvas = np.zeros(size)
    for name, region in reversed(edges(*size).items()):  # corners over strips
        canvas[region] = changes.mean(name, number)
        row, column = (positions.mean() for positions in np.nonzero(region))
        axes.text(
            column, row, f"{changes.mean(name, number):+.2f}", ha="center", va="center", fontsize=7
        )
    axes.imshow(canvas, cmap="coolwarm", vmin=-1, vmax=1)
    axes.set_axis_off()
