"""`cxr prepare`: one manifest from somebody's films, in the layout in which they were published.

The manifest is a CSV with a row per film: `path` (below its own folder), either `label` or one
column `finding:<Name>` per finding ("1", "0", or "" for unknown), `patient_id`, `group_id` (films
that must stay together: a patient's, and copies of each other), `source`, `split`, `sha256` of the
file, and where the collection tells them `view`, `sex`, `age_years`, `age_group` and others.
"""

import argparse
import csv
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, get_args

from training.data.manifest import Split
from training.preparation.assembly import Preparation, PreparedFilms, prepare
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
from training.preparation.listing import FINDING_PREFIX, ListedFilm, Listing

SPLITS: tuple[Split, ...] = get_args(Split)
WARNING = "Research use only. Copies that were turned, mirrored or cropped are not found."


class Layout(NamedTuple):
    """How one kind of collection is read from the command line."""

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
    dropped = "give up train films whose patient or copy is in val or test, instead of refusing"
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
        "a folder of films per class, perhaps below train, val and test",
        lambda given: read_image_folder(given.folder, patient=given.patient),
        _add_image_folder,
    ),
    "manifest": Layout(
        "a manifest that exists already", lambda given: read_own_manifest(given.folder)
    ),
}


def run(arguments: argparse.Namespace) -> int:
    """Say what a collection holds, write the manifest that was asked for; exit code 0."""
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


def write_manifest(output: Path, prepared: PreparedFilms) -> None:
    """Write the films that have a split."""
    rows = list(_rows(output.resolve().parent, prepared))
    columns = list(dict.fromkeys(column for row in rows for column in row))
    _write_csv(output, columns, rows)


def _rows(folder: Path, prepared: PreparedFilms) -> Iterator[dict[str, str]]:
    for film, sha256, group, split in zip(
        prepared.films, prepared.hashes, prepared.groups, prepared.splits, strict=True
    ):
        if split is not None:
            yield {
                "path": _path_below(folder, film),
                **film.targets,
                "patient_id": film.patient_id,
                "group_id": group,
                "source": film.source,
                "split": split,
                "sha256": sha256,
                **film.details,
            }


def _path_below(folder: Path, film: ListedFilm) -> str:
    return Path(os.path.relpath(film.path.resolve(), folder)).as_posix()


def write_pairs(output: Path, prepared: PreparedFilms) -> None:
    """Write all pairs of films that look the same, the most alike first."""
    pairs = sorted(prepared.copies, key=lambda pair: pair.distance)
    rows = [
        {
            "distance": str(pair.distance),
            "first": str(prepared.films[pair.first].path),
            "second": str(prepared.films[pair.second].path),
            "first_split": prepared.splits[pair.first] or "dropped",
            "second_split": prepared.splits[pair.second] or "dropped",
        }
        for pair in pairs
    ]
    _write_csv(output, ["distance", "first", "second", "first_split", "second_split"], rows)


def _write_csv(output: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    with output.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def sentences(prepared: PreparedFilms) -> Iterator[str]:
    """Yield what is in the splits and what is not, as lines for a person."""
    counts = _counts(prepared)
    width = max(len(row) for row in counts)
    yield f"{'':{width}}" + "".join(f"{split:>8}" for split in SPLITS)
    for row, numbers in counts.items():
        yield f"{row:{width}}" + "".join(f"{numbers[split]:8}" for split in SPLITS)
    yield ""
    yield from _copies_in_words(prepared)
    for reason, number in prepared.left_out.items():
        yield f"left out: {number} ({reason})"
    yield from prepared.notes
    yield WARNING


def _counts(prepared: PreparedFilms) -> dict[str, Counter[Split]]:
    """Return films, patients, and films of each class or finding, per split."""
    targets = sorted({name for film in prepared.films for name in film.positives})
    counts: dict[str, Counter[Split]] = {
        row: Counter() for row in ("films", "patients", "groups", *targets)
    }
    patients: set[tuple[str, str, Split]] = set()
    for film, group, split in zip(prepared.films, prepared.groups, prepared.splits, strict=True):
        if split is None:
            continue
        patients |= {("patients", film.patient_id, split), ("groups", group, split)}
        for row in ("films", *film.positives, *_unknown(film.targets)):
            counts.setdefault(row, Counter())[split] += 1
    for row, _, split in patients:
        counts[row][split] += 1
    return counts


def _unknown(targets: Mapping[str, str]) -> list[str]:
    return [
        f"{column.removeprefix(FINDING_PREFIX)} (unknown)"
        for column, value in targets.items()
        if not value
    ]


def _copies_in_words(prepared: PreparedFilms) -> Iterator[str]:
    films = prepared.films
    pairs = [(films[pair.first], films[pair.second]) for pair in prepared.copies]
    strangers = sum(first.patient_id != second.patient_id for first, second in pairs)
    yield (
        f"copies: {len(pairs)} pairs of films look the same, {strangers} of them under two "
        "patient ids; whoever looks the same is in one group"
    )
    differing = [pair for pair in pairs if pair[0].targets != pair[1].targets]
    if differing:
        first, second = differing[0]
        yield (
            f"{len(differing)} of these pairs have two different labels, "
            f"first {first.path} and {second.path}"
        )
