"""Read published CSV files row by row; errors name the file and line."""

import csv
from collections.abc import Iterator, Set
from pathlib import Path


def read_table(file: Path, required: Set[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row of a CSV file: its place ("line 3 of FILE") and its cells by column.

    Raises:
        ValueError: The file is absent or lacks a required column, or a row has too few cells.
    """
    if not file.is_file():
        raise ValueError(f"{file} does not exist")
    with file.open(newline="", encoding="utf-8-sig") as lines:  # Excel starts it with a mark
        rows = csv.DictReader(lines, restval=None)
        absent = required - set(rows.fieldnames or ())
        if absent:
            raise ValueError(f"{file} lacks the columns {sorted(absent)}")
        for row in rows:
            where = f"line {rows.line_num} of {file}"
            short = sorted(column for column in required if row[column] is None)
            if short:
                raise ValueError(f"{where}: the row ends before the columns {short}")
            yield where, {column: cell for column, cell in row.items() if isinstance(cell, str)}
