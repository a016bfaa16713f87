"""Measure how long the server takes to be ready, in fresh processes with the default model.

    python benchmarks/start_up.py [--times 7]

Seconds from the start of the process to the first 200 of /health/ready, when the model is loaded,
checked and warm. CXR_MODELS in the environment measures another model.
"""

import argparse
import statistics
import subprocess
import sys
import time
import urllib.request
from socket import socket

POLL_SECONDS = 0.01
TIMEOUT_SECONDS = 60


def seconds_until_ready() -> float:
    """Return the seconds that a new server takes to be ready.

    Raises:
        ChildProcessError: It ended, or was not ready in time.
    """
    port = free_port()
    start = time.perf_counter()
    command = [sys.executable, "-m", "service", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            while server.poll() is None and time.perf_counter() - start < TIMEOUT_SECONDS:
                if answers(f"http://127.0.0.1:{port}/health/ready"):
                    return time.perf_counter() - start
                time.sleep(POLL_SECONDS)
        finally:
            server.terminate()
    raise ChildProcessError(f"the server was not ready within {TIMEOUT_SECONDS} s, or ended")


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Return whether a GET succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
            return bool(answer.status == 200)
    except OSError:  # nothing listens yet, or the status is an error
        return False


def loads_torch() -> bool:
    """Return whether `import service.app` loads PyTorch, in a fresh process."""
    script = "import sys, service.app; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE)
    return done.stdout.strip() == b"True"


def main() -> None:
    """Print the median, and whether PyTorch was loaded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=7, help="processes to start")
    seconds = [seconds_until_ready() for _ in range(parser.parse_args().times)]
    print(
        f"ready after {statistics.median(seconds):.2f} s (median of {len(seconds)}; "
        f"{min(seconds):.2f} to {max(seconds):.2f} s)"
    )
    print(f"torch in sys.modules after `import service.app`: {loads_torch()}")


if __name__ == "__main__":
    main()
