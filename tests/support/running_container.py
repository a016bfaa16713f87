"""Our image, built and run by podman as operators run it: read-only, without capabilities."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from tests.conftest import SHARED

ROOT = Path(__file__).parents[2]
BASE = "docker.io/library/python:3.11-slim-bookworm"
# Where pip finds its index and whom it trusts, if this machine says so in these files.
SECRETS = {"pipconf": "/etc/pip.conf", "ca": "/etc/ssl/certs/ca-certificates.crt"}
BUILD_SECONDS = 540
CONFINED = (
    "--read-only",
    "--read-only-tmpfs=false",  # podman would mount one on /tmp, docker would not
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--memory=1g",
    "--pids-limit=100",
)
ENVIRONMENT = os.environ | (
    {"CONTAINERS_CONF": str(file)}
    if (file := SHARED / "container/containers.conf").exists()
    else {}
)


def podman(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run podman."""
    done = subprocess.run(
        ["podman", *words],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd=ROOT,
        timeout=BUILD_SECONDS,
    )
    if check and done.returncode:
        raise RuntimeError(f"podman {words[0]} ended with {done.returncode}: {done.stderr}")
    return done


def what_is_missing() -> str | None:
    """Return why no image can be built here, or None."""
    if not shutil.which("podman"):
        return "podman is not installed"
    if podman("image", "exists", BASE, check=False).returncode:
        return f"{BASE} is not on this machine, and the tests pull nothing"
    return None


def build(tag: str, **arguments: str) -> str:
    """Build the image, without a pull, and return its tag."""
    files = {name: file for name, file in SECRETS.items() if Path(file).exists()}
    secrets = [f"--secret=id={name},src={file}" for name, file in files.items()]
    arguments = {"PYTHON_IMAGE": BASE} | arguments  # what is here has another digest than the hub's
    chosen = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    how = ("--pull=never", "--format=docker", "--isolation=chroot", "--network=host", "--layers")
    podman("build", *how, *secrets, *chosen, f"--tag={tag}", ".")
    return tag


@dataclass(frozen=True)
class Container:
    """A container that runs.

    Attributes:
        id: Its name for podman.
        client: Asks the server in it.
        seconds: How long it took from `podman run` to ready.
    """

    id: str
    client: httpx.Client
    seconds: float

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container."""
        return podman("exec", self.id, *words, check=False)

    def memory(self, figure: Literal["VmRSS", "VmHWM"]) -> int:
        """Return the bytes that the server's own process has in memory, or had at most."""
        status = self.run("cat", "/proc/1/status").stdout
        return 1024 * int(status.partition(f"{figure}:")[2].split()[0])


@contextmanager
def running(image: str, *options: str) -> Iterator[Container]:
    """Run a confined container, ask no key there, wait until it is ready; remove it in the end."""
    started = time.monotonic()
    publish = ("--publish=127.0.0.1::8000", "--env=CXR_AUTH=off")
    id = podman("run", "--detach", *publish, *CONFINED, *options, image).stdout.strip()
    try:
        address = podman("port", id, "8000").stdout.strip()
        with httpx.Client(base_url=f"http://{address}", timeout=60) as client:
            _wait_until_ready(client, id)
            yield Container(id, client, time.monotonic() - started)
    finally:
        podman("rm", "--force", "--time=0", id)


def _wait_until_ready(client: httpx.Client, id: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if client.get("/health/ready").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.02)
    raise RuntimeError(f"not ready after a minute: {podman('logs', id).stderr}")
