"""Measure how often a model refuses out-of-distribution images: `cxr refusal`."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from training.data.manifest import of_split, read_manifest, spread
from training.data.split import check_split
from training.evaluation.refusal import RefusalReport, refusal_report
from xai.explainer import Explainer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr refusal`."""
    parser.add_argument("model", type=Path, help="ONNX file that `cxr export` wrote")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument(
        "--films", type=int, default=100, help="how many of the split, evenly spread; default 100"
    )
    parser.add_argument("--unlike", type=Path, help="folder of images that should be refused")
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write")


def run(arguments: argparse.Namespace) -> int:
    """Print shares of refused images; exit code 0."""
    films = read_manifest(arguments.manifest)
    check_split(films)
    if arguments.films < 1:
        raise ValueError(f"--films must be at least 1, not {arguments.films}")
    chosen = spread(of_split(films, arguments.split), arguments.films)
    unlike = sorted(arguments.unlike.iterdir()) if arguments.unlike else []
    report = refusal_report(Explainer(arguments.model), chosen, unlike)
    sys.stdout.write("\n".join(sentences(report)) + "\n")
    if arguments.output:
        arguments.output.write_text(report.model_dump_json(indent=2) + "\n")
    return 0


def sentences(report: RefusalReport) -> Iterator[str]:
    """Yield the report as lines for a person."""
    yield f"{report.model} {report.version}, {report.split}: share refused or undecided"
    yield "95 % intervals bootstrapped by group_id (1,000 resamples)\n"
    for kind in report.kinds:
        figure = f"{kind.silent:.3f} ({kind.low:.3f} to {kind.high:.3f})"
        reasons = {
            "lungs": kind.without_lungs,
            "distance": kind.distant,
            "novelty": kind.novel,
        }
        why = ", ".join(f"{reason} {share:.3f}" for reason, share in reasons.items())
        yield f"{kind.kind:22} {figure} of {kind.images}; refused {kind.refused:.3f}: {why}"
    if report.images:
        silent = sum(found.outcome != "answered" for found in report.images)
        yield f"\n{silent} of {len(report.images)} images refused or undecided"
        for found in report.images:
            figures = [
                f"{'' if value is None else f'{value:.2f}':>8}"
                for value in (found.distance, found.novelty)
            ]
            why = f" ({', '.join(found.refusals)})" if found.refusals else ""
            name = f"{found.image} {found.predicted_class or ''}"
            yield f"{found.outcome:10} {' '.join(figures)} {name}{why}"
