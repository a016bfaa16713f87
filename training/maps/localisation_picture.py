"""Draw the best and the worst of a network's maps over their films, with the marks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.maps.localised import MODEL, Localised, ShownFilm
from xai.explainer import Explainer
from xai.heatmap import overlay


def draw_films(explainer: Explainer, found: Sequence[Localised], most: int, folder: Path) -> None:
    """Write `best.png` and `worst.png`: films by the IoU of the model's map at Otsu's threshold.

    Each shows the map at its own range, and the marks as white lines.
    """
    ranked = sorted((one for one in found if one.scores), key=_iou, reverse=True)
    for name, chosen in (("best", ranked[:most]), ("worst", ranked[::-1][:most])):
        if chosen:
            _draw(explainer, chosen, folder / f"{name}.png")


def _iou(one: Localised) -> float:
    return one.scores[MODEL].iou_otsu


def _draw(explainer: Explainer, chosen: Sequence[Localised], file: Path) -> None:
    figure = Figure(figsize=(3.2 * len(chosen), 3.6), layout="constrained")
    panels = figure.subplots(1, len(chosen), squeeze=False)[0]
    for panel, one in zip(panels, chosen, strict=True):
        _draw_film(panel, ShownFilm.of(explainer, one.marked))
        panel.set_title(
            f"{one.marked.class_name} {one.probability:.2f}, "
            f"predicted {one.predicted_class}\nIoU {_iou(one):.2f}",
            fontsize=8,
        )
    figure.savefig(file, dpi=100)


def _draw_film(panel: Axes, shown: ShownFilm) -> None:
    panel.imshow(overlay(shown.radiograph.pixels, shown.drawn))
    panel.contour(shown.region.astype(np.float32), levels=[0.5], colors="white", linewidths=1)
    panel.set_axis_off()
