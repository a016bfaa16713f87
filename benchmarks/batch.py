"""Measure `cxr batch`: two workers beside one process, and what a kill costs.

    python benchmarks/batch.py [--films 1000]

Drawn films, one in a hundred of them cut short, are scored by the default model: in one process
with one thread; by `cxr batch --workers 2`; and once more by the same, where first the whole
command is killed (SIGKILL) when half is done and then, after it is resumed, one of its workers.
Films per second are between a run's first part and its last, without the start of Ray and of the
workers.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
from PIL import Image

from service.batch.listing import Listing, list_films
from service.batch.scoring import Row, score_films
from service.settings import OWN_MODELS
from training.data.phantom import FINDINGS, draw_film
from xai.explainer import Explainer

MODEL = OWN_MODELS / "chest_cnn.onnx"
COLUMNS = 512
PART_SIZE = 50
BROKEN_EVERY = 100


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--films", type=int, default=1000)
    count = parser.parse_args().films
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["TMPDIR"] = folder  # Ray's files go there; a killed run leaves them
        archive = Path(folder, "films")
        write_films(archive, count)
        listing = list_films(archive)
        alone, speed_alone = one_process(listing)
        undisturbed, out = Path(folder, "undisturbed.parquet"), Path(folder, "killed.parquet")
        speed = batch(archive, undisturbed)
        print(f"one process: {speed_alone:.1f} films/s; two workers: {speed:.1f} films/s")
        print(f"ratio: {speed / speed_alone:.2f}")
        print(f"largest difference of a probability: {largest_difference(alone, undisturbed):.1e}")
        parts = -(-count // PART_SIZE)
        batch(archive, out, at_part=parts // 2, disturb=lambda run: run.kill())
        written = len(list(out.with_name(f"{out.name}.parts").glob("*.parquet")))
        print(f"killed when {written} of {parts} parts were written")
        batch(archive, out, at_part=2, disturb=kill_a_worker)
        print(f"resumed, and a worker killed: {lost_and_twice(listing, out)}")
        print(f"largest difference of a probability: {largest_difference(alone, out):.1e}")


def write_films(folder: Path, count: int) -> None:
    """Write synthetic films; half of them PNG, half JPEG."""
    folder.mkdir()
    for number in range(count):
        film = draw_film(FINDINGS[number % len(FINDINGS)], seed=number, columns=COLUMNS)
        file = folder / f"{number:05}.{'jpg' if number % 2 else 'png'}"
        Image.fromarray(film.pixels).save(file)
        if number % BROKEN_EVERY == 0:
            file.write_bytes(file.read_bytes()[:1000])


def one_process(listing: Listing) -> tuple[list[Row], float]:
    """Return every film's row and the films per second."""
    explainer = Explainer(MODEL, threads=1)
    start = time.perf_counter()
    rows = score_films(explainer, listing.folder, listing.films, batch_size=8)
    return rows, len(rows) / (time.perf_counter() - start)


def batch(
    archive: Path,
    out: Path,
    *,
    at_part: int = 0,
    disturb: Callable[[subprocess.Popen[str]], None] = lambda run: None,
) -> float:
    """Run `cxr batch` on two workers and return its films per second.

    Args:
        archive: The films.
        out: The result.
        at_part: Number of the part after which the run is disturbed; 0 is never.
        disturb: Called with the run.
    """
    command = ["batch", str(archive), "--out", str(out), "--model", str(MODEL), "--workers", "2"]
    films, times = [], []
    with subprocess.Popen(
        [sys.executable, "-m", "cxr", *command, "--part-size", str(PART_SIZE)],
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        for line in run.stderr or ():
            if found := re.match(r"part (\d+) of \d+: (\d+) films", line):
                films.append(int(found[2]))
                times.append(time.perf_counter())
                if int(found[1]) == at_part:
                    disturb(run)
    return sum(films[1:]) / (times[-1] - times[0])


def kill_a_worker(run: subprocess.Popen[str]) -> None:
    """Kill one of Ray's processes that hold the model: they are children of Ray's daemon."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,comm="], stdout=subprocess.PIPE, text=True, check=True
    )
    processes = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    daemons = {process for process, parent, _ in processes if parent == str(run.pid)}
    workers = [int(p) for p, parent, name in processes if parent in daemons and "Map" in name]
    os.kill(workers[0], signal.SIGKILL)


def largest_difference(alone: list[Row], result: Path) -> float:
    """Return the largest difference of a probability; infinite if errors differ."""
    together = {row["path"]: row for row in pq.read_table(result).to_pylist()}
    columns = [name for name in alone[1] if name.startswith("probability:")]
    difference = 0.0
    for row in alone:
        other = together[row["path"]]
        if row.get("error_status") != other["error_status"]:
            return float("inf")
        if "error_status" not in row:
            difference = max(
                difference, *(abs(float(str(row[name])) - other[name]) for name in columns)
            )
    return difference


def lost_and_twice(listing: Listing, result: Path) -> str:
    """Return a line with the number of films that have no row, and that have several."""
    counted = Counter(pq.read_table(result)["path"].to_pylist())
    lost = sum(counted[film] == 0 for film in listing.films)
    twice = sum(counted[film] > 1 for film in listing.films)
    return f"{counted.total()} rows, lost = {lost}, twice = {twice}"


if __name__ == "__main__":
    main()
