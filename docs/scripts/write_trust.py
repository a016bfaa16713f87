"""Write the tables and the figures of docs/trust.md from what was measured.

python docs/scripts/write_trust.py        # rewrites the page's tables and docs/trust/*.png

The figures come from docs/results (`cxr localise`, `cxr faithfulness`, benchmarks/methods.py,
benchmarks/label_randomisation.py, docs/scripts/find_wrong_maps.py) and from the `.trust.json`
beside each model (`cxr trust`). None of them is typed in by hand.
"""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from docs.scripts.insert_results import Record, head, interval, row
from docs.scripts.write_backpropagation import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    STYLE,
    draw_cells,
    save,
)
from models.radiograph import GridPlace
from training.maps.localisation import OUTLINE_NOTE
from xai.measures.trust import Trust, read_trust

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/trust.md"
FIGURES = ROOT / "docs/trust"
RESULTS = ROOT / "docs/results"
MODELS = ROOT / "service/default_model"
CENTRES = "lungs' centres"
NAMES = ("chest_cnn", "vgg16", "vit_b16")
COLOURS = dict(zip(NAMES, (BLUE, ORANGE, GREEN), strict=True))
TABLE = re.compile(r"<!-- table: (?P<name>\w+) -->\n.*?<!-- end of table -->", re.DOTALL)

LABELS = {
    "hit": "hit rate",
    "iou_otsu": "IoU, Otsu",
    "iou_tuned": "IoU, tuned",
    "energy": "energy / area",
    "deletion": "deletion, low is good",
    "insertion": "insertion",
    "road": "ROAD",
    "random_head": "random head",
    "random_last_block": "random last block",
    "unrelated": "unrelated films",
    "noise": "under noise",
    "shift": "shifted",
}
"""The page's names for the figures of benchmarks/methods.py."""


def main() -> int:
    """Rewrite the page and its figures."""
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    FIGURES.mkdir(exist_ok=True)
    for name, draw in DRAWINGS.items():
        with rc_context(STYLE):
            save(draw(), FIGURES / f"{name}.png")
    return 0


def with_tables(page: str) -> str:
    """Return the page with every table rewritten from the results."""

    def measured(table: re.Match[str]) -> str:
        lines = "\n".join(TABLES[table["name"]]())
        return f"<!-- table: {table['name']} -->\n{lines}\n<!-- end of table -->"

    return TABLE.sub(measured, page)


@cache
def results(name: str) -> Any:
    """Return one file of docs/results."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def trust(name: str) -> Trust:
    """Return the trust record of a model, written by `cxr trust`."""
    found = read_trust(MODELS / f"{name}.onnx", results(f"localisation_{name}")["sha256"])
    if found is None:
        raise FileNotFoundError(f"{name}.trust.json is missing, or is of another file")
    return found


def of_model(name: str, kind: str) -> str:
    """Return the model's name and version."""
    measured = results(f"{kind}_{name}")
    return f"{measured['model']} {measured['version']}"


def summary() -> Iterator[str]:
    """Yield the summary: one row for each measure with its aim, one column for each model."""
    found = [trust(name) for name in NAMES]
    on_marks = [results(f"localisation_{name}") for name in NAMES]
    tenths = [results(f"faithfulness_{name}")["figures"][0] for name in NAMES]
    yield from head("", "aim", *(f"{one.name} {one.version}" for one in found))
    yield row(
        "hottest pixel inside a box of pneumonia (lungs' centres)",
        "more than the centres",
        *(
            f"{_of_map(one['marks'], 'model')['hit_rate']['estimate']:.2f} "
            f"({_of_map(one['marks'], CENTRES)['hit_rate']['estimate']:.2f})"
            for one in on_marks
        ),
    )
    yield row(
        "evidence for COVID-19 inside the lungs (lungs' centres)",
        "0.75",
        *(
            f"{_of_map(one['lungs'], 'model')['inside']['estimate']:.2f} "
            f"({_of_map(one['lungs'], CENTRES)['inside']['estimate']:.2f})"
            for one in on_marks
        ),
    )
    yield row(
        "films that lose more from the hottest tenth than from another",
        "80 %",
        *(f"{one['estimate']:.0%}" for one in tenths),
    )
    for words, likenesses in {
        "random head, above two unrelated films": [one.head for one in found],
        "random last block, above two unrelated films": [one.last_block for one in found],
    }.items():
        above = (
            randomised.rank_correlation.estimate - one.floor.rank_correlation.estimate
            for randomised, one in zip(likenesses, found, strict=True)
        )
        yield row(words, "at most 0.10", *(f"{value:+.2f}" for value in above))


def _of_map(figures: list[Record], kind: str) -> Record:
    return next(one for one in figures if one["map"] == kind)


