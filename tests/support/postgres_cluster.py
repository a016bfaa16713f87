"""A PostgreSQL server of the tests' own, on a free port of this machine, that can be stopped."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEBIAN = Path("/usr/lib/postgresql")  # not on the PATH there
PASSWORD = "s3cret"


def program(name: str) -> str | None:
    """Return where a program of PostgreSQL's is, or None."""
    folders = [os.environ["PATH"], *map(str, sorted(DEBIAN.glob("*/bin")))]
    return shutil.which(name, path=os.pathsep.join(folders))


class PostgresCluster:
    """A server with an empty database."""

    def __init__(self, data: Path, user: str | None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._data = data
        self._user = user
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"postgresql+psycopg://cxr:{PASSWORD}@127.0.0.1:{self._port}/postgres"

    def make(self, password_file: Path) -> None:
        """Write its files."""
        options = ["--username=cxr", "--auth=scram-sha-256", f"--pwfile={password_file}"]
        command = [program("initdb"), "--no-sync", *options, self._data]
        subprocess.run(command, user=self._user, check=True, stdout=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        """Return when it takes connections, which it may do already."""
        if self._server is not None:
            return
        options = {
            "port": self._port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
        }
        command = [program("postgres"), "-D", str(self._data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        self._server = subprocess.Popen(
            command, user=self._user, stderr=subprocess.DEVNULL, cwd="/"
        )
        while not self._is_ready():
            if self._server.poll() is not None:
                raise RuntimeError("postgres did not start")
            time.sleep(0.05)

    def stop(self) -> None:
        """Return when it is gone, and with it every connection."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait()
            self._server = None

    def _is_ready(self) -> bool:
        pidfile = self._data / "postmaster.pid"
        return pidfile.exists() and pidfile.read_text().splitlines()[-1].strip() == "ready"


@contextmanager
def postgres_cluster() -> Iterator[PostgresCluster]:
    """Run a new server; as `nobody` for root, whom PostgreSQL refuses."""
    user = "nobody" if os.getuid() == 0 else None
    # Not below tmp_path: what pytest makes for root, `nobody` can't enter.
    with tempfile.TemporaryDirectory() as folder:
        password_file = Path(folder, "password")
        password_file.write_text(PASSWORD)
        if user:
            for path in (folder, password_file):
                shutil.chown(path, user)
        cluster = PostgresCluster(Path(folder, "data"), user)
        cluster.make(password_file)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
