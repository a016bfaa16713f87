"""Keeps imaging libraries from repeating what stands in a film: it may be a patient's name."""

import logging
import re
import warnings


def silence_logs(*libraries: str) -> None:
    """Stop the libraries' logging; they log header values, some with every tag at DEBUG."""
    for library in libraries:
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)


def ignore_warnings(library: str) -> None:
    """Ignore warnings raised inside `library`, from now on and in all threads.

    Called for each film, since others may have reset the filters. `warnings.catch_warnings` would
    look tidier, but restores another thread's filters.
    """
    module = rf"{library}\b"
    if ("ignore", None, Warning, re.compile(module), 0) not in warnings.filters:
        warnings.filterwarnings("ignore", module=module)