def marks() -> Iterator[str]:
    """Yield the localisation of maps on boxes, with the baselines, for each model."""
    yield from head("", "map", "films", "hit rate", "IoU, Otsu", "IoU, tuned", "energy / area")
    for name in NAMES:
        for found in results(f"localisation_{name}")["marks"]:
            is_own = found["map"] == "model"
            yield row(
                f"**{of_model(name, 'localisation')}**, {found['class_name']}" if is_own else "",
                found["map"],
                str(found["films"]),
                interval(found["hit_rate"]),
                interval(found["iou_otsu"]),
                interval(found["iou_tuned"]) if found["iou_tuned"] else "-",
                interval(found["energy_ratio"]) if found["energy_ratio"] else "-",
            )


def lungs() -> Iterator[str]:
    """Yield the share of the evidence inside the lungs."""
    yield from head("", "map", "films", "share inside the lungs", "the model's less this one")
    for name in NAMES:
        for found in results(f"localisation_{name}")["lungs"]:
            is_own = found["map"] == "model"
            yield row(
                f"**{of_model(name, 'localisation')}**, {found['class_name']}" if is_own else "",
                found["map"],
                str(found["films"]),
                interval(found["inside"]),
                "" if is_own else interval(found["more_than_map"]),
            )
    for name in NAMES:
        if OUTLINE_NOTE in results(f"localisation_{name}")["notes"]:
            yield f"\n{of_model(name, 'localisation')}: {OUTLINE_NOTE}."


def faithfulness() -> Iterator[str]:
    """Yield the results of `cxr faithfulness`, one column for each model."""
    measured = {name: results(f"faithfulness_{name}") for name in NAMES}
    yield from head("", *(of_model(name, "faithfulness") for name in NAMES))
    yield row("films rightly decided", *map(_asked, measured.values()))
    for figures in zip(*(one["figures"] for one in measured.values()), strict=True):
        yield row(figures[0]["name"], *map(interval, figures))


def _asked(measured: Record) -> str:
    return f"{len(measured['films'])} of {measured['asked']}"


def randomisation() -> Iterator[str]:
    """Yield the similarity of maps to those of randomised networks, and of changed films."""
    found = [trust(name) for name in NAMES]
    yield from head("rank correlation (SSIM)", *(f"{one.name} {one.version}" for one in found))
    rows = {
        "two unrelated films: the floor": [one.floor for one in found],
        "head randomised": [one.head for one in found],
        "last block randomised": [one.last_block for one in found],
        "the film with slight noise": [one.noise for one in found],
        "the film moved by a pixel": [one.shift for one in found],
    }
    for words, likenesses in rows.items():
        cells = (f"{one.rank_correlation} ({one.similarity.estimate:.2f})" for one in likenesses)
        yield row(words, *cells)


def verdicts() -> Iterator[str]:
    """Yield the sentences that the server returns with each model's card."""
    for one in map(trust, NAMES):
        yield f"- **{one.name} {one.version}**, {one.films} val films of {one.groups} groups:"
        yield from (f"  - {sentence}" for sentence in one.verdict())


def labels() -> Iterator[str]:
    """Yield the similarity of maps after training on shuffled labels."""
    measured = results("label_randomisation")
    yield from head(f"{measured['films']} films", "rank correlation", "SSIM")
    for name in ("other_seed", "shuffled_labels", "unrelated_films"):
        found = measured[name]
        yield row(found["what"], interval(found["rank_correlation"]), interval(found["similarity"]))


def methods(name: str) -> Iterator[str]:
    """Yield the comparison of methods on one network."""
    measured = results(f"methods_{name}")
    figures = list(measured["methods"][0]["figures"])
    yield from head("", "seconds", *(LABELS[one] for one in figures))
    for method in measured["methods"]:
        cells = (interval(method["figures"][one]) for one in figures)
        yield row(method["method"], f"{method['seconds']:.2f}", *cells)
    yield (
        f"\n{of_model(name, 'methods')}: {measured['marked_films']} marked val films, "
        f"{measured['right_films']} val films rightly decided, "
        f"{measured['few_films']} of them with {measured['seeds']} draws for randomisation and "
        "stability."
    )
    if measured["version"] != results(f"localisation_{name}")["version"]:
        yield "Measured of that version; the one in the box is newer."


def wrong_maps() -> Iterator[str]:
    """Yield the films on which a map is wrong, one per network."""
    yield from head("", "film", "the model says", "the map")
    for number, found in enumerate(results("wrong_maps")["films"], start=1):
        yield row(str(number), found["film"], found["says"], found["map"])


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "summary": summary,
    "marks": marks,
    "lungs": lungs,
    "faithfulness": faithfulness,
    "randomisation": randomisation,
    "verdicts": verdicts,
    "labels": labels,
    **{f"methods_{name}": lambda name=name: methods(name) for name in NAMES},
    "wrong_maps": wrong_maps,
}


def draw_by_depth() -> Drawing:
    """Draw the rank correlation of maps as more and more of the network is randomised."""
    figure = Drawing(figsize=(9, 6.6), layout="constrained")
    for axes, found in zip(figure.subplots(3, 1, sharey=True), map(trust, NAMES), strict=True):
        _draw_depth(axes, found)
    figure.supylabel("|rank correlation| with the trained network's map")
    return figure


