"""Write the results tables of README.md from the JSON of `cxr evaluate` and `cxr refusal`.

python docs/scripts/insert_results.py        # rewrites README.md in place
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
RESULTS = ROOT / "docs/results"
EVALUATION = RESULTS / "evaluation.json"
START, END = "<!-- results -->\n", "<!-- end of results -->"

Record = dict[str, Any]


def main() -> int:
    """Rewrite README.md."""
    evaluation = json.loads(EVALUATION.read_text())
    README.write_text(with_tables(README.read_text(), evaluation, refusals()))
    return 0


def refusals() -> list[Record]:
    """Return the results of `cxr refusal`, one for each model."""
    return [json.loads(file.read_text()) for file in sorted(RESULTS.glob("refusal_*.json"))]


def with_tables(readme: str, evaluation: Record, refused: list[Record]) -> str:
    """Return the README with the tables of this evaluation between its marks."""
    before, _, rest = readme.partition(START)
    _, _, after = rest.partition(END)
    return before + START + "\n".join(tables(evaluation, refused)) + "\n" + END + after


def tables(evaluation: Record, refused: list[Record]) -> Iterator[str]:
    """Yield the lines of all tables."""
    yield (
        f"{evaluation['films']} films of the public {evaluation['split']} split; "
        "95 % intervals bootstrapped by group.\n"
    )
    yield from over_all(evaluation)
    if evaluation["left_out"]:
        yield from unseen_origins(evaluation["left_out"])
    yield from by_class(evaluation)
    yield from within_sources(evaluation)
    yield from calibration(evaluation["models"])
    if refused:
        yield from silence(refused)


def over_all(evaluation: Record) -> Iterator[str]:
    """Yield macro AUROC and balanced accuracy of the models, then of the baselines."""
    yield from head("", "macro AUROC", "balanced accuracy")
    rows = {f"**{label(model)}**": model["metrics"] for model in evaluation["models"]}
    baselines = evaluation["baselines"].items()
    rows |= {f"baseline: {name}": metrics for name, metrics in baselines}
    for name, metrics in rows.items():
        yield row(name, *(of_name(metrics, m) for m in ("macro_auroc", "balanced_accuracy")))


def unseen_origins(measured: Record) -> Iterator[str]:
    """Yield each recipe's macro AUROC on origins that the network never saw."""
    yield "\nOn films of origins never seen in training:\n"
    yield from head("recipe", "macro AUROC", "classes", "dropped")
    for recipe in measured["recipes"]:
        kept, dropped = recipe["kept_classes"], recipe["dropped_classes"]
        yield row(
            recipe["name"],
            interval(recipe["macro_auroc"]),
            ", ".join(kept),
            "; ".join(f"{name}: {reason}" for name, reason in dropped.items()) or "none",
        )


def by_class(evaluation: Record) -> Iterator[str]:
    """Yield each class's AUROC."""
    yield ""
    yield from head("AUROC of a class against all others", *map(label, evaluation["models"]))
    for name in evaluation["class_names"]:
        yield row(name, *(of_name(m["metrics"], "auroc", name) for m in evaluation["models"]))


def within_sources(evaluation: Record) -> Iterator[str]:
    """Yield the AUROC of one class against another within each source."""
    labels = [label(model) for model in evaluation["models"]]
    yield ""
    yield from head("AUROC within one source", "films", "view (AP, PA) alone", *labels)
    for contrast in evaluation["contrasts"]:
        found = [contrast["view_alone"], *(contrast["auroc"].get(name) for name in labels)]
        yield row(
            f"{contrast['source']}: {contrast['positive']} against {contrast['negative']}",
            "{} / {}".format(*contrast["films"]),
            *(interval(metric) if metric else "too few" for metric in found),
        )


def calibration(models: list[Record]) -> Iterator[str]:
    """Yield the calibration errors and the share of films refused."""
    yield ""
    yield from head(
        "",
        "calibration error unscaled",
        "temperature-scaled",
        "by chance alone",
        "refused",
        "unsure",
    )
    for model in models:
        errors = (
            of_name(model["metrics"], f"expected_calibration_error_{when}")
            for when in ("unscaled", "scaled")
        )
        chance = f"{model['calibration_error_by_chance']:.3f}"
        yield row(
            label(model),
            *errors,
            chance,
            *(f"{model[name]:.1%}" for name in ("refused_share", "unsure_share")),
        )


def silence(refused: list[Record]) -> Iterator[str]:
    """Yield the share of images of each kind that each model refuses or leaves undecided."""
    yield ""
    yield from head(
        "refused or undecided", *(f"{one['model']} {one['version']}" for one in refused)
    )
    for kinds in zip(*(one["kinds"] for one in refused), strict=True):
        shares = (f"{k['silent']:.0%} ({k['low']:.0%} to {k['high']:.0%})" for k in kinds)
        yield row(kinds[0]["kind"], *shares)
    silent = ([image["outcome"] != "answered" for image in one["images"]] for one in refused)
    counts = (f"{sum(outcomes)} of {len(outcomes)}" for outcomes in silent)
    yield row("other images, all to be refused", *counts)


def label(model: Record) -> str:
    """Return name and version."""
    return f"{model['name']} {model['version']}"


def head(*cells: str) -> tuple[str, str]:
    """Return a table's first two lines."""
    return row(*cells), row(*("---" for _ in cells))


def row(*cells: str) -> str:
    """Return one line of a table."""
    return "| " + " | ".join(cells) + " |"


def of_name(metrics: list[Record], name: str, class_name: str | None = None) -> str:
    """Return the figure of that name with its interval; a dash where there is none."""
    found = [m for m in metrics if (m["name"], m["class_name"]) == (name, class_name)]
    return interval(found[0]) if found else "-"


def interval(metric: Record) -> str:
    """Return the estimate with its interval."""
    return f"{metric['estimate']:.3f} ({metric['low']:.3f} to {metric['high']:.3f})"


if __name__ == "__main__":
    raise SystemExit(main())
