"""Files and functions of this project that one warm `/v1/predict` runs through.

    python benchmarks/request_profile.py [--root .]

Serves `service.app.create_app()` with the model that it ships in a thread of this process, sends a
few films to warm it, then profiles more requests with a PNG: each from before the client sends it
until the server has dealt with all of it. Of these, the one with the fewest switches is shown: on a
busy machine a body arrives in pieces, and the request resumes for each. `--root` is the source tree
to profile; it need not be this script's own, so that two trees can be compared.

Counted are the call events of `sys.setprofile`, on all threads, of code whose file lies in one of
the packages `models`, `service` and `xai`. A coroutine or a generator that resumes makes a call
event as well. Of these events it prints:

- files: how many different ones,
- functions: how many different pairs of file and qualified name; a closure is one, and so is a
  generator expression (and, before Python 3.12, a comprehension),
- switches: events whose file differs from that of the event before, in order of time and whatever
  their threads: a film is on one thread after another.

What `cxr serve` adds to the application is not among them: the protocol class that closes slow
connections, and the format of logs.
"""

import argparse
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import uvicorn

PACKAGES = ("models", "service", "xai")
FILM = Path("service", "viewer", "samples", "normal.jpg")
WARM_UP = 5
PROFILED = 7
SETTLE_SECONDS = 0.3
"""Time for the server to end a request whose answer the client has."""


class Call(NamedTuple):
    """A call event: the file, below the root, and the function's qualified name."""

    file: str
    function: str


class Recorder:
    """The call events of own code, in order of time, while `on`."""

    def __init__(self, root: Path) -> None:
        self._start = len(f"{root}/")
        self._folders = tuple(f"{root / package}/" for package in PACKAGES)
        self.calls: list[Call] = []
        self.on = False

    def event(self, frame: FrameType, event: str, _: object) -> None:
        """Take an event of `sys.setprofile`."""
        code = frame.f_code
        if self.on and event == "call" and code.co_filename.startswith(self._folders):
            self.calls.append(Call(code.co_filename[self._start :], code.co_qualname))


@contextmanager
def serving() -> Iterator[str]:
    """Run the application in a thread and yield its address."""
    from service.app import create_app  # of the tree that `--root` names

    config = uvicorn.Config(create_app(), port=0, loop="asyncio", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield "http://{}:{}".format(*server.servers[0].sockets[0].getsockname())
    finally:
        server.should_exit = True
        thread.join()


def predict(address: str, film: bytes) -> None:
    """Send a film, read the answer, and wait until the server has ended the request."""
    request = urllib.request.Request(f"{address}/v1/predict", film, {"Content-Type": "image/png"})
    with urllib.request.urlopen(request) as answer:
        answer.read()
    time.sleep(SETTLE_SECONDS)


def recorded(root: Path) -> list[list[Call]]:
    """Return the call events of each profiled request."""
    recorder, film = Recorder(root), (root / FILM).read_bytes()
    threading.setprofile(recorder.event)  # of each thread that starts from now on
    requests = []
    with serving() as address:
        for _ in range(WARM_UP):
            predict(address, film)
        for _ in range(PROFILED):
            recorder.calls, recorder.on = [], True
            predict(address, film)
            recorder.on = False
            requests.append(recorder.calls)
    return requests


def switches(calls: list[Call]) -> Counter[str]:
    """Return how often each file follows another one."""
    return Counter(now.file for before, now in pairwise(calls) if before.file != now.file)


def main() -> None:
    """Print a table of files, then the totals."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).parent.parent)
    root = parser.parse_args().root.resolve()
    sys.path.insert(0, str(root))
    calls = min(recorded(root), key=lambda calls: switches(calls).total())
    functions, switched = set(calls), switches(calls)
    per_file = Counter(call.file for call in functions)
    print("| file | functions | switches to it |\n| --- | --- | --- |")
    for file, count in sorted(per_file.items()):
        print(f"| {file} | {count} | {switched[file]} |")
    print(f"{len(per_file)} files, {len(functions)} functions, {switched.total()} switches")


if __name__ == "__main__":
    main()
