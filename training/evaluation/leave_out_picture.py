"""Draw the figures of `cxr leave-out` within origins as a forest plot."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.card import Metric
from training.evaluation.leave_out_films import NORMAL, PAIR
from training.evaluation.leave_out_result import LeaveOutRecipe, LeaveOutResult

TITLES = {
    PAIR: "AUROC of one class against another",
    NORMAL: "AUROC of normal against the rest",
}
ROW = 0.6
"""Share of a row's height that its dots take."""


def draw_left_out(result: LeaveOutResult, file: Path) -> None:
    """Write a PNG with a dot and its 95 % interval for each recipe, within each origin and on mean.

    The line at 0.5 is what a network reaches that knows nothing of a film.
    """
    rows = list(dict.fromkeys(row for name in TITLES for row, _ in _dots(result.recipes[0], name)))
    height = 1.6 + 0.28 * len(rows) * max(2, len(result.recipes))
    figure = Figure(figsize=(11, height), layout="constrained")
    panels = figure.subplots(1, len(TITLES), sharey=True)
    for panel, name in zip(panels, TITLES, strict=True):
        _draw(panel, result.recipes, name, rows)
    panels[0].set_yticks(range(len(rows)), rows, fontsize=8)
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", fontsize=8)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=100)


def _dots(recipe: LeaveOutRecipe, name: str) -> Iterator[tuple[str, Metric]]:
    """Yield the label of each row that a recipe has a figure in, and the figure."""
    for within in recipe.within:
        found = within.pair_auroc if name == PAIR else within.normal_auroc
        if found:
            yield within.origin, found
    for mean in recipe.means:
        if mean.auroc.name == name and len(mean.origins) > 1:
            yield f"mean of {', '.join(mean.origins)}", mean.auroc


def _draw(panel: Axes, recipes: Sequence[LeaveOutRecipe], name: str, rows: Sequence[str]) -> None:
    panel.axvline(0.5, color="0.6", linewidth=0.8)
    for number, recipe in enumerate(recipes):
        offset = ROW * ((number + 0.5) / len(recipes) - 0.5)
        dots = list(_dots(recipe, name))
        estimates = [found.estimate for _, found in dots]
        panel.errorbar(
            estimates,
            [rows.index(row) + offset for row, _ in dots],
            xerr=[
                [max(0.0, found.estimate - found.low) for _, found in dots],
                [max(0.0, found.high - found.estimate) for _, found in dots],
            ],
            fmt="o",
            markersize=4,
            linewidth=1,
            label=recipe.name,
        )
    panel.set_title(TITLES[name], fontsize=9)
    panel.tick_params(axis="x", labelsize=8)
    panel.grid(axis="x", color="0.92")
    panel.spines[["top", "right"]].set_visible(False)
