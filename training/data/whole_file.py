"""Write files atomically: a file is whole or absent, even if the process is killed.

`replacing` replaces a file; `whole_file` writes it once for several processes.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yield a temporary path, and move what was written there to `file`.

    After a kill or an error the former file is unchanged; after an error the temporary file is
    removed too.

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
    """Write a file if it is absent, and return it.

    Of several processes one writes and the others wait. A kill while writing leaves no `file`; the
    next process starts again.

    Args:
        file: Its name must determine its contents.
        write: Given a path, writes the contents there.
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
