"""Run the server: `cxr serve`, or `python -m service`."""

import argparse
import gc
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.audit.trail import asked_audit_trail
from service.http.access import access_rule
from service.http.connections import BoundedProtocol
from service.inference.registry import Registry
from service.observability.logs import log_config
from service.settings import Settings, read_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments; the environment gives those left out (`CXR_PORT`, ...)."""
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default 8000)")
    parser.add_argument(
        "--models",
        type=Path,
        help="an exported model or a folder of them (beside the built-in ones)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted, or told to stop by SIGTERM, which ends the process with status 0.

    Raises:
        OSError: A model can't be read.
        ValueError: The settings or a model have a fault; no server has started.
    """
    given = {
        name: getattr(arguments, name)
        for name in ("host", "port", "models")
        if getattr(arguments, name) is not None
    }
    settings = read_settings(**given)
    access_rule(settings)  # before the models are opened, which takes seconds
    # Opened here: uvicorn would print a traceback for a fault in the lifespan.
    audit_trail = asked_audit_trail(settings)
    app = create_app(settings, registry=Registry(settings), audit_trail=audit_trail)
    gc.freeze()  # what exists by now stays; later collections need not scan it
    before = signal.signal(signal.SIGTERM, _end_well)
    try:
        _serve(app, settings)
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _serve(app: FastAPI, settings: Settings) -> None:
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        http=BoundedProtocol,
        server_header=False,
        proxy_headers=False,  # `service.http.proxies` must see who connects
        log_config=log_config(settings.log_format),
        access_log=False,
        # A second more than connections have: whatever outlives its connection is cancelled then.
        timeout_graceful_shutdown=settings.grace_seconds + 1,
    )


def _end_well(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End the process with status 0: uvicorn repeats a SIGTERM when the server has stopped.

    At once, without waiting for threads: the answer that one works on is wanted no longer.
    """
    sys.stderr.flush()
    os._exit(0)


def main() -> int:
    """Run `python -m service`; a wrong setting ends it with a sentence and status 1."""
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    add_arguments(parser)
    try:
        return run(parser.parse_args())
    except (ValueError, OSError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
