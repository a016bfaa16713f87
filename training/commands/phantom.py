"""Draw synthetic chest films to train and test on: `cxr phantom`."""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from training.data.phantom import FINDINGS, write_phantom_set, write_samples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr phantom`."""
    parser.add_argument("folder", metavar="OUT", type=Path, help="folder to draw into; empty")
    parser.add_argument("--patients", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed draws the same set")
    parser.add_argument("--marker-class", choices=FINDINGS, help="its films get a corner marker")
    parser.add_argument("--samples", action="store_true", help="draw three example films instead")


def run(arguments: argparse.Namespace) -> int:
    """Draw the films and print where their manifest lies; exit code 0."""
    if arguments.samples:
        write_samples(arguments.folder)
        return 0
    manifest = write_phantom_set(
        arguments.folder,
        patients=arguments.patients,
        seed=arguments.seed,
        marker_class=arguments.marker_class,
        progress=lambda numbers: tqdm(numbers, "drawing", unit="patient", leave=False),
    )
    sys.stdout.write(f"{manifest}\n")
    return 0
