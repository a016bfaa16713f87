"""Write the tables of docs/evaluation.md on the lung field from the JSON of `cxr lung-field`.

python docs/scripts/write_lung_field.py        # rewrites the page's tables in place
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from docs.scripts.insert_results import Record, head, interval, row

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/evaluation.md"
MEASURED = ROOT / "docs/results/lung_field.json"
ALONE = ROOT / "docs/results/outline_alone.json"


def main() -> int:
    """Rewrite the page."""
    page = with_table(PAGE.read_text(), json.loads(MEASURED.read_text()))
    PAGE.write_text(with_alone(page, json.loads(ALONE.read_text())))
    return 0


def with_table(page: str, measured: Record) -> str:
    """Return the page with the table of Dice coefficients between its marks."""
    return _between(page, "lung field", table(measured["figures"]))


def with_alone(page: str, measured: Record) -> str:
    """Return the page with the table of what outlines alone tell between its marks."""
    return _between(page, "outline alone", alone_table(measured["rows"]))


def _between(page: str, name: str, lines: Iterable[str]) -> str:
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, _, rest = page.partition(start)
    _, _, after = rest.partition(end)
    return before + start + "\n".join(lines) + "\n" + end + after


def table(figures: list[Record]) -> Iterator[str]:
    """Yield the lines of the table: Dice coefficients by source, beside the mean mask's."""
    yield from head("films", "masks", "number", "Dice", "tenth percentile", "mean mask's Dice")
    for one in figures:
        kind = f"{one['mask_by']}, {one['convention']}" if one["convention"] else one["mask_by"]
        yield row(
            one["source"] or f"**all with masks by {one['mask_by']}s**",
            kind,
            str(one["films"]),
            *(interval(one[name]) for name in ("dice", "tenth", "baseline")),
        )


def alone_table(rows: list[Record]) -> Iterator[str]:
    """Yield the lines of the table: what a logistic regression tells by the outline's shape."""
    yield from head("told by the outline", "films", "AUROC", "named rightly", "commonest name")
    for one in rows:
        figures = (interval(one[name]) for name in ("auroc", "accuracy"))
        yield row(one["question"], str(one["films"]), *figures, f"{one['majority']:.3f}")


if __name__ == "__main__":
    raise SystemExit(main())
