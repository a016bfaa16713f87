"""Measure films per second over HTTP, beside a bare loop in one process and beside LitServe.

    python benchmarks/throughput.py [--rounds 5] [--requests 400] [--concurrency 8]

All three decode the same 512-pixel JPEG films with our reader and run the same ONNX file of the
default model; interleaved round by round on one machine.

- bare: as many threads as CPUs, one-thread sessions, decode and run; no HTTP, no answer written.
- ours: `python -m service`, /v1/explain, default settings.
- LitServe (`pip install litserve`), its own batching on (8 films, 5 ms), the film as a form's file,
  probabilities and evidence as JSON; by default one worker and a session of as many threads as
  CPUs; and "tuned", with as many workers as CPUs and one-thread sessions.

The client is a process on the same CPUs. "Corrected" is the rate as if the client's CPU seconds
had been the server's.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from start_up import answers, free_port

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "service" / "viewer" / "samples"
FILMS = 24
SIDE = 512
TIMEOUT_SECONDS = 60
CPUS = len(os.sched_getaffinity(0))


class Server(NamedTuple):
    """A server: how to start it, and how to send films to it.

    Attributes:
        command: Arguments of Python, without the port, which follows.
        health: Path that answers once it is ready.
        path: Path that films are sent to.
        options: Of `load.py`.
    """

    command: tuple[str, ...]
    health: str
    path: str
    options: tuple[str, ...] = ()


LITSERVE = Server((str(HERE / "litserve_server.py"),), "/health", "/predict", ("--form", "film"))
TUNED = (*LITSERVE.command, "--workers", str(CPUS), "--threads", "1")
SERVERS = {
    "ours": Server(("-m", "service", "--port"), "/health/ready", "/v1/explain"),
    "LitServe": LITSERVE,
    "LitServe, tuned": LITSERVE._replace(command=TUNED),
}


def write_films(folder: Path) -> None:
    """Write films, the samples each with its own grain, as JPEGs of 512 x 512."""
    generator = np.random.default_rng(0)
    samples = sorted(SAMPLES.glob("*.jpg"))
    for number in range(FILMS):
        with Image.open(samples[number % len(samples)]) as sample:
            grey = np.asarray(sample.convert("L").resize((SIDE, SIDE)), np.float32)
        grain = generator.normal(0, 4, grey.shape)
        film = Image.fromarray((grey + grain).clip(0, 255).astype(np.uint8))
        film.save(folder / f"{number:02}.jpg", quality=90)


@contextmanager
def serving(command: list[str], port: int, path: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server process until the block ends, once it answers.

    Raises:
        ChildProcessError: It ended, or was not ready in time.
    """
    quiet = subprocess.DEVNULL
    # In a session of its own: LitServe leaves its workers behind when it is terminated.
    with subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True) as server:
        end = time.monotonic() + TIMEOUT_SECONDS
        while not answers(f"http://127.0.0.1:{port}{path}"):
            if server.poll() is not None or time.monotonic() > end:
                server.kill()
                raise ChildProcessError(f"{command[1]} did not start")
            time.sleep(0.1)
        try:
            yield server
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)


def rate(url: str, films: Path, options: argparse.Namespace, *more: str) -> tuple[float, float]:
    """Return films per second, as measured and corrected for the client's CPU seconds."""
    command = [sys.executable, str(HERE / "load.py"), url, str(films), *more]
    command += ["--concurrency", str(options.concurrency), "--requests", str(options.requests)]
    figures = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    if figures["statuses"] != {"200": options.requests}:
        raise RuntimeError(f"{url} answered {figures['statuses']}")
    raw = options.requests / figures["seconds"]
    cpu_seconds = CPUS * figures["seconds"]
    return raw, raw * cpu_seconds / (cpu_seconds - figures["cpu_seconds"])


def bare_rate(films: Path, options: argparse.Namespace) -> tuple[float, float]:
    """Return films per second of a fresh process that only decodes and runs."""
    command = [sys.executable, str(HERE / "bare_loop.py"), str(films), str(options.requests)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return float(done.stdout), float(done.stdout)


def served_rate(films: Path, options: argparse.Namespace, server: Server) -> tuple[float, float]:
    """Return films per second of a fresh server, ended afterwards: LitServe's is never idle."""
    port = free_port()
    command = [sys.executable, *server.command, str(port)]
    with serving(command, port, server.health):
        url = f"http://127.0.0.1:{port}{server.path}"
        rate(url, films, options, *server.options)  # warm
        return rate(url, films, options, *server.options)


def measured(options: argparse.Namespace) -> dict[str, list[tuple[float, float]]]:
    """Return the rates of each contender, round by round."""
    with tempfile.TemporaryDirectory() as folder:
        films = Path(folder)
        write_films(films)
        contenders: dict[str, Callable[[], tuple[float, float]]] = {
            "bare": partial(bare_rate, films, options)
        }
        for name, server in SERVERS.items():
            contenders[name] = partial(served_rate, films, options, server)
        rates: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
        for _ in range(options.rounds):
            for name, measure in contenders.items():
                rates[name].append(measure())
        return rates


def main() -> None:
    """Print a table of medians, and the ratios of each round's."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--concurrency", type=int, default=8)
    options = parser.parse_args()
    rates = measured(options)
    print("| | films/s | corrected for the client |\n| --- | --- | --- |")
    for name, rounds in rates.items():
        raw, corrected = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"| {name} | {raw:.1f} | {corrected:.1f} |")
    for other in ("bare", "LitServe", "LitServe, tuned"):
        for place, kind in enumerate(("raw", "corrected")):
            ratios = [
                mine[place] / its[place]
                for mine, its in zip(rates["ours"], rates[other], strict=True)
            ]
            low, high = min(ratios), max(ratios)
            print(f"ours / {other}, {kind}: {statistics.median(ratios):.2f} ({low:.2f}-{high:.2f})")


if __name__ == "__main__":
    main()
