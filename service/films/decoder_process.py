"""Decode films in a process that may do little else: no environment, no network, bounded.

A crafted film may crash its decoder, fill its memory, or take it over. `service.films.decoders`
runs this file as a script, so that the limits come before any library and any film.
"""

import ctypes
import math
import os
import pickle
import sys
import time
from typing import BinaryIO

if sys.platform == "linux":
    import resource

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000


def main() -> None:
    """Answer each question (function, arguments) with (whether it raised, what it did)."""
    questions, answers = _own_pipes()
    memory_bytes, cpu_seconds, *sys.path[:] = sys.argv[1:]
    _leave_network()
    _limit_memory(int(memory_bytes))
    while True:
        try:
            work, arguments = pickle.load(questions)
        except EOFError:  # the server has closed the pipe, or is gone
            return
        _limit_time(float(cpu_seconds))
        pickle.dump(_answer(work, arguments), answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()
        del work, arguments


def _answer(work: object, arguments: tuple[object, ...]) -> tuple[bool, object]:
    try:
        return False, work(*arguments)  # type: ignore[operator]
    except Exception as error:
        return True, error


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return the pipes to the server, which nothing that a decoder prints can reach."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 0)
    os.dup2(2, 1)
    return questions, answers


def _leave_network() -> None:
    """Go where there is no network, and no way to the server's memory, if the system allows it.

    An unprivileged process may where it may make a user namespace. It must have one thread.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNET)


def _limit_memory(most: int) -> None:
    """Bound the address space, beyond which Python raises `MemoryError`; leave no core file.

    A core file would hold the film.
    """
    if sys.platform == "linux":
        _limit(resource.RLIMIT_AS, most)
        _limit(resource.RLIMIT_CORE, 0)


def _limit_time(seconds: float) -> None:
    """Let the system end this process after so much more time of a processor."""
    if sys.platform == "linux":
        _limit(resource.RLIMIT_CPU, math.ceil(time.process_time() + seconds))


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    main()
