"""What this process has of the system: children, also dead ones, and descriptors. Of Linux."""

import os
from pathlib import Path


def children() -> set[int]:
    """Return the process ids of this process's children, those not waited for included."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:  # it has ended meanwhile
            continue
        if int(parent) == os.getpid():
            found.add(int(stat.parent.name))
    return found


def descriptors() -> int:
    """Return how many file descriptors this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
