"""Write the results tables of README.md and docs/evaluation.md from the JSON of the commands.

python docs/scripts/insert_results.py        # rewrites both in place

README's are from `cxr evaluate` and `cxr refusal`, the other page's from `cxr leave-out` and
benchmarks/ablation.py.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGE = ROOT / "docs/evaluation.md"
RESULTS = ROOT / "docs/results"
EVALUATION = RESULTS / "evaluation.json"
START, END = "<!-- results -->\n", "<!-- end of results -->"

Record = dict[str, Any]
FIGURES = {"pair_auroc": "pairs of classes", "normal_auroc": "normal against the rest"}


def main() -> int:
    """Rewrite README.md and docs/evaluation.md."""
    evaluation = json.loads(EVALUATION.read_text())
    README.write_text(with_tables(README.read_text(), evaluation, refusals()))
    PAGE.write_text(with_results(PAGE.read_text(), page_tables()))
    return 0


def page_tables() -> Iterator[str]:
    """Yield the lines of docs/evaluation.md: recipes on origins never seen, then their parts."""
    measured, ablations = of_kind("left_out"), of_kind("ablation")
    if not measured and not ablations:
        yield "No recipe has been measured in this way yet."
    yield from left_out_tables(measured)
    for ablation in ablations:
        yield from ablation_tables(ablation)
    for layers in of_kind("read_layers"):
        yield f"\n### What each layer tells: {layers['network']}\n"
        yield f"{layers['films']} films of train; logistic regressions on frozen features.\n"
        yield from ablation_means(layers["left_out"])
    for evaluation in of_kind("versions"):
        yield from version_tables(evaluation)
    yield from audit_tables(of_kind("audits"))
    for changes in of_kind("augmentation"):
        yield f"\n### What each change of the training films is worth: {changes['network']}\n"
        yield f"{changes['films']} films of train; logistic regressions on frozen features.\n"
        yield from ablation_means(changes["left_out"])


def version_tables(evaluation: Record) -> Iterator[str]:
    """Yield what the versions of the networks reach at home, side by side."""
    yield f"\n### At home, before and now: {evaluation['films']} films\n"
    yield from over_all(evaluation)
    yield from within_sources(evaluation)


def audit_tables(audits: list[Record]) -> Iterator[str]:
    """Yield what `cxr audit` finds of two versions of a network, side by side."""
    for pair in audits:
        before, now = pair["before"], pair["now"]
        yield f"\n### Shortcuts looked for: {label_of(before)} and {label_of(now)}\n"
        yield f"`cxr audit` on {now['films']} films of {now['split']}.\n"
        yield from head("", "should be", label_of(before), label_of(now))
        rows = {one["question"]: one for one in before["rows"]}
        for own in now["rows"]:
            found = (answer_of(rows.get(own["question"])), answer_of(own))
            yield row(own["question"], own["rule"], *found)


def answer_of(audited: Record | None) -> str:
    """Return an audit row's figure with its interval and verdict."""
    if audited is None or audited["figure"] is None:
        return "-"
    spread = f"{audited['low']:.3f} to {audited['high']:.3f}"
    return f"{audited['figure']:.3f} ({spread}), {audited['verdict']}"


def refusals() -> list[Record]:
    """Return the results of `cxr refusal`, one for each model."""
    return of_kind("refusal")


def of_kind(kind: str) -> list[Record]:
    """Return the results in docs/results whose names begin with this."""
    return [json.loads(file.read_text()) for file in sorted(RESULTS.glob(f"{kind}_*.json"))]


def with_tables(readme: str, evaluation: Record, refused: list[Record]) -> str:
    """Return the README with the tables of this evaluation between its marks."""
    return with_results(readme, tables(evaluation, refused))


