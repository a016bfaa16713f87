"""Leave answers unread and connections idle; check that the server stays quick and gives all back.

    python benchmarks/slow_clients.py [--clients 16] [--idle 150] [--side 6244] [--settle 60]

Against `python -m service` with the default model, CXR_ANSWER_SECONDS=10 and, as `ulimit -n` of 120
gives it, CXR_MAX_CONNECTIONS=60. First every endpoint is asked once, and its answer read: memory
and child processes of then are the start. Then, endpoint by endpoint, so many clients ask about a
black film of side x side pixels (39 megapixels, 38 kB), read the status and nothing more, until
their connections are closed; and so many connections are opened that send nothing. Some seconds
later memory and children are compared with the start. Meanwhile /health/live is requested twenty
times a second.

The exit status is 1 if a check failed.
"""

import argparse
import io
import os
import socket
import sys
import time
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import httpx
from PIL import Image
from saturation import Watch, resident_bytes, watched
from start_up import free_port
from throughput import serving

ANSWER_SECONDS = 10
CONNECTIONS = 60
FILMS = 16
MOST_GROWTH = 1.1
MOST_LIVE_MS = 50


class Question(NamedTuple):
    """A request that a slow client sends."""

    name: str
    path: str
    accept: str = "*/*"
    kind: str = "image/png"


QUESTIONS = (
    Question("film", "/v1/film"),
    Question("film as a picture", "/v1/film", "image/png"),
    Question("overlay", "/v1/explain?force=true", "image/png"),
    Question("explanation", "/v1/explain?force=true"),
    Question("prediction", "/v1/predict"),
    Question("batch", "/v1/batch?explain=true", kind="form"),
)


def black_film(side: int) -> bytes:
    """Return a black PNG of side x side pixels."""
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "PNG")
    return file.getvalue()


def request(question: Question, film: bytes) -> bytes:
    """Return the bytes of a request."""
    body, kind = film, question.kind
    if kind == "form":
        form = httpx.Request("POST", "http://server/", files=[("file", film)] * FILMS)
        body, kind = form.read(), form.headers["content-type"]
    head = (
        f"POST {question.path} HTTP/1.1\r\nHost: localhost\r\nAccept: {question.accept}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def asking(port: int, sent: bytes) -> socket.socket:
    """Return a connection on which a request was sent, and which takes little in."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(600)
    connection.connect(("127.0.0.1", port))
    connection.sendall(sent)
    return connection


def statuses(connections: list[socket.socket]) -> dict[str, int]:
    """Return how often each status was answered; none where a connection was closed before."""
    found = [b"HTTP/1.1 none"] * len(connections)
    for number, connection in enumerate(connections):
        with suppress(OSError):
            found[number] = connection.recv(12) or found[number]
    texts = [status.split()[1].decode() for status in found]
    return {text: texts.count(text) for text in sorted(set(texts))}


def gauge(port: int, name: str) -> float:
    """Return the sum of a metric's values."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as page:
        lines = page.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def children(process: int) -> int:
    """Return how many child processes a process has."""
    return len(Path(f"/proc/{process}/task/{process}/children").read_text().split())


def annoy(port: int, film: bytes, options: argparse.Namespace) -> None:
    """Ask each endpoint without reading, then open idle connections; print what came of it."""
    for question in QUESTIONS:
        sent = request(question, film)
        with ExitStack() as stack:
            asked = [stack.enter_context(asking(port, sent)) for _ in range(options.clients)]
            print(f"{question.name}: {statuses(asked)}")
            end = time.monotonic() + ANSWER_SECONDS + 30
            while gauge(port, "cxr_queue_films{") and time.monotonic() < end:
                time.sleep(0.5)
    with ExitStack() as stack:
        for _ in range(options.idle):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        time.sleep(5)
        print(f"of {options.idle} idle connections {gauge(port, 'cxr_connections'):.0f} are open")


def faults_of(watch: Watch, growth: float, more_children: int) -> list[str]:
    """Return the checks that failed."""
    checks = {
        "/health/live is slower than 50 ms": watch.p99() < MOST_LIVE_MS,
        "memory has grown": growth <= MOST_GROWTH,
        "child processes are left": more_children <= 0,
    }
    return [fault for fault, holds in checks.items() if not holds]


def main() -> int:
    """Print the figures; return 1 if a check failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--idle", type=int, default=150)
    parser.add_argument("--side", type=int, default=6244)
    parser.add_argument("--settle", type=float, default=60)
    options = parser.parse_args()
    port, film = free_port(), black_film(options.side)
    os.environ |= {
        "CXR_ANSWER_SECONDS": str(ANSWER_SECONDS),
        "CXR_MAX_CONNECTIONS": str(CONNECTIONS),
    }
    command = [sys.executable, "-m", "service", "--port", str(port)]
    with serving(command, port, "/health/ready") as server:
        for question in QUESTIONS:
            with asking(
                port, request(question, film).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            ) as one:
                while one.recv(2**20):
                    pass
        start, children_before = resident_bytes(server.pid), children(server.pid)
        with watched(port, server.pid) as watch:
            annoy(port, film, options)
            time.sleep(options.settle)
        end = resident_bytes(server.pid)
        more_children = children(server.pid) - children_before
    most = max(count for _, count in watch.memory)
    print(f"/health/live: p99 {watch.p99():.1f} ms of {len(watch.live_ms)}")
    print(f"memory: {start / 2**20:.0f} MiB, at most {most / 2**20:.0f}, then {end / 2**20:.0f}")
    faults = faults_of(watch, end / start, more_children)
    print("faults:", "; ".join(faults) or "none")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
