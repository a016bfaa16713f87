"""A real server on a free port, in a thread or in a process of its own."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from prometheus_client import Gauge

from service.http.connections import BoundedProtocol, Connections
from service.settings import Settings


@contextmanager
def serving(app: FastAPI, *, host: str = "127.0.0.1") -> Iterator[httpx.Client]:
    """Run the application in a thread, at an address of this machine, and yield a client of it.

    Not with uvloop: PyTorch's data loaders take the signal from it that says when a process that
    decodes has ended, and a server in the same process would wait for that for ever.
    """
    if not hasattr(app.state, "connections"):  # an application of a test's own
        app.state.connections = Connections(Settings(), Gauge("open", "-", registry=None))
    config = uvicorn.Config(
        app,
        host=host,
        port=0,
        loop="asyncio",
        log_config=None,
        http=BoundedProtocol,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://{host}:{port}", timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def started(*arguments: str, **options: Any) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `python -m service`, with options of `Popen`, and yield the process and its address."""
    command = [sys.executable, "-m", "service", "--port", "0", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options) as process:
        try:
            yield (
                process,
                next(
                    found[0]
                    for line in process.stderr or ()
                    if (found := re.search(r"http://[\d.:]+", line))
                ),
            )
        finally:
            process.terminate()