def with_results(page: str, lines: Iterable[str]) -> str:
    """Return a page with these lines between its marks."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return before + START + "\n".join(lines) + "\n" + END + after


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


def left_out_tables(measured: list[Record]) -> Iterator[str]:
    """Yield the tables of figures on origins never seen."""
    for result in measured:
        recipes = result["recipes"]
        yield f"\n### Whole recipes: {', '.join(recipe['name'] for recipe in recipes)}\n"
        budgets = {recipe["name"]: budget(recipe) for recipe in recipes}
        if len(set(budgets.values())) == 1:
            yield budget(recipes[0])
        else:
            yield "\n".join(f"- {name}: {own}" for name, own in budgets.items())
        yield from unseen_origins(result)


def budget(recipe: Record) -> str:
    """Return in words what the trainings of a recipe were given."""
    rows, columns = recipe["image_size"]
    epochs, seeds = recipe["epochs"], len(recipe["seeds"])
    return f"{rows} by {columns} pixels, {counted(epochs, 'epoch')}, {counted(seeds, 'seed')}."


def counted(number: int, word: str) -> str:
    """Return a number with its word, which has an s unless it is one."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def unseen_origins(measured: Record) -> Iterator[str]:
    """Yield the recipes' figures on origins that their networks never saw."""
    recipes = measured["recipes"]
    names = [recipe["name"] for recipe in recipes]
    yield "\nWithin origins never seen in training:\n"
    yield from head("AUROC", "films", *names)
    for origin in recipes[0]["within"]:
        yield from within_origin(origin["origin"], recipes)
    for place, mean in enumerate(recipes[0]["means"]):
        yield row(
            f"**mean of {', '.join(mean['origins'])}: {FIGURES[mean['auroc']['name']]}**",
            "",
            *(interval(recipe["means"][place]["auroc"]) for recipe in recipes),
        )
    yield from seeds(recipes)
    if measured["differences"]:
        yield from recipe_differences(measured["differences"])
    yield from sets(recipes)
    yield from pooled(recipes)


def ablation_tables(ablation: Record) -> Iterator[str]:
    """Yield what each part of looking only at the lungs is worth."""
    recipes = ablation["left_out"]["recipes"]
    rows, columns = recipes[0]["image_size"]
    seen = f"first row {rows} by {columns} pixels, {recipes[0]['epochs']} epochs"
    yield f"\n### What each part is worth: {ablation['network']}\n"
    yield f"{ablation['films']} films of train; {seen}; seeds {recipes[0]['seeds']}.\n"
    yield from ablation_means(ablation["left_out"])
    if ablation["maps"]:
        yield from map_rows(ablation["maps"])


def ablation_means(left_out: Record) -> Iterator[str]:
    """Yield the means over origins of each row, beside their differences from the first."""
    recipes = left_out["recipes"]
    for name, title in FIGURES.items():
        means = [mean for mean in recipes[0]["means"] if mean["auroc"]["name"] == name]
        if not means:
            continue
        columns = [f"{title}: mean of {', '.join(mean['origins'])}" for mean in means]
        yield from head(*chain(["AUROC"], *((column, "less the first row") for column in columns)))
        for recipe in recipes:
            yield row(recipe["name"], *ablation_row(recipe, name, left_out))
        yield ""


def ablation_row(recipe: Record, name: str, left_out: Record) -> Iterator[str]:
    """Yield a row's means of one figure, each with its difference from the first row."""
    for mean in recipe["means"]:
        if mean["auroc"]["name"] != name:
            continue
        yield interval(mean["auroc"])
        found = [
            one["difference"]
            for one in left_out["differences"]
            if one["first"] == recipe["name"]
            and one["origins"] == mean["origins"]
            and one["difference"]["name"] == name
        ]
        yield interval(found[0]) if found else "-"


def map_rows(maps: list[Record]) -> Iterator[str]:
    """Yield the figures of the maps of each row of an ablation."""
    columns = {
        "inside": "evidence inside lungs",
        "hit_rate": "hit rate, val boxes",
        "energy": "energy / area",
        "deletion": "deletion",
        "deletion_random": "random maps' deletion",
        "random_head": "likeness, random head",
        "unrelated": "likeness, unrelated films",
    }
    yield from head("maps on val", *columns.values(), "ms a film")
    for own in maps:
        figures = (interval(own[name]) if own[name] else "-" for name in columns)
        yield row(own["row"], *figures, f"{own['milliseconds']:.1f}")