def _draw_depth(axes: Axes, found: Trust) -> None:
    places = np.arange(len(found.cascade))
    looks = {
        "all from the head down to here": (found.cascade, BLUE, "o"),
        "this part alone": (found.independent, ORANGE, "s"),
    }
    for label, (likenesses, colour, marker) in looks.items():
        figures = [one.rank_correlation for one in likenesses]
        spread = [
            [one.estimate - one.low for one in figures],
            [one.high - one.estimate for one in figures],
        ]
        axes.errorbar(
            places,
            [one.estimate for one in figures],
            yerr=spread,
            color=colour,
            marker=marker,
            markersize=3.5,
            linestyle="none" if label == "this part alone" else "-",
            label=label,
        )
    least = found.floor.rank_correlation
    axes.axhspan(least.low, least.high, color=BLACK, alpha=0.2, lw=0, label="two unrelated films")
    axes.set(title=f"{found.name} {found.version}", ylim=(0, 1.02))
    axes.set_xticks(places, [one.what for one in found.cascade], rotation=60, fontsize=7)
    if found.name == NAMES[0]:
        axes.legend(loc="upper right", fontsize=8)


def draw_marks() -> Drawing:
    """Draw hit rates and shares inside the lungs, beside the baselines."""
    figure = Drawing(figsize=(9, 3), layout="constrained")
    hit, inside = figure.subplots(1, 2)
    _draw_kinds(hit, "marks", "hit_rate", "hit rate on boxes")
    _draw_kinds(inside, "lungs", "inside", "share of the evidence inside the lungs")
    inside.axvline(0.75, color=BLACK, linestyle=":", lw=1)
    hit.legend(fontsize=8, loc="lower right")
    return figure


def _draw_kinds(axes: Axes, table: str, key: str, title: str) -> None:
    kinds = list(dict.fromkeys(one["map"] for one in results(f"localisation_{NAMES[0]}")[table]))
    for offset, name in zip((-0.2, 0, 0.2), NAMES, strict=True):
        measured = results(f"localisation_{name}")[table]
        own = [next(one for one in measured if one["map"] == kind)[key] for kind in kinds]
        estimates = np.array([one["estimate"] for one in own])
        low, high = (np.array([one[end] for one in own]) for end in ("low", "high"))
        axes.errorbar(
            estimates,
            np.arange(len(kinds)) + offset,
            xerr=[estimates - low, high - estimates],
            fmt="o",
            markersize=4,
            color=COLOURS[name],
            label=name,
        )
    axes.set(title=title, xlim=(0, 1))
    axes.set_yticks(range(len(kinds)), kinds)
    axes.invert_yaxis()


def draw_tenths() -> Drawing:
    """Draw the probability with the hottest tenth masked, against that with another, per film."""
    figure = Drawing(figsize=(9, 3.2), layout="constrained")
    panels = figure.subplots(1, len(NAMES), sharex=True, sharey=True)
    for axes, name in zip(panels, NAMES, strict=True):
        films = results(f"faithfulness_{name}")["films"]
        axes.scatter(
            [one["elsewhere"] for one in films],
            [one["masked"] for one in films],
            s=6,
            alpha=0.5,
            color=COLOURS[name],
            linewidths=0,
        )
        axes.plot([0, 1], [0, 1], color=BLACK, lw=0.8)
        axes.set(title=name, xlabel="another tenth masked", aspect="equal")
    panels[0].set_ylabel("hottest tenth masked")
    return figure


def draw_wrong_maps() -> Drawing:
    """Draw the wrong maps cell by cell, with the outlines of the marks, without the films."""
    films = results("wrong_maps")["films"]
    figure = Drawing(figsize=(9, 3.4), layout="constrained")
    for number, (axes, found) in enumerate(
        zip(figure.subplots(1, len(films)), films, strict=True), start=1
    ):
        cells = np.array(found["evidence"])
        limit = float(np.abs(cells).max())
        place = GridPlace(**found["place"])
        draw_cells(axes, cells, place, cmap="PuOr_r", vmin=-limit, vmax=limit)
        for outline in found["marked"]:
            axes.plot(*np.array([*outline, outline[0]]).T, color=PURPLE, lw=1.5)
        axes.set(title=f"{number}", xlim=(0, found["columns"]), ylim=(found["rows"], 0))
        axes.set(xticks=[], yticks=[], aspect="equal", facecolor="#eeeeee")
        axes.grid(visible=False)
    return figure


DRAWINGS: dict[str, Callable[[], Drawing]] = {
    "by_depth": draw_by_depth,
    "marks": draw_marks,
    "tenths": draw_tenths,
    "wrong_maps": draw_wrong_maps,
}


if __name__ == "__main__":
    raise SystemExit(main())
