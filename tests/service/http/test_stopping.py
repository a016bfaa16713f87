"""A server process with few files, and one that is told to stop."""

import resource
import socket
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.support.running_server import started

FEW_FILES = 120


def connection_to(address: str) -> socket.socket:
    server = urlsplit(address)
    return socket.create_connection((server.hostname, server.port), timeout=60)


def test_where_few_files_are_allowed_150_idle_connections_keep_nobody_out(model_file: Path):
    few = (FEW_FILES, FEW_FILES)
    with (
        started(
            "--models",
            str(model_file),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, few),
        ) as (_, address),
        ExitStack() as stack,
    ):
        for _ in range(150):
            stack.enter_context(connection_to(address))
        for _ in range(20):
            assert httpx.get(f"{address}/health/live", timeout=60).status_code == 200


def test_a_server_that_is_told_to_stop_ends_half_sent_bodies_early(model_file: Path, monkeypatch):
    monkeypatch.setenv("CXR_GRACE_SECONDS", "15")
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
    with started("--models", str(model_file)) as (process, address):
        with connection_to(address) as connection:
            connection.sendall(head + b"Expect: 100-continue\r\n\r\nhalf of it")
            assert connection.recv(1000).startswith(b"HTTP/1.1 100")
            process.terminate()
            assert process.wait(14) == 0
        assert "Traceback" not in process.stderr.read()
