"""Score an archive of films into a Parquet file, one row each: `cxr batch`."""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from service.batch.listing import list_films
from service.commands.model_argument import add_model_argument, asked_explainer

NEEDED = ("pyarrow", "ray")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "input",
        type=Path,
        metavar="INPUT",
        help="a folder of films (PNG, JPEG, TIFF, DICOM), or a CSV with a column `path`",
    )
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --out")
    add_model_argument(parser)
    parser.add_argument("--workers", type=_positive, help="worker processes (default: one per CPU)")
    parser.add_argument(
        "--threads", type=_positive, default=1, help="CPU threads of each worker (default 1)"
    )
    parser.add_argument(
        "--batch-size", type=_positive, default=8, help="films run together (default 8)"
    )
    parser.add_argument(
        "--part-size",
        type=_positive,
        default=64,
        help="films after which a worker writes its results to disk (default 64)",
    )
    parser.add_argument(
        "--address", help="HOST:PORT of a Ray cluster (default: this machine alone)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Score every film that has not been scored yet, and write the result.

    Raises:
        OSError: The films can't be listed, or the model read, or the result written.
        ValueError: Ray is not installed, there is no film, the model is not sound, the result
            exists already or is being written, or a worker failed.
    """
    _check_installed()
    # Not at the top: this needs Ray and PyArrow, which the command line's help does not.
    from service.batch.run import Resources, score_archive

    if arguments.out.exists() and not arguments.overwrite:
        raise ValueError(f"{arguments.out} exists already; --overwrite replaces it")
    listing = list_films(arguments.input)
    explainer = asked_explainer(arguments)
    _say(f"{len(listing.films)} films; {listing.other_files} other files are left out")
    resources = Resources(
        arguments.workers, arguments.threads, arguments.batch_size, arguments.address
    )
    score_archive(
        listing,
        explainer,
        arguments.out,
        resources=resources,
        part_size=arguments.part_size,
        say=_say,
    )
    return 0


def _check_installed() -> None:
    missing = [package for package in NEEDED if find_spec(package) is None]
    if missing:
        raise ValueError(
            f"the package {missing[0]} is missing: pip install 'chest-xray-explainer[ray]' "
            "(in a checkout: pip install '.[ray]')"
        )


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number
