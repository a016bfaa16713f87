"""Writes files that are whole or absent: a kill while one is written leaves no part of it.

`replacing` writes a file anew; `whole_file` writes a file once, for all processes that want it.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a path to write to, and put what was written there in the file's place.

    A kill or an error in between leaves the former file as it was; after an error nothing else is
    left either.

    Args:
        file: Written by one process at a time; its folder is made if it is absent.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _unfinished(file)
    try:
        yield unfinished
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def whole_file(file: Path, write: Callable[[Path], None]) -> Path:
    """Return a file, written first if it is absent.

    Of several processes that want it one writes and the others wait; a kill while writing leaves
    no `file`, and whoever wants it next starts again.

    Args:
        file: Its name says all that its contents follow from.
        write: Given a path, writes the contents there in place.
    """
    if file.is_file():
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _unfinished(file)
    with unfinished.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released by the kernel, even of a killed process
        if not file.is_file():
            write(unfinished)
            unfinished.replace(file)
    return file


def _unfinished(file: Path) -> Path:
    return file.with_suffix(".unfinished")
