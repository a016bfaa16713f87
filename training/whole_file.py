"""Files that take long to write, shared by processes: whole or absent, and written once."""

import fcntl
from collections.abc import Callable
from pathlib import Path


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
    unfinished = file.with_suffix(".unfinished")
    with unfinished.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released by the kernel, even of a killed process
        if not file.is_file():
            write(unfinished)
            unfinished.replace(file)
    return file
