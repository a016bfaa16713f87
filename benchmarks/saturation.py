"""Load a server beyond what it can answer; check that it stays alive and loses no request.

    python benchmarks/saturation.py [--seconds 60] [--requests 10000] [--concurrency 64]

Two parts, against `python -m service` with the default model: some seconds of load, then a number
of requests, each repeated until it is answered, however many 503s it gets. A client that gets a 503
waits as long as Retry-After says. Meanwhile /health/live is requested twenty times a second, and
the server's memory (its decoding processes included) is read. With `--queue` shorter than the
concurrency, as it is by default, some requests must be refused.

The exit status is 1 if a check failed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from start_up import free_port
from throughput import serving, write_films

HERE = Path(__file__).parent
PROBE_SECONDS = 0.05
WARM_UP_SECONDS = 10
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Watch:
    """Measurements of a server under load.

    Attributes:
        live_ms: Milliseconds that each /health/live took.
        memory: (seconds since the start, bytes).
    """

    live_ms: list[float] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)

    def p99(self) -> float:
        """Return the 99th percentile of /health/live, in milliseconds."""
        return statistics.quantiles(self.live_ms, n=100)[98]

    def growth(self) -> float:
        """Return memory of the last ten seconds over that of ten seconds after the warm-up."""
        end = self.memory[-1][0]
        early = [b for t, b in self.memory if WARM_UP_SECONDS <= t < WARM_UP_SECONDS + 10]
        late = [b for t, b in self.memory if t >= end - 10]
        return statistics.median(late) / statistics.median(early)


def resident_bytes(process: int) -> int:
    """Return the bytes of memory of a process and its children; 0 of one that has just ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except (OSError, IndexError):
        return 0
    return pages * PAGE + sum(resident_bytes(int(child)) for child in children)


@contextmanager
def watched(port: int, process: int) -> Iterator[Watch]:
    """Measure a server until the block ends."""
    watch, over, start = Watch(), threading.Event(), time.monotonic()

    def look() -> None:
        while not over.wait(PROBE_SECONDS):
            begin = time.perf_counter()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=30):
                watch.live_ms.append(1000 * (time.perf_counter() - begin))
            watch.memory.append((time.monotonic() - start, resident_bytes(process)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


def loaded(url: str, films: Path, *options: str) -> dict[str, Any]:
    """Return the figures of `load.py`."""
    command = [sys.executable, str(HERE / "load.py"), url, str(films), *options]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def main() -> int:
    """Print the figures; return 1 if a check failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--queue", type=int, default=32)
    options = parser.parse_args()
    port, faults = free_port(), []
    os.environ["CXR_QUEUE_SIZE"] = str(options.queue)
    url = f"http://127.0.0.1:{port}/v1/explain"
    command = [sys.executable, "-m", "service", "--port", str(port)]
    concurrency = ["--concurrency", str(options.concurrency)]
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(command, port, "/health/ready") as server,
    ):
        films = Path(folder)
        write_films(films)
        with watched(port, server.pid) as watch:
            figures = loaded(url, films, *concurrency, "--seconds", str(options.seconds))
        print("saturated:", json.dumps(figures))
        print(f"/health/live: p99 {watch.p99():.1f} ms of {len(watch.live_ms)}")
        print(f"memory: {watch.memory[-1][1] / 2**20:.0f} MiB, last / first {watch.growth():.3f}")
        if watch.p99() >= 50:
            faults.append("/health/live is slower than 50 ms")
        if abs(watch.growth() - 1) > 0.05:
            faults.append("memory is not flat")
        if not set(figures["statuses"]) <= {"200", "503"} or figures["without_retry_after"]:
            faults.append("a request got neither 200 nor a 503 with Retry-After")
        requests = ["--requests", str(options.requests), "--insist"]
        figures = loaded(url, films, *concurrency, *requests)
        print("each answered:", json.dumps(figures))
        lost = options.requests - figures["answered"]
        print(f"lost {lost} of {options.requests}, mixed up {figures['differing']}")
        if lost or figures["differing"]:
            faults.append("answers were lost or mixed up")
    print("faults:", "; ".join(faults) or "none")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
