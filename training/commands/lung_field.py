"""Measure how near the lung field's outlines come to masks: `cxr lung-field`."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from models.checkpoint import LUNG_FIELD
from training.outlines.measurement import LungFieldReport, lung_field_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr lung-field`."""
    parser.add_argument("--manifest", type=Path, required=True, help="CSV of films and lung masks")
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        help="folder of another lung field, such as `best` in a run folder; default: our own",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")


def run(arguments: argparse.Namespace) -> int:
    """Print the Dice coefficients by source; exit code 0, whatever they are."""
    report = lung_field_report(
        arguments.manifest,
        split=arguments.split,
        checkpoint=arguments.checkpoint or LUNG_FIELD,
    )
    sys.stdout.write("\n".join(sentences(report)) + "\n")
    if arguments.json:
        arguments.json.write_text(report.model_dump_json(indent=2) + "\n")
    return 0


def sentences(report: LungFieldReport) -> Iterator[str]:
    """Yield the report as lines for a person."""
    yield f"{report.split}; 95 % intervals bootstrapped by patient (1,000 resamples)\n"
    layout = "{:26} {:8} {:8} {:>5} {:24} {:24} {}"
    heads = ("source", "mask by", "shows", "films", "Dice", "tenth percentile", "mean mask's Dice")
    yield layout.format(*heads)
    for row in report.figures:
        kind = (row.source or "all", row.mask_by, row.convention or "", row.films)
        yield layout.format(*kind, str(row.dice), str(row.tenth), str(row.baseline))
