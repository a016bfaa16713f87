"""Write the tables of docs/evaluation.md on novelty from the JSON of `cxr novelty`.

python docs/scripts/write_novelty.py        # rewrites the page's tables in place
"""

import json
from collections.abc import Iterator
from pathlib import Path

from docs.scripts.insert_results import Record, counted, head, interval, row

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/evaluation.md"
RESULTS = ROOT / "docs/results"
START, END = "<!-- novelty -->\n", "<!-- end of novelty -->"


def main() -> int:
    """Rewrite the page."""
    results = [json.loads(file.read_text()) for file in sorted(RESULTS.glob("novelty*.json"))]
    before, _, rest = PAGE.read_text().partition(START)
    after = rest.partition(END)[2]
    lines = "\n".join(line for result in results for line in tables(result))
    PAGE.write_text(f"{before}{START}{lines}{END}{after}")
    return 0


def tables(result: Record) -> Iterator[str]:
    """Yield the lines of one result: origins left out, and what networks get right of them."""
    yield f"{result['config']}, {result['statistics']} statistics, {result['split']}:"
    yield ""
    numbers = [name for name in ("novelty", "distance") if result[f"{name}_auroc"]]
    heads = (f"{what} by {name}" for name in numbers for what in ("AUROC", "flagged", "at home"))
    yield from head("left out", "its films", *heads)
    for one in result["origins"]:
        figures = (
            interval(one[name][what])
            for name in numbers
            for what in ("auroc", "flagged", "flagged_at_home")
        )
        yield row(one["origin"], f"{one['films']} ({one['split']})", *figures)
    means = ((interval(result[f"{name}_auroc"]), "", "") for name in numbers)
    yield row("**mean**", "", *(cell for cells in means for cell in cells))
    yield ""
    yield from head("all origins known", "films", "flagged")
    for one in result["at_home"]:
        name = f"{one['attribute']} {one['value']}"
        yield row(name, str(one["films"]), interval(one["flagged"]))
    yield ""
    if result["risk"]:
        yield from risk_table(result["risk"])


def risk_table(risk: Record) -> Iterator[str]:
    """Yield the lines on right and wrong answers about origins that no network saw."""
    yield (
        f"{risk['recipe']}, {counted(risk['seeds'], 'seed')}, {risk['films']} films of origins "
        f"never seen, {risk['known']:.3f} of them within the limit: right "
        f"{interval(risk['right_known'])} within it, {interval(risk['right_novel'])} beyond; "
        f"difference {interval(risk['difference'])}."
    )
    yield ""
    coverages = (f"error at {one['coverage']:.0%}" for one in risk["by_score"][0]["errors"])
    yield from head("refused by", "area under risk-coverage", *coverages)
    for one in risk["by_score"]:
        errors = (interval(at["error"]) for at in one["errors"])
        yield row(one["score"], interval(one["area"]), *errors)
    yield ""


if __name__ == "__main__":
    raise SystemExit(main())
