"""A network of its own with nothing in it but this machine."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NEW_NETWORK = 0x40000000
"""CLONE_NEWNET, see unshare(2)."""


@contextmanager
def loopback_only() -> Iterator[None]:
    """Put this thread, and what it starts, into such a network; skip where that isn't allowed."""
    library = ctypes.CDLL(None, use_errno=True)
    ours = os.open(Path("/proc/thread-self/ns/net"), os.O_RDONLY)
    try:
        if library.unshare(NEW_NETWORK):
            pytest.skip(f"a network namespace is needed: {os.strerror(ctypes.get_errno())}")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            library.setns(ours, NEW_NETWORK)
    finally:
        os.close(ours)
