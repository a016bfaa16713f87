"""Run the snippets of docs/backpropagation.md, write what they print below them, draw its figures.

python docs/scripts/write_backpropagation.py

The page is a notebook in plain Markdown: its python blocks run from top to bottom and share their
names. The output of a block is written below it, in a text block or, if it is a table, between two
comments. The figures are drawn from what the snippets computed, so page and figures always agree.
"""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from models.radiograph import GridPlace

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/backpropagation.md"
FIGURES = ROOT / "docs/backpropagation"
CELL = re.compile(
    r"```python\n(?P<code>.*?)```\n"
    r"(?:\n```text\n.*?```\n|\n<!-- printed -->\n.*?<!-- end of printed -->\n)?",
    re.DOTALL,
)

Names = dict[str, Any]

BLUE, ORANGE, GREEN, PURPLE, BLACK = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#333333"
"""Colours that colour-blind readers can distinguish (Okabe and Ito 2008)."""

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


class Written(NamedTuple):
    """A page after its snippets were run.

    Attributes:
        page: The page with the output of its snippets.
        names: Names that the snippets defined.
    """

    page: str
    names: Names


def main() -> int:
    """Rewrite the page and its figures."""
    written = run(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(written.page, encoding="utf-8")
    FIGURES.mkdir(exist_ok=True)
    for name, draw in DRAWINGS.items():
        with rc_context(STYLE):
            save(draw(written.names), FIGURES / f"{name}.png")
    return 0


def run(page: str) -> Written:
    """Return the page with the output of all its snippets, and the names they share."""
    names: Names = {"__name__": PAGE.stem}

    def with_output(cell: re.Match[str]) -> str:
        first_line = page.count("\n", 0, cell.start()) + 1
        return f"```python\n{cell['code']}```\n{shown(printed(cell['code'], names, first_line))}"

    with chdir(ROOT), own_settings():
        return Written(CELL.sub(with_output, page), names)


def printed(code: str, names: Names, first_line: int) -> str:
    """Run a snippet and return what it prints; errors name the line of the page."""
    output = io.StringIO()
    with redirect_stdout(output):
        exec(compile("\n" * first_line + code, str(PAGE), "exec"), names)
    return output.getvalue()


def shown(output: str) -> str:
    """Return a snippet's output in Markdown: a table as a table, other text as a text block."""
    if not output:
        return ""
    if output.startswith("|"):
        return f"\n<!-- printed -->\n{output}<!-- end of printed -->\n"
    return f"\n```text\n{output}```\n"


@contextmanager
def own_settings() -> Iterator[None]:
    """Restore PyTorch's number of threads, default dtype and random state afterwards."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)


def save(figure: Figure, file: Path) -> None:
    """Write a figure as a PNG without transparency, which makes it smaller."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=95)
    Image.open(buffer).convert("RGB").save(file, optimize=True)


def draw_activations(names: Names) -> Figure:
    """Draw each activation and its derivative."""
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    x = torch.linspace(-4, 4, 801, dtype=torch.float64)
    panels = figure.subplots(2, 4, sharex=True, sharey=True).ravel()
    for axes, (name, (function, derivative)) in zip(
        panels, names["activations"].items(), strict=True
    ):
        for values, label, colour, line in (
            (function(x), "function", BLUE, "-"),
            (derivative(x), "derivative", ORANGE, "--"),
        ):
            axes.plot(*with_gaps(x, values), color=colour, linestyle=line, label=label)
        axes.set(title=name, ylim=(-1.2, 2.2))
    panels[1].legend(loc="lower right")
    for axes in panels[4:]:
        axes.set_xlabel("x")
    return figure


def with_gaps(x: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the curve without the upright lines that would join its jumps."""
    jumps = values.diff().abs() > 0.5
    return x, values.clone().masked_fill_(torch.cat([jumps, jumps[:1]]), torch.nan)


def draw_universal_approximation(names: Names) -> Figure:
    """Draw the function and its approximations by networks of three widths."""
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    x, y = names["points"].flatten(), names["values_to_fit"].flatten()
    panels = figure.subplots(1, len(names["fits"]), sharey=True)
    for axes, (units, fit) in zip(panels, names["fits"].items(), strict=True):
        axes.plot(x, y, color=BLACK, linewidth=4, alpha=0.3, label="function")
        axes.plot(x, fit.flatten(), color=ORANGE, label="network")
        axes.set(title=f"{units} hidden units", xlabel="x")
    panels[0].legend(loc="lower right")
    panels[0].set_ylabel("value")
    return figure


def draw_sawtooth(names: Names) -> Figure:
    """Draw the composed tents, and pieces by units for depth and for width."""
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    x = torch.linspace(0, 1, 1025, dtype=torch.float64)[:, None]
    for tents, colour, width in ((1, BLACK, 1.2), (3, BLUE, 1.6), (5, ORANGE, 1.2)):
        y = names["sawtooth"](x, tents)
        left.plot(x, y, color=colour, linewidth=width, label=f"{tents} deep")
    left.set(xlabel="x", ylabel="value", title="tents, composed", ylim=(-0.02, 1.28))
    left.legend(loc="upper right", ncols=3)
    units, deep, shallow = zip(*names["counted"], strict=True)
    right.semilogy(units, deep, "o-", color=ORANGE, label="deep: pairs in a row", base=2)
    right.semilogy(units, shallow, "s-", color=BLUE, label="one hidden layer", base=2)
    right.set(xlabel="hidden units", ylabel="linear pieces", title="counted pieces")
    right.legend(loc="upper left")
    return figure


def draw_variance(names: Names) -> Figure:
    """Draw the size of the signal through the depth, for each activation and initialisation."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    looks = {"zero": (BLACK, "v"), "Xavier": (BLUE, "s"), "He": (ORANGE, "o")}
    floor = 1e-6
    for axes, activation in zip(panels, ("tanh", "ReLU"), strict=True):
        for start, (colour, marker) in looks.items():
            sizes = names["signal"][activation, start]
            label = f"{start} (exactly 0, below the axis)" if start == "zero" else start
            layers = range(1, len(sizes) + 1)
            drawn = np.maximum(sizes, floor)
            axes.semilogy(
                layers,
                drawn,
                color=colour,
                marker=marker,
                markersize=3.5,
                label=label,
                clip_on=False,
            )
        axes.set(title=activation, xlabel="layer", ylim=(floor, 5))
    panels[0].set_ylabel("standard deviation of the layer's output")
    panels[0].legend(loc="center left", bbox_to_anchor=(0, 0.4))
    return figure


def draw_gradient_by_depth(names: Names) -> Figure:
    """Draw the size of the error at each layer, relative to that at the output."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axes = figure.subplots()
    for (name, sizes), colour, marker in zip(
        names["error_sizes"].items(),
        (BLACK, PURPLE, ORANGE, BLUE, GREEN),
        ("v", "^", "o", "s", "D"),
        strict=True,
    ):
        relative = np.array(sizes) / sizes[-1]
        axes.semilogy(relative, color=colour, marker=marker, markersize=4, label=name)
    axes.set(
        xlabel="layers passed forward (the error comes from the right)",
        ylabel="size of the error, relative\nto that at the output",
        xlim=(-0.3, len(sizes) - 0.7),
    )
    axes.set_xticks(range(0, len(sizes), 5))
    figure.legend(loc="outside right center")
    return figure


def draw_grad_cam(names: Names) -> Figure:
    """Draw a film, its evidence cell by cell, and the Grad-CAM overlay."""
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    film, evidence, overlaid = figure.subplots(1, 3)
    pixels, cells = names["film"].pixels, names["evidence"]
    rows, columns = pixels.shape
    show(film, pixels, "the film", cmap="gray")
    limit = float(np.abs(cells).max())
    prepare(evidence, f"evidence for {names['class_name']}, cell by cell")
    drawn = draw_cells(evidence, cells, names["place"], cmap="PuOr_r", vmin=-limit, vmax=limit)
    evidence.set(xlim=(0, columns), ylim=(rows, 0), aspect="equal")
    figure.colorbar(drawn, ax=evidence, label="logits per position", shrink=0.85)
    show(overlaid, names["picture"], "its positive part: Grad-CAM")
    return figure


def show(axes: Axes, picture: np.ndarray, title: str, **settings: Any) -> Any:
    """Show a picture without ticks."""
    prepare(axes, title)
    return axes.imshow(picture, **settings)


def prepare(axes: Axes, title: str) -> None:
    """Give axes a title, and neither ticks nor lines."""
    axes.set(title=title, xticks=[], yticks=[])
    axes.grid(visible=False)


def draw_cells(axes: Axes, cells: np.ndarray, place: GridPlace, **settings: Any) -> Any:
    """Draw evidence cell by cell, where it lies on the film; the outermost reach what was seen."""
    (a, _, c, _, e, f), (left, top, right, bottom) = place
    rows, columns = cells.shape
    x = [left, *(a * np.arange(1, columns) + c), right]
    y = [top, *(e * np.arange(1, rows) + f), bottom]
    return axes.pcolormesh(x, y, cells, **settings)


DRAWINGS: dict[str, Callable[[Names], Figure]] = {
    "activations": draw_activations,
    "universal_approximation": draw_universal_approximation,
    "sawtooth": draw_sawtooth,
    "variance": draw_variance,
    "gradient_by_depth": draw_gradient_by_depth,
    "grad_cam": draw_grad_cam,
}


if __name__ == "__main__":
    raise SystemExit(main())
