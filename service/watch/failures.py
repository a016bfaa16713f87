"""Read from the journal of `cxr watch` what failed, and why: `cxr watch --failed`."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from service.watch.journal_schema import State

FAILURES = """
SELECT * FROM (
    SELECT 'film' AS what, key, state, attempts, due, why FROM films WHERE state != 'answered'
    UNION ALL SELECT 'object', key, state, attempts, due, why FROM objects
    UNION ALL SELECT 'download', key, state, attempts, due, why FROM downloads
) WHERE state != 'waiting' OR attempts ORDER BY due
"""


class Failure(NamedTuple):
    """Something that failed at least once.

    Attributes:
        what: film, which was to be answered; object, to be sent; or download, of a film.
        key: Of the film.
        state: "waiting" for the next attempt; "given up", content kept; "unusable" or "refused".
        attempts: How often it was tried in vain.
        at: When it is tried again, or when it was given up, in seconds since 1970.
        why: The kind of the last error.
    """

    what: str
    key: str
    state: State
    attempts: int
    at: float
    why: str


def read_failures(path: Path) -> list[Failure]:
    """Return what has failed, first what comes next; a running `cxr watch` isn't disturbed.

    Raises:
        ValueError: There is no journal of this version.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return [Failure(*row) for row in database.execute(FAILURES)]
    except sqlite3.Error as error:
        raise ValueError(f"the journal {path} can't be read: {error}") from error


def failure_line(failure: Failure) -> str:
    """Return a line about a failure, without anything of the patient."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(failure.at))
    state = "next attempt" if failure.state == "waiting" else failure.state
    times = f"tried {failure.attempts} times"
    return f"{at}  {state:<12}  {failure.what:<8}  {failure.key[:12]}  {times}  {failure.why}"
