"""Silence the logs and warnings of imaging libraries: they may quote patient data."""

import logging
import re
import warnings


def silence_logs(*libraries: str) -> None:
    """Silence the libraries' loggers: they log header values, some of them every tag at DEBUG."""
    for library in libraries:
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)


def ignore_warnings(library: str) -> None:
    """Ignore warnings raised inside `library`, from now on and in all threads.

    To be called for each film, because other code may reset the filters.
    """
    # Not `warnings.catch_warnings`: it would restore the filters of another thread.
    module = rf"{library}\b"
    if ("ignore", None, Warning, re.compile(module), 0) not in warnings.filters:
        warnings.filterwarnings("ignore", module=module)
