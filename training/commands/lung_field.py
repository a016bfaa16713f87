"""Measure the lung field's outlines: how near they come to masks, and what they tell alone."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from models.checkpoint import LUNG_FIELD
from training.audit.outline_alone import OutlineAlone, outline_alone
from training.config import read_config
from training.outlines.measurement import LungFieldReport, lung_field_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr lung-field`."""
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--manifest", type=Path, help="CSV of films and lung masks")
    asked.add_argument(
        "--alone",
        type=Path,
        metavar="CONFIG",
        help="measure what outlines alone tell of class and source, on the train films of a recipe",
    )
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        help="folder of another lung field, such as `best` in a run folder; default: our own",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")


def run(arguments: argparse.Namespace) -> int:
    """Print the figures; exit code 0, whatever they are."""
    report: OutlineAlone | LungFieldReport
    if arguments.alone:
        report = outline_alone(read_config(arguments.alone))
        lines = sentences_alone(report)
    else:
        checkpoint = arguments.checkpoint or LUNG_FIELD
        report = lung_field_report(arguments.manifest, split=arguments.split, checkpoint=checkpoint)
        lines = sentences(report)
    sys.stdout.write("\n".join(lines) + "\n")
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


def sentences_alone(report: OutlineAlone) -> Iterator[str]:
    """Yield what outlines alone tell as lines for a person."""
    yield "train; 95 % intervals bootstrapped by group_id (1,000 resamples)\n"
    layout = "{:60} {:>5} {:24} {:24} {}"
    yield layout.format(
        "told by the outline", "films", "AUROC (nothing: 0.5)", "named rightly", "commonest name"
    )
    for row in report.rows:
        majority = f"{row.majority:.3f}"
        yield layout.format(row.question, row.films, str(row.auroc), str(row.accuracy), majority)
