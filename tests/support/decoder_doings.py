"""What tests let a decoder do. With no imports of ours, so that its process starts fast."""

import os
import resource
import signal
import socket
import time
from pathlib import Path
from typing import Any

LONG = 157_000_000


class Hostile:
    """What a decoder answers that a film has taken over: code for the server to run."""

    def __reduce__(self) -> tuple[object, ...]:
        """Say how to make this again."""
        return os.mkdir, (os.environ["PWD"],)


def taken_over(folder: str) -> Hostile:
    """Answer with code that makes a folder."""
    os.environ["PWD"] = folder
    return Hostile()


def spin() -> None:
    """Never end."""
    while True:
        pass


def connection_to(port: int) -> str:
    """Return what comes of a connection to this machine."""
    try:
        with socket.create_connection(("127.0.0.1", port)):
            return "connected"
    except OSError as error:
        return type(error).__name__


def servers_secrets() -> str:
    """Return what comes of reading the environment of the process that started this one."""
    try:
        return Path(f"/proc/{os.getppid()}/environ").read_text()
    except OSError as error:
        return type(error).__name__


def limits_of_decoder() -> list[int]:
    """Return the limits on address space, core files and seconds of a processor."""
    kinds = (resource.RLIMIT_AS, resource.RLIMIT_CORE, resource.RLIMIT_CPU)
    return [resource.getrlimit(kind)[0] for kind in kinds]


def dying(*_: object) -> None:
    """Die as a decoder does that crashes on a film."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying_once(mark: Path, *question: Any) -> object:
    """Die the first time, as a process does that the system kills to save memory."""
    from service.films.decoding import seen_film

    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return seen_film(*question)


def long_files(*_: object) -> list[bytes]:
    """Return files as long as those about a film of 39 megapixels."""
    return [bytes(LONG)]


def own_process(*_: object) -> bytes:
    """Return which process decodes."""
    return str(os.getpid()).encode()


def sleeping(*_: object) -> None:
    """Take a minute."""
    time.sleep(60)
