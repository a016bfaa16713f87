"""Write the table of docs/evaluation.md on the lung field from the JSON of `cxr lung-field`.

python docs/scripts/write_lung_field.py        # rewrites the page's table in place
"""

import json
from collections.abc import Iterator
from pathlib import Path

from docs.scripts.insert_results import Record, head, interval, row

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/evaluation.md"
MEASURED = ROOT / "docs/results/lung_field.json"
START, END = "<!-- lung field -->\n", "<!-- end of lung field -->"


def main() -> int:
    """Rewrite the page."""
    PAGE.write_text(with_table(PAGE.read_text(), json.loads(MEASURED.read_text())))
    return 0


def with_table(page: str, measured: Record) -> str:
    """Return the page with the table of these figures between its marks."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return before + START + "\n".join(table(measured["figures"])) + "\n" + END + after


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


if __name__ == "__main__":
    raise SystemExit(main())
