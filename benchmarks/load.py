"""Load a server on this machine over HTTP; the other benchmarks run this as a process.

    python benchmarks/load.py http://127.0.0.1:8000/v1/explain FOLDER --concurrency 8 --requests 400

Posts the files of a folder in turn, over as many kept connections as `--concurrency`, for a number
of requests or of seconds, and prints one JSON object: statuses, 503s without Retry-After, latencies
in milliseconds, wall and CPU seconds of this process. `--insist` repeats a film that got a 503
until it is answered, and checks each answer's probabilities against the first one for it.
"""

import argparse
import asyncio
import ipaddress
import json
import resource
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 120


@dataclass
class Tally:
    """Answers, counted.

    Attributes:
        statuses: How often each came.
        without_retry_after: 503s that did not say when to come back.
        milliseconds: From sending to the end of the answer, each 200.
        differing: Answers that differ from the first one for the same film.
        answered: Films that got a 200.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0
    milliseconds: list[float] = field(default_factory=list)
    differing: int = 0
    answered: int = 0
    first: dict[int, list[float]] = field(default_factory=dict)

    def compare(self, film: int, body: bytes) -> None:
        """Count an answer that differs from the first for this film."""
        found = [finding["probability"] for finding in json.loads(body)["findings"]]
        expected = self.first.setdefault(film, found)
        self.differing += max(abs(a - b) for a, b in zip(found, expected, strict=True)) > 1e-4


class Connection:
    """One kept connection to the server."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of the answer to a whole request."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            writer.close()
            self._streams = None
        return int(head[0].split()[1]), headers, body


async def load(url: str, films: list[bytes], options: argparse.Namespace) -> Tally:
    """Send the requests, and return the answers, counted."""
    address = urlsplit(url)
    if not ipaddress.ip_address(address.hostname or "").is_loopback:
        raise ValueError(f"url must be of this machine (127.0.0.1), not {url}")
    requests = [_request(address.path, film, options) for film in films]
    tally, numbers = Tally(), _numbers(options)
    await asyncio.gather(
        *(
            _client(
                Connection(str(address.hostname), address.port or 80),
                requests,
                numbers,
                tally,
                insist=options.insist,
            )
            for _ in range(options.concurrency)
        )
    )
    return tally


def _numbers(options: argparse.Namespace) -> Iterator[int]:
    """Yield the numbers of the requests that all clients together send."""
    end = time.monotonic() + (options.seconds or TIMEOUT_SECONDS * 60)
    for number in count():
        if number == options.requests or time.monotonic() > end:
            return
        yield number


def _request(path: str, film: bytes, options: argparse.Namespace) -> bytes:
    kind, body = "image/jpeg", film
    if options.form:
        kind = "multipart/form-data; boundary=B"
        disposition = f'form-data; name="{options.form}"; filename="film"'
        body = b"--B\r\nContent-Disposition: " + disposition.encode() + b"\r\n\r\n" + film
        body += b"\r\n--B--\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: "
    return f"{head}{len(body)}\r\n\r\n".encode() + body


async def _client(
    connection: Connection,
    requests: list[bytes],
    numbers: Iterator[int],
    tally: Tally,
    *,
    insist: bool,
) -> None:
    for number in numbers:
        film = number % len(requests)
        while True:
            start = time.perf_counter()
            status, headers, body = await asyncio.wait_for(
                connection.post(requests[film]), TIMEOUT_SECONDS
            )
            tally.statuses[status] += 1
            if status == 200:
                tally.milliseconds.append(1000 * (time.perf_counter() - start))
                tally.answered += 1
                if insist:
                    tally.compare(film, body)
            elif status == 503:
                tally.without_retry_after += "retry-after" not in headers
                await asyncio.sleep(float(headers.get("retry-after", 1)))
            if status == 200 or not insist:
                break


def summary(tally: Tally, seconds: float) -> dict[str, Any]:
    """Return the figures to print."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cuts = statistics.quantiles(tally.milliseconds, n=100) if tally.answered > 1 else [0.0] * 99
    return {
        "statuses": dict(tally.statuses),
        "answered": tally.answered,
        "without_retry_after": tally.without_retry_after,
        "differing": tally.differing,
        "p50_ms": round(cuts[49], 2),
        "p95_ms": round(cuts[94], 2),
        "p99_ms": round(cuts[98], 2),
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
    }


def main() -> None:
    """Load the server and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("films", type=Path, help="folder of films")
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--requests", type=int, default=-1)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--form", help="send as multipart, in this field")
    parser.add_argument("--insist", action="store_true")
    options = parser.parse_args()
    films = [path.read_bytes() for path in sorted(options.films.iterdir())]
    usage = resource.getrusage(resource.RUSAGE_SELF)
    before = usage.ru_utime + usage.ru_stime
    start = time.perf_counter()
    tally = asyncio.run(load(options.url, films, options))
    figures = summary(tally, time.perf_counter() - start)
    figures["cpu_seconds"] -= before
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
