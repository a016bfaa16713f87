"""Let several exported models answer together: `cxr ensemble`."""

import argparse
import sys
from pathlib import Path

from training.data.manifest import read_manifest
from training.data.split import check_split
from training.export.ensemble import write_ensemble
from xai.ensemble import FILE_NAME


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr ensemble`."""
    parser.add_argument("models", type=Path, nargs="+", help="ONNX files of the same classes")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument(
        "-o", "--output", type=Path, help=f"default: {FILE_NAME} beside the first model"
    )
    parser.add_argument("--version", default="1.0.0", help="of the ensemble")
    parser.add_argument(
        "--with-test", action="store_true", help="measure it on test films, for its card"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the ensemble's card and print what was chosen; exit code 0."""
    films = read_manifest(arguments.manifest)
    check_split(films)
    output = arguments.output or arguments.models[0].with_name(FILE_NAME)
    ensemble = write_ensemble(
        arguments.models,
        output,
        films,
        version=arguments.version,
        with_test=arguments.with_test,
    )
    names = ", ".join(member.card.name for member in ensemble.members)
    sys.stdout.write(f"{output}: {names}; temperature {ensemble.card.temperature:.3f}\n")
    for metric in ensemble.card.metrics:
        of = f", {metric.class_name}" if metric.class_name else ""
        figures = f"{metric.estimate:.3f} ({metric.low:.3f} to {metric.high:.3f})"
        sys.stdout.write(f"{metric.name}{of}: {figures}\n")
    return 0
