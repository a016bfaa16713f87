"""Send damaged films to a real server; check that each gets an answer or a 4xx, in time.

    python benchmarks/fuzz.py [--cases 2000] [--seed 0] [--threads 4]

Films (PNG, JPEG, TIFF, DICOM) go in turn to /v1/predict (also with a mask), /v1/explain (also as
PNG) and /v1/film (raw and as PNG), every fifth body is a zip for /v1/batch. Prints how often each
status came, the slowest request and the most memory that the server held, its decoding processes
included. The exit status is 1 if there was a 5xx other than a 503 with Retry-After, a line of a
batch with one, no answer, an answer slower than the server's limit, or a gibibyte of memory.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import NamedTuple

from mutated_films import damaged_bodies, sound_films, sound_zips
from saturation import watched
from start_up import free_port
from throughput import serving

from service.settings import Settings

GIBIBYTE = 2**30
TIMEOUT_SECONDS = 120
ZIPS = 5
"""One body in five is a zip."""
ASKED = (
    ("/v1/predict", "application/json"),
    ("/v1/explain?force=true", "application/json"),
    ("/v1/explain?force=true", "image/png"),
    ("/v1/predict?mask=1,1,9,9", "application/json"),
    ("/v1/film", "image/png"),
    ("/v1/film", "*/*"),
)
BATCH = ("/v1/batch", "*/*")


class Case(NamedTuple):
    """A request."""

    name: str
    path: str
    accept: str
    body: bytes


class Outcome(NamedTuple):
    """The answer to a request; `statuses` holds those of a batch's lines too."""

    case: Case
    statuses: list[int]
    seconds: float
    has_retry_after: bool

    @property
    def is_fault(self) -> bool:
        """True if the server failed: no answer, or a 5xx other than a 503 with Retry-After."""
        later = {503} if self.has_retry_after else set()
        return any(status >= 500 and status not in later for status in self.statuses)


def cases(count: int, seed: int) -> Iterator[Case]:
    """Yield the requests."""
    zips = damaged_bodies(sound_zips(), count, seed=seed)
    asked = cycle(ASKED)
    films = damaged_bodies(sound_films(), count, seed=seed)
    for number, (name, body) in enumerate(films):
        if number % ZIPS == 0:
            zip_name, zip_body = next(zips)
            yield Case(zip_name, *BATCH, zip_body)
        else:
            yield Case(name, *next(asked), body)


def ask(address: str, case: Case) -> Outcome:
    """Send a request and return its outcome; a connection closed without an answer is a 599."""
    headers = {"Accept": case.accept, "Content-Type": "application/octet-stream"}
    request = urllib.request.Request(address + case.path, case.body, headers)
    start, has_retry_after = time.perf_counter(), True
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            statuses = [answer.status, *_line_statuses(case, answer.read())]
    except urllib.error.HTTPError as error:
        error.read()
        statuses, has_retry_after = [error.code], "Retry-After" in error.headers
    except OSError:
        statuses = [599]
    return Outcome(case, statuses, time.perf_counter() - start, has_retry_after)


def _line_statuses(case: Case, body: bytes) -> list[int]:
    if case.path != BATCH[0]:
        return []
    return [json.loads(line)["status"] for line in body.splitlines()]


def faults(outcomes: list[Outcome], memory: int) -> list[str]:
    """Return a sentence for each check that failed."""
    limit = Settings().request_seconds
    found = [
        f"{one.case.name} at {one.case.path}: {one.statuses}, {one.seconds:.1f} s"
        for one in outcomes
        if one.is_fault or (one.seconds > limit and one.case.path != BATCH[0])
    ]
    return found + ["a gibibyte of memory"] * (memory >= GIBIBYTE)


def main() -> int:
    """Print the figures; return 1 if a check failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=4, help="requests at the same time")
    options = parser.parse_args()
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "service", "--port", str(port)]
    with (
        serving(command, port, "/health/ready") as server,
        ThreadPoolExecutor(options.threads) as threads,
        watched(port, server.pid) as watch,
    ):
        requests = cases(options.cases, options.seed)
        outcomes = list(threads.map(lambda case: ask(address, case), requests))
        died = server.poll() is not None
    memory = max(size for _, size in watch.memory)
    slowest = max(outcomes, key=lambda one: one.seconds)
    statuses = Counter(one.statuses[0] for one in outcomes)
    lines = Counter(status for one in outcomes for status in one.statuses[1:])
    print(f"{len(outcomes)} bodies (seed {options.seed}): {dict(sorted(statuses.items()))}")
    print(f"lines of batches: {dict(sorted(lines.items()))}")
    print(f"slowest {slowest.seconds:.2f} s ({slowest.case.name}), p99 of /health/live", end=" ")
    print(f"{watch.p99():.0f} ms, most memory {memory / 2**20:.0f} MiB")
    found = faults(outcomes, memory) + ["the server died"] * died
    print("faults:", "; ".join(found) or "none")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
