"""Make a manifest of a published collection of films: `cxr prepare`."""

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, get_args

from training.data.manifest import Split
from training.preparation.assembly import Preparation, PreparedFilms, film_counts, prepare
from training.preparation.fingerprint import HASH_BITS
from training.preparation.layouts.chestxray14 import read_chestxray14
from training.preparation.layouts.chexpert import (
    UNCERTAIN_POLICIES,
    UNMENTIONED_POLICIES,
    read_chexpert,
)
from training.preparation.layouts.image_folder import read_image_folder
from training.preparation.layouts.own_manifest import read_own_manifest
from training.preparation.layouts.rsna_pneumonia import read_rsna_pneumonia
from training.preparation.listing import Listing
from training.preparation.manifest_file import write_manifest, write_pairs

SPLITS: tuple[Split, ...] = get_args(Split)
WARNING = "Research use only. Copies that were turned, mirrored or cropped are not found."


class Layout(NamedTuple):
    """A kind of collection: its help, its reader, and the arguments of its own."""

    help: str
    read: Callable[[argparse.Namespace], Listing]
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr prepare`."""
    layouts = parser.add_subparsers(dest="layout", metavar="LAYOUT", required=True)
    for name, layout in LAYOUTS.items():
        subparser = layouts.add_parser(name, help=layout.help, description=f"{layout.help}.")
        subparser.add_argument("folder", type=Path, help="where it lies (a manifest: its file)")
        layout.add_arguments(subparser)
        _add_preparation(subparser)


def _add_preparation(parser: argparse.ArgumentParser) -> None:
    usual = Preparation()
    add = parser.add_argument
    add("-o", "--output", type=Path, help="manifest to write; nothing is written without it")
    add("--pairs", type=Path, help="CSV to write, of all pairs of films that look the same")
    add("--val-fraction", type=float, default=usual.val_fraction, help="default %(default)s")
    add("--test-fraction", type=float, default=usual.test_fraction, help="default %(default)s")
    add("--seed", type=int, default=usual.seed, help="the same seed makes the same split")
    distance = f"bits of {HASH_BITS} by which copies may differ (default %(default)s)"
    add("--max-distance", type=int, default=usual.max_distance, help=distance)
    dropped = "drop train films whose patient or copy is in val or test, instead of refusing"
    add("--drop-duplicates", action="store_true", help=dropped)
    skipped = "leave out films that are missing or cannot be decoded, instead of refusing"
    add("--skip-unreadable", action="store_true", help=skipped)


def _add_chexpert(parser: argparse.ArgumentParser) -> None:
    uncertain = "what -1 becomes: negative, positive, or unknown (default)"
    parser.add_argument("--uncertain", choices=UNCERTAIN_POLICIES, default="ignore", help=uncertain)
    unmentioned = "what a blank becomes: negative (default, as in the paper) or unknown"
    parser.add_argument(
        "--unmentioned", choices=UNMENTIONED_POLICIES, default="zeros", help=unmentioned
    )
    parser.add_argument("--with-lateral", action="store_true", help="take lateral views too")


def _add_image_folder(parser: argparse.ArgumentParser) -> None:
    pattern = r"finds the patient in a file name, e.g. '^person\d+' or 'patient(\d+)'"
    parser.add_argument("--patient", type=re.compile, metavar="REGEX", help=pattern)


LAYOUTS = {
    "chestxray14": Layout("NIH ChestX-ray14", lambda given: read_chestxray14(given.folder)),
    "chexpert": Layout(
        "CheXpert",
        lambda given: read_chexpert(
            given.folder,
            uncertain=given.uncertain,
            unmentioned=given.unmentioned,
            with_lateral=given.with_lateral,
        ),
        _add_chexpert,
    ),
    "rsna-pneumonia": Layout(
        "RSNA Pneumonia Detection Challenge 2018",
        lambda given: read_rsna_pneumonia(given.folder),
    ),
    "image-folder": Layout(
        "a folder of films per class, possibly below train, val and test",
        lambda given: read_image_folder(given.folder, patient=given.patient),
        _add_image_folder,
    ),
    "manifest": Layout(
        "a manifest that exists already", lambda given: read_own_manifest(given.folder)
    ),
}


def run(arguments: argparse.Namespace) -> int:
    """Write the manifest that was asked for and print what the splits hold; exit code 0."""
    given = {name: getattr(arguments, name) for name in Preparation.model_fields}
    prepared = prepare(LAYOUTS[arguments.layout].read(arguments), Preparation(**given))
    if arguments.output:
        write_manifest(arguments.output, prepared)
    if arguments.pairs:
        write_pairs(arguments.pairs, prepared)
    sys.stdout.write("\n".join(sentences(prepared)) + "\n")
    written = [str(file) for file in (arguments.output, arguments.pairs) if file]
    sys.stdout.write(f"\nwritten: {', '.join(written) or 'nothing (-o MANIFEST writes one)'}\n")
    return 0


def sentences(prepared: PreparedFilms) -> Iterator[str]:
    """Yield counts by split, copies, skipped films and notes as lines for a person."""
    counts = film_counts(prepared)
    width = max(len(row) for row in counts)
    yield f"{'':{width}}" + "".join(f"{split:>8}" for split in SPLITS)
    for row, numbers in counts.items():
        yield f"{row:{width}}" + "".join(f"{numbers[split]:8}" for split in SPLITS)
    yield ""
    yield from _copy_sentences(prepared)
    for reason, number in prepared.skipped.items():
        yield f"left out: {number} ({reason})"
    yield from prepared.notes
    yield WARNING


def _copy_sentences(prepared: PreparedFilms) -> Iterator[str]:
    films = prepared.films
    pairs = [(films[pair.first], films[pair.second]) for pair in prepared.copies]
    strangers = sum(first.patient_id != second.patient_id for first, second in pairs)
    yield (
        f"copies: {len(pairs)} pairs of films look the same, {strangers} of them under two "
        "patient ids; films that look the same are in one group"
    )
    differing = [pair for pair in pairs if pair[0].targets != pair[1].targets]
    if differing:
        first, second = differing[0]
        yield (
            f"{len(differing)} of these pairs have two different labels, "
            f"first {first.path} and {second.path}"
        )
