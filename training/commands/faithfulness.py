"""Measure whether a model uses what its maps mark: `cxr faithfulness`."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from training.data.manifest import of_split, read_manifest, spread
from training.data.split import check_split
from training.maps.faithfulness import LEAST_SHARE, FaithfulnessReport, faithfulness_report
from xai.explainer import Explainer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr faithfulness`."""
    parser.add_argument("model", type=Path, help="ONNX file that `cxr export` wrote")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--films", type=int, help="how many, evenly spread; default all")
    parser.add_argument(
        "--curves",
        type=int,
        default=50,
        help="how many of those for deletion, insertion, drop and ROAD too; default 50",
    )
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write")


def run(arguments: argparse.Namespace) -> int:
    """Print the figures with intervals; exit code 0, whatever they are."""
    if arguments.films is not None and arguments.films < 1:
        raise ValueError(f"--films must be at least 1, not {arguments.films}")
    if arguments.curves < 0:
        raise ValueError(f"--curves must not be below 0, not {arguments.curves}")
    films = read_manifest(arguments.manifest)
    check_split(films)
    asked = of_split(films, arguments.split)
    chosen = spread(asked, arguments.films or len(asked))
    made = faithfulness_report(Explainer(arguments.model), chosen, curves=arguments.curves)
    sys.stdout.write("\n".join(sentences(made)) + "\n")
    if arguments.output:
        arguments.output.write_text(made.model_dump_json(indent=2) + "\n")
    return 0


def sentences(made: FaithfulnessReport) -> Iterator[str]:
    """Yield the report as lines for a person."""
    yield (
        f"{made.model} {made.version}, {made.split}: {len(made.films)} of {made.asked} films "
        "rightly decided"
    )
    yield "95 % intervals bootstrapped by group_id (1,000 resamples)\n"
    for figure in made.figures:
        yield f"{figure.name:45} {figure!s:24} of {figure.films}"
    first = made.figures[0]
    is_met = first.estimate >= LEAST_SHARE
    yield f"\nat least {LEAST_SHARE:.2f} is {'met' if is_met else 'not met'}: {first}"
