"""Check whether an exported model's maps depend on its weights: `cxr trust`."""

import argparse
import sys
from pathlib import Path

from training.maps.trust import FILMS, SEEDS, TrustSettings, measured
from xai.measures.trust import trust_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr trust`."""
    parser.add_argument("model", type=Path, help="ONNX file that `cxr export` wrote")
    parser.add_argument("--data", type=Path, required=True, metavar="MANIFEST")
    parser.add_argument("--films", type=int, default=FILMS, help="how many val films")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how often to randomise weights")
    parser.add_argument("--no-depth", action="store_true", help="leave out randomisation by depth")
    parser.add_argument(
        "--beside", type=Path, nargs="+", default=(), help="other models, to compare maps with"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write `<model>.trust.json` and print what it means; exit code 0."""
    settings = TrustSettings(arguments.films, arguments.seeds, by_depth=not arguments.no_depth)
    trust = measured(arguments.model, arguments.data, settings, beside=arguments.beside)
    file = trust_file(arguments.model)
    file.write_text(trust.model_dump_json(indent=2) + "\n", encoding="utf-8")
    lines = (*trust.verdict(), f"{trust.films} val films in {trust.groups} groups; written: {file}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
