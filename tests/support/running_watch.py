"""`cxr watch` in a process of its own."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Watch:
    """A running `cxr watch`.

    Attributes:
        process: It.
        lines: What it has logged.
        port: Where it listens; 0 if it doesn't.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.lines, self.port = process, list[str](), 0
        self._listens = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def log(self) -> str:
        """All that it has logged."""
        return "".join(self.lines)

    def wait_until_it_listens(self) -> None:
        """Return when the port is known."""
        assert self._listens.wait(60), self.log
        assert self.port, self.log

    def stop(self) -> int:
        """Send SIGTERM; return the exit status."""
        self.process.terminate()
        status = self.process.wait(30)
        self._reader.join()
        return status

    def _read(self) -> None:
        for line in self.process.stderr or ():
            self.lines.append(line)
            if found := re.search(r"listening as \w+ on [\d.]+:(\d+)", line):
                self.port = int(found[1])
                self._listens.set()
        self._listens.set()


@contextmanager
def watching(folder: Path, model: Path, *arguments: str, **settings: str) -> Iterator[Watch]:
    """Run `cxr watch` with a journal in `folder`; kill it in the end, if it still runs."""
    command = [sys.executable, "-m", "cxr", "watch", "--journal", str(folder / "journal.sqlite")]
    environment = {
        "CXR_MODELS": str(model),
        "CXR_OWN_MODELS": "false",
        "CXR_WATCH_RETRY_SECONDS": "1",
        "CXR_WATCH_POLL_SECONDS": "0.5",
        "PATH": "/usr/bin:/bin",
    } | settings
    with subprocess.Popen(
        [*command, *arguments], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        watch = Watch(process)
        try:
            yield watch
        finally:
            process.kill()
