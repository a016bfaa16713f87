"""Draw an audit: mean evidence of each class over the mean film, and changes by covered edge."""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.card import ModelCard
from training.audit.covering import EdgeChanges, edges
from training.audit.evidence_place import cells_of
from training.data.lung_regions import SeenFilms
from xai.explainer import Answers
from xai.measures.faithfulness import on_pixels


def draw_audit(
    seen: SeenFilms,
    answers: Answers,
    changes: EdgeChanges,
    card: ModelCard,
    file: Path,
) -> None:
    """Write two panels per class as a PNG: mean evidence over the mean film, and edge changes."""
    numbers, cells = np.unique(changes.targets).tolist(), cells_of(card, answers)
    figure = Figure(figsize=(3.2 * len(numbers), 6.6), layout="constrained")
    panels = figure.subplots(2, len(numbers), squeeze=False)
    for column, number in enumerate(numbers):
        films = np.flatnonzero(changes.targets == number)
        mean_film = seen.pixels[films, 0].mean(axis=0)
        positive = np.maximum(answers.evidence[:, number], 0)
        maps = (on_pixels(positive[film], mean_film.shape, cells[film]) for film in films)
        mean_map = sum(maps, start=np.zeros(mean_film.shape)) / len(films)
        _draw_evidence(panels[0, column], seen, mean_film, mean_map)
        panels[0, column].set_title(f"{card.class_names[number]}: mean evidence", fontsize=9)
        _draw_edges(panels[1, column], changes, number, seen.pixels.shape[2:])
        panels[1, column].set_title("mean change, edge covered", fontsize=9)
    figure.savefig(file, dpi=100)


def _draw_evidence(
    axes: Axes,
    seen: SeenFilms,
    mean_film: Float[np.ndarray, "rows columns"],
    mean_map: Float[np.ndarray, "rows columns"],
) -> None:
    axes.imshow(mean_film, cmap="gray")
    axes.imshow(mean_map, cmap="inferno", alpha=0.5)
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
