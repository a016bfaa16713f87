"""Measure a recipe on origins left out of its training: `cxr leave-out`."""

import argparse
import sys
from pathlib import Path

from training.commands.train import add_start_arguments, with_arguments
from training.config import read_config
from training.evaluation.leave_out import leave_out_recipe, measures_added
from training.evaluation.leave_out_result import LeaveOutResult
from training.statistics.bootstrap import Estimate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr leave-out`."""
    add_start_arguments(parser)
    parser.add_argument(
        "--folder", type=Path, default=Path("artifacts/left_out"), help="to work in, and go on in"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")


def run(arguments: argparse.Namespace) -> int:
    """Print the AUROC of each recipe as measures against shortcuts are added; exit code 0."""
    config = with_arguments(read_config(arguments.config), arguments)
    recipes = []
    for name, recipe in measures_added(config).items():
        of_network = f"{config.name}: {name}"
        recipes.append(
            leave_out_recipe(of_network, recipe, arguments.folder, device=arguments.device)
        )
        found = recipes[-1].macro_auroc
        sys.stdout.write(f"{of_network}: {Estimate(found.estimate, found.low, found.high)}\n")
        sys.stdout.flush()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    result = LeaveOutResult(recipes=tuple(recipes))
    arguments.output.write_text(result.model_dump_json(indent=2) + "\n")
    return 0
