"""Draw the gradient flow of a training as a PNG: by depth, and over time."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from training.gradient_flow.alarms import USUAL_UPDATE
from training.gradient_flow.sample import FlowRecord


class Panel(NamedTuple):
    """Title, line and height of a quantity's panels.

    Updates are drawn as dots: those of convolutions and normalisations are too far apart to join.
    """

    title: str
    line: str
    height: float


PANELS = {
    "error_signal": Panel("error signal (norm over positions, RMS over films, channels)", ".-", 1),
    "update_ratio": Panel(f"update / weights, norms (dashed: {USUAL_UPDATE:g}, usual)", ".", 1),
    "dead_share": Panel("share of dead ReLU channels", ".-", 0.6),
}
TIME, DEPTH = colormaps["viridis"], colormaps["plasma"]
MOST_LINES = 12
MOST_NAMES = 48


def draw_gradient_flow(records: Sequence[FlowRecord], file: Path) -> None:
    """Write a PNG: a row per quantity; left by depth, a line per step, right over time, per layer.

    Args:
        records: In the order of their steps.
        file: Written.
    """
    shown = {name: panel for name, panel in PANELS.items() if _layers(records, name)}
    heights = [panel.height for panel in shown.values()]
    figure = Figure(figsize=(15, 5 * sum(heights)), layout="constrained")
    axes_pairs = figure.subplots(
        len(shown), 2, squeeze=False, width_ratios=(3, 2), height_ratios=heights
    )
    for (quantity, panel), (by_depth, over_time) in zip(shown.items(), axes_pairs, strict=True):
        values = _table(records, quantity)
        _draw_by_depth(by_depth, values, _layers(records, quantity), panel.line)
        _draw_over_time(over_time, values, [record.step for record in records])
        by_depth.set_title(panel.title, loc="left")
        for axes in (by_depth, over_time):
            _scale(axes, quantity)
    _add_colour_bars(figure, axes_pairs, (records[0].step, records[-1].step))
    figure.savefig(file, dpi=80)


def _layers(records: Sequence[FlowRecord], quantity: str) -> list[str]:
    """Return the layers of the step that recorded most: in others some may have been frozen."""
    layers: list[list[str]] = [list(getattr(record, quantity)) for record in records]
    return max(layers, key=len)


def _table(records: Sequence[FlowRecord], quantity: str) -> Float[np.ndarray, "steps layers"]:
    """Return a quantity by step and layer; not a number where it is not finite or not recorded."""
    layers = _layers(records, quantity)
    rows = [[getattr(record, quantity).get(name, np.nan) for name in layers] for record in records]
    values = np.array(rows, dtype=float)
    values[~np.isfinite(values)] = np.nan
    return values


def _draw_by_depth(
    axes: Axes, values: Float[np.ndarray, "steps layers"], layers: Sequence[str], line: str
) -> None:
    last = max(len(values) - 1, 1)
    for row in _spread(len(values), MOST_LINES):
        axes.plot(values[row], line, color=TIME(row / last), linewidth=1)
    named = _spread(len(layers), MOST_NAMES)
    axes.set_xticks(named, [layers[number] for number in named], rotation=90, fontsize=7)


def _draw_over_time(
    axes: Axes, values: Float[np.ndarray, "steps layers"], steps: Sequence[int]
) -> None:
    last = max(values.shape[1] - 1, 1)
    for number, column in enumerate(values.T):
        axes.plot(steps, column, ".-", color=DEPTH(number / last), linewidth=1)
    axes.set_xlabel("step")


def _scale(axes: Axes, quantity: str) -> None:
    axes.grid(alpha=0.3)
    if quantity == "dead_share":
        axes.set_ylim(-0.02, 1.02)
        return
    axes.set_yscale("log", nonpositive="mask")
    if quantity == "update_ratio":
        axes.axhline(USUAL_UPDATE, color="black", linestyle="--", linewidth=1)


def _add_colour_bars(figure: Figure, panels: np.ndarray, steps: tuple[int, int]) -> None:
    ends = ([f"step {step}" for step in steps], ["first layer", "last layer"])
    for column, (colours, labels) in enumerate(zip((TIME, DEPTH), ends, strict=True)):
        bar = figure.colorbar(
            ScalarMappable(Normalize(0, 1), colours),
            ax=panels[:, column],
            location="top",
            fraction=0.02,
            pad=0.01,
            aspect=60,
        )
        bar.set_ticks([0, 1], labels=labels)


def _spread(count: int, most: int) -> list[int]:
    """Return at most so many numbers below `count`, the first and the last among them."""
    return sorted(set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))
