"""Draw a run's training curves as a PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure


def draw_curves(history: Sequence[Mapping[str, float | int]], file: Path) -> None:
    """Write losses, validation scores and learning rate by epoch as a PNG."""
    panels = (
        ("loss", ("train_loss", "val_loss")),
        ("validation", ("val_macro_auroc", "val_balanced_accuracy", "val_dice")),
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
