"""Receive chest films over DICOM and answer each with DICOM objects: `cxr watch`."""

import argparse
import asyncio
import sys
from importlib.util import find_spec
from logging.config import dictConfig
from pathlib import Path

from models.film_files.quiet_libraries import ignore_warnings, silence_logs
from service.observability.logs import log_config
from service.settings import read_settings
from service.watch.failures import failure_line, read_failures
from service.watch.journal import forget_given_up
from service.watch.settings import WatchSettings, read_journal_path, read_watch_settings

PACKAGES = ("highdicom", "pynetdicom", "dicomweb_client")
LIBRARIES = (*PACKAGES, "pydicom", "requests", "urllib3")
"""They log and warn of values, some of which are patients' names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments; the rest comes from the environment (`CXR_WATCH_...`)."""
    parser.add_argument(
        "--listen", type=int, metavar="PORT", help="listen as a DICOM node on this port"
    )
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument(
        "--exposed", action="store_true", default=None, help="let other machines send films"
    )
    parser.add_argument("--ae-title", help="our own name among DICOM nodes (default CXR)")
    parser.add_argument(
        "--callers", help="names of the only nodes that may send, separated by commas"
    )
    parser.add_argument("--poll", metavar="URL", help="ask this DICOMweb server for films")
    parser.add_argument(
        "--send-to", metavar="AE@HOST:PORT", help="the DICOM node that gets the answers"
    )
    parser.add_argument("--stow", metavar="URL", help="the DICOMweb server that gets the answers")
    parser.add_argument(
        "--journal", type=Path, help="SQLite file of films received and answers to be sent"
    )
    parser.add_argument(
        "--model", metavar="NAME", help="model that answers (default: the server's)"
    )
    parser.add_argument(
        "--failed", action="store_true", help="list what failed or was given up, and why; then end"
    )
    parser.add_argument(
        "--forget", action="store_true", help="delete the content of what was given up; then end"
    )


def run(arguments: argparse.Namespace) -> int:
    """Watch until SIGTERM or SIGINT; or list what failed, or forget it.

    Raises:
        OSError: The address can't be listened on, or a file can't be used.
        ValueError: The settings, the model or the journal have a fault, or a package is missing.
    """
    if arguments.failed or arguments.forget:
        return _look_after(read_journal_path(arguments.journal), arguments.forget)
    if missing := [package for package in PACKAGES if find_spec(package) is None]:
        raise ValueError(f"the package {missing[0]} is missing: pip install '.[watch]'")
    from service.watch.jobs import watch  # not at the top: it needs these packages

    names = WatchSettings.model_fields
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    settings = read_watch_settings(**{name: given[name] for name in given if name in names})
    service = read_settings()
    dictConfig(log_config(service.log_format))
    for library in LIBRARIES:
        silence_logs(library)
        ignore_warnings(library)
    asyncio.run(watch(settings, service, arguments.model))
    return 0


def _look_after(journal: Path, is_forgotten: bool) -> int:
    if is_forgotten:
        forget_given_up(journal)
    for failure in read_failures(journal):
        sys.stdout.write(f"{failure_line(failure)}\n")
    return 0