def within_origin(origin: str, recipes: list[Record]) -> Iterator[str]:
    """Yield the figures within one origin: its pairs of classes, and normal against the rest."""
    own = [next(one for one in r["within"] if one["origin"] == origin) for r in recipes]
    if not own[0]["pairs"]:
        yield row(f"{origin}: none, {own[0]['reason']}", str(sum(own[0]["films"].values())))
    for place, pair in enumerate(own[0]["pairs"]):
        found = (one["pairs"][place]["auroc"] for one in own)
        yield row(
            f"{origin}: {pair['positive']} against {pair['negative']}",
            "{} / {}".format(*pair["films"]),
            *(interval(metric) if metric else f"none: {pair['reason']}" for metric in found),
        )
    if own[0]["normal_auroc"]:
        films = str(sum(own[0]["films"].values()))
        figures = (interval(one["normal_auroc"]) for one in own)
        yield row(f"{origin}: {FIGURES['normal_auroc']}", films, *figures)


def seeds(recipes: list[Record]) -> Iterator[str]:
    """Yield each recipe's means for every seed."""
    yield ""
    yield from head("mean by seed", "origins", *(recipe["name"] for recipe in recipes))
    for place, mean in enumerate(recipes[0]["means"]):
        values = (recipe["means"][place]["by_seed"] for recipe in recipes)
        yield row(
            FIGURES[mean["auroc"]["name"]],
            ", ".join(mean["origins"]),
            *(", ".join(f"{value:.3f}" for value in own) for own in values),
        )


def recipe_differences(differences: list[Record]) -> Iterator[str]:
    """Yield the differences between recipes of their means over origins."""
    yield ""
    yield from head("difference of means", "origins", "first less second")
    for found in differences:
        if len(found["origins"]) > 1:
            yield row(
                f"{found['first']} less {found['second']}, {FIGURES[found['difference']['name']]}",
                ", ".join(found["origins"]),
                interval(found["difference"]),
            )


def sets(recipes: list[Record]) -> Iterator[str]:
    """Yield what prediction sets are worth on origins never seen."""
    if not all(recipe.get("sets") for recipe in recipes):
        return
    for recipe in recipes:
        yield ""
        names = [metric["name"].replace("_", " ") for metric in recipe["sets"][0]["figures"]]
        yield from head(f"sets of {recipe['name']}", "films", *names)
        for own in recipe["sets"]:
            yield row(", ".join(own["origins"]), str(own["films"]), *map(interval, own["figures"]))


def pooled(recipes: list[Record]) -> Iterator[str]:
    """Yield the pooled figures, beside what a constant for each origin gets."""
    yield ""
    yield from head(
        "pooled over the origins left out",
        "a constant for each origin",
        *(recipe["name"] for recipe in recipes),
    )
    mean = (interval(recipe["macro_auroc"]) for recipe in recipes)
    yield row("macro AUROC", interval(recipes[0]["constant_macro_auroc"]), *mean)
    for place, constant in enumerate(recipes[0]["constant_aurocs"]):
        own = (interval(recipe["aurocs"][place]) for recipe in recipes)
        yield row(f"{constant['class_name']} against the rest", interval(constant), *own)
    for name, reason in recipes[0]["dropped_classes"].items():
        yield f"\nNot in the pooled figures: {name}, {reason}."


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
        "undecided",
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
    yield from head("refused or undecided", *map(label_of, refused))
    for kinds in zip(*(one["kinds"] for one in refused), strict=True):
        shares = (f"{k['silent']:.0%} ({k['low']:.0%} to {k['high']:.0%})" for k in kinds)
        yield row(kinds[0]["kind"], *shares)
    silent = ([image["outcome"] != "answered" for image in one["images"]] for one in refused)
    counts = (f"{sum(outcomes)} of {len(outcomes)}" for outcomes in silent)
    yield row("other images, all to be refused", *counts)


def label_of(measured: Record) -> str:
    """Return name and version of a model that a command measured."""
    return f"{measured['model']} {measured['version']}"


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
