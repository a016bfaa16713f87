"""Training curves and confusion matrices as pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def draw_curves(history: Sequence[Mapping[str, float | int]], file: Path) -> None:
    """Write losses, validation scores and learning rate by epoch as a PNG."""
    panels = (
        ("loss", ("train_loss", "val_loss")),
        ("validation", ("val_macro_auroc", "val_balanced_accuracy")),
        ("learning rate", ("learning_rate",)),
    )
    figure = Figure(figsize=(12, 3.5), layout="constrained")
    epochs = [record["epoch"] + 1 for record in history]
    for axes, (title, names) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for name in (name for name in names if name in history[0]):
            axes.plot(epochs, [record[name] for record in history], label=name, marker=".")
        axes.set(title=title, xlabel="epoch")
        axes.legend()
    figure.savefig(file, dpi=100)


def draw_confusion(
    matrices: Mapping[str, Sequence[Sequence[int]]], class_names: Sequence[str], file: Path
) -> None:
    """Write one panel per matrix as a PNG: rows are true classes, colours the share of the row."""
    columns = min(4, len(matrices))
    rows = -(-len(matrices) // columns)
    figure = Figure(figsize=(4.5 * columns, 4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (source, matrix) in zip(panels, matrices.items(), strict=False):
        _draw_matrix(axes, np.array(matrix), class_names)
        axes.set(title=f"{source} ({np.sum(matrix)} films)")
    for axes in panels[len(matrices) :]:
        axes.set_axis_off()
    figure.savefig(file, dpi=80)


def _draw_matrix(axes: Axes, matrix: np.ndarray, class_names: Sequence[str]) -> None:
    axes.imshow(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), cmap="Blues", vmax=1.2)
    for (row, column), count in np.ndenumerate(matrix):
        axes.text(column, row, str(count), ha="center", va="center", fontsize=8)
    axes.set_xticks(range(len(class_names)), class_names, rotation=45, ha="right", fontsize=7)
    axes.set_yticks(range(len(class_names)), class_names, fontsize=7)
