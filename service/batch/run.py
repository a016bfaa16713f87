"""Score an archive part by part into one file; a run that was interrupted is continued."""

import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from service.batch.listing import Listing
from service.batch.parts import Run, ScoredParts, open_parts
from service.batch.ray_workers import Part, score_parts
from service.batch.worker import Work
from xai.explainer import Explainer

Say = Callable[[str], None]


class Resources(NamedTuple):
    """Workers, threads and batches of a run; results depend on them by no more than rounding.

    Attributes:
        workers: Processes; None is as many as there are CPUs for.
        threads: CPU threads of each.
        batch_size: Films run together.
        address: Of a Ray cluster; None is this machine alone.
    """

    workers: int | None = None
    threads: int = 1
    batch_size: int = 8
    address: str | None = None


def score_archive(
    listing: Listing,
    explainer: Explainer,
    out: Path,
    *,
    resources: Resources,
    part_size: int,
    say: Say,
) -> None:
    """Score every film into one file; parts that an interrupted run has scored are kept.

    Args:
        listing: The films.
        explainer: The model.
        out: Parquet file to write; an older one is replaced. Until it is complete its parts are in
            a folder beside it.
        resources: Workers, threads and batches.
        part_size: Films in a part.
        say: Called with each line about progress and results.

    Raises:
        OSError: The result can't be written.
        ValueError: Another process is writing it, it was begun with other films, another model or
            another part size, or a worker failed.
    """
    folder = out.absolute().with_name(f"{out.name}.parts")
    run = Run.of(explainer.sha256, listing.films, part_size)
    card = explainer.card
    groups = [group.name for group in card.groups]
    with open_parts(folder, run, card.class_names, groups) as parts:
        count = math.ceil(len(listing.films) / part_size)
        missing = [number for number in range(count) if not parts.file(number).exists()]
        if len(missing) < count:
            say(f"{count - len(missing)} of {count} parts were scored before")
        if missing:
            work = _work(listing, explainer, parts, resources)
            _score(work, [_part(listing, number, part_size) for number in missing], resources, say)
        parts.join(count, out)
        shutil.rmtree(folder)
    say(_outcome(out))


def _work(listing: Listing, explainer: Explainer, parts: ScoredParts, resources: Resources) -> Work:
    return Work(
        model=explainer.file.absolute(),
        model_sha256=explainer.sha256,
        threads=resources.threads,
        batch_size=resources.batch_size,
        folder=listing.folder.absolute(),
        parts=parts,
    )


def _part(listing: Listing, number: int, size: int) -> Part:
    return Part(number=number, films=listing.films[number * size : (number + 1) * size])


def _score(work: Work, parts: Sequence[Part], resources: Resources, say: Say) -> None:
    films, start = 0, time.perf_counter()
    scored = score_parts(work, parts, workers=resources.workers, address=resources.address)
    for done, part in enumerate(scored, 1):
        films += part.films
        speed = films / (time.perf_counter() - start)
        say(
            f"part {done} of {len(parts)}: {part.films} films, {part.errors} errors; "
            f"{speed:.1f} films/s since the start"
        )


def _outcome(result: Path) -> str:
    """Return a sentence that counts the films by outcome."""
    columns = ("error_type", "in_distribution", "is_decided")
    table = pq.read_table(result, columns=list(columns), partitioning=None)
    errors, similar, decided = (Counter(table[column].to_pylist()) for column in columns)
    answered = errors.pop(None, 0)
    kinds = ", ".join(f"{_words(kind)} {count}" for kind, count in errors.most_common())
    refused = similar[False]
    return (
        f"{table.num_rows} films: {answered} answered, {refused} of them refused and "
        f"{decided[False] - refused} undecided; {errors.total()} errors{kinds and f' ({kinds})'}"
    )


def _words(problem_type: str) -> str:
    """Return a problem's type as words; only a file that wasn't read has the type about:blank."""
    kind = problem_type.rpartition(":")[2]
    return "not read" if kind == "blank" else kind.replace("-", " ")
