"""Draw the curves of an evaluation's report as SVG data URLs."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.evaluation.curves import Curve

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette, which colour-blind readers can tell apart."""


@dataclass(frozen=True)
class Axis:
    """Labels and limits of a panel's axes."""

    x: str
    y: str
    y_limits: tuple[float, float] = (-0.02, 1.02)


RATES = Axis("false positive rate", "sensitivity")
RECALL = Axis("recall", "precision")
BENEFIT = Axis("threshold probability", "net benefit", (-0.05, 0.4))
CONFIDENCE = Axis("mean largest probability", "share that is right")
COVERAGE = Axis("share of films accepted", "error rate among them")


def draw_by_class(curves: Sequence[Curve], kind: str, axis: Axis) -> str:
    """Return one panel per class, one line per model, as a data URL."""
    chosen = [curve for curve in curves if curve.kind == kind]
    names = list(dict.fromkeys(curve.class_name for curve in chosen))
    figure, panels = _panels(len(names))
    for panel, name in zip(panels, names, strict=True):
        of_class = [curve for curve in chosen if curve.class_name == name]
        for curve, colour in zip(of_class, cycle(COLOURS), strict=False):
            _draw(panel, curve, colour, label=curve.model)
        if kind == "roc":
            panel.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
        _dress(panel, axis, title=name)
    panels[0].legend(fontsize=7)
    return _data_url(figure)


def draw_net_benefit(curves: Sequence[Curve]) -> str:
    """Return one panel per class, with treating all and treating none, as a data URL."""
    chosen = [curve for curve in curves if curve.kind.startswith("net_benefit")]
    names = list(dict.fromkeys(curve.class_name for curve in chosen))
    figure, panels = _panels(len(names))
    for panel, name in zip(panels, names, strict=True):
        of_class = [curve for curve in chosen if curve.class_name == name]
        treat_all = next(curve for curve in of_class if curve.kind == "net_benefit_treat_all")
        models = [curve for curve in of_class if curve.kind == "net_benefit"]
        for curve, colour in zip(models, cycle(COLOURS), strict=False):
            _draw(panel, curve, colour, label=curve.model)
        panel.plot(treat_all.x, treat_all.y, color="0.4", linestyle="--", label="treat all")
        panel.axhline(0, color="0.4", linewidth=0.8, label="treat none")
        top = max(max(curve.y) for curve in of_class)
        _dress(panel, replace(BENEFIT, y_limits=(-0.25 * top, 1.15 * top)), title=name)
    panels[0].legend(fontsize=7)
    return _data_url(figure)


def draw_reliability(curves: Sequence[Curve]) -> str:
    """Return one panel per model, before and after temperature scaling, as a data URL."""
    chosen = [curve for curve in curves if curve.kind.startswith("reliability")]
    models = list(dict.fromkeys(curve.model for curve in chosen))
    figure, panels = _panels(len(models))
    for panel, model in zip(panels, models, strict=True):
        panel.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
        for curve in (curve for curve in chosen if curve.model == model):
            is_scaled = curve.kind == "reliability_scaled"
            label = "after scaling" if is_scaled else "before scaling"
            _draw_with_bars(panel, curve, COLOURS[0 if is_scaled else 1], label)
        _dress(panel, CONFIDENCE, title=model)
    panels[0].legend(fontsize=7)
    return _data_url(figure)


def draw_risk_coverage(curves: Sequence[Curve]) -> str:
    """Return error rates as films are refused, by each score and model, as a data URL."""
    figure, panels = _panels(1, size=(6.0, 4.0))
    models = list(dict.fromkeys(curve.model for curve in curves))
    lines = {"risk_by_uncertainty": "-", "risk_by_distance": ":", "risk_by_novelty": "--"}
    largest = 0.0
    for curve in (curve for curve in curves if curve.kind in lines):
        label = f"{curve.model}, {curve.kind.removeprefix('risk_')}"
        colour = COLOURS[models.index(curve.model) % len(COLOURS)]
        panels[0].plot(curve.x, curve.y, color=colour, linestyle=lines[curve.kind], label=label)
        largest = max(largest, curve.y[-1])
    _dress(panels[0], replace(COVERAGE, y_limits=(0.0, 2 * largest + 0.01)), title="all classes")
    panels[0].legend(fontsize=7)
    return _data_url(figure)


def _panels(number: int, *, size: tuple[float, float] = (3.8, 3.3)) -> tuple[Figure, list[Axes]]:
    columns = min(3, number)
    rows = -(-number // columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for panel in panels[number:]:
        panel.set_axis_off()
    return figure, panels[:number]


def _draw(panel: Axes, curve: Curve, colour: str, label: str) -> None:
    panel.plot(curve.x, curve.y, color=colour, linewidth=1.4, label=label)
    if curve.low:
        panel.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.1, linewidth=0)


def _draw_with_bars(panel: Axes, curve: Curve, colour: str, label: str) -> None:
    y, low, high = (np.array(values) for values in (curve.y, curve.low, curve.high))
    bars = np.maximum([y - low, high - y], 0)
    panel.errorbar(
        curve.x, y, bars, color=colour, label=label, marker="o", markersize=3, linewidth=0.8
    )


def _dress(panel: Axes, axis: Axis, *, title: str | None) -> None:
    panel.set_title(title or "", fontsize=9)
    panel.set_xlabel(axis.x, fontsize=8)
    panel.set_ylabel(axis.y, fontsize=8)
    panel.tick_params(labelsize=7)
    panel.set(xlim=(-0.02, 1.02), ylim=axis.y_limits)
    panel.grid(color="0.92")
    panel.spines[["top", "right"]].set_visible(False)


def _data_url(figure: Figure) -> str:
    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "cxr"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue().encode()).decode()
