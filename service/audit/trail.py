"""Write one row to the audit trail per answer, before the answer is given. Off by default."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr

from service.audit.rows import AuditQuery, AuditRow, KeptRow
from service.problems import AuditUnavailable
from service.settings import Settings

if TYPE_CHECKING:
    from service.audit.database import AuditDatabase

BETWEEN_DELETIONS = timedelta(hours=1)
LONGEST_WAIT_SECONDS = 10
"""Twice the timeout of the database: for the rows before, and for these."""
READS_AT_ONCE = 2
"""Threads that read rows: so many may hang with the database, and none that other work needs."""

T = TypeVar("T")

log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class AuditTrail:
    """Write rows, read them, and delete those older than a number of days.

    Threads that write at the same time share a transaction: the disk confirms a few hundred a
    second, however many rows are in each.
    """

    def __init__(
        self, database: "AuditDatabase", days: int | None, clock: Callable[[], datetime] = _now
    ) -> None:
        """Delete the rows that are too old.

        Args:
            database: Where the rows are.
            days: Age at which they are deleted; None is never.
            clock: The time, aware of its zone.
        """
        self._database = database
        self._days = days
        self._clock = clock
        self._next_deletion = clock()
        self._waiting: deque[tuple[AuditRow, Future[None]]] = deque()
        self._turn = Lock()
        self._readers = ThreadPoolExecutor(READS_AT_ONCE, "audit reader")
        self._delete_old()

    def write(self, row: AuditRow) -> None:
        """Return when the row is on disk; to be called in a worker thread.

        Raises:
            AuditUnavailable: The row may not be on disk. It may be, if the connection broke while
                the database confirmed; the answer must not be given in either case.
        """
        written: Future[None] = Future()
        self._waiting.append((row, written))
        # A database that hangs must hold one thread only, not all that come after.
        if not self._turn.acquire(timeout=LONGEST_WAIT_SECONDS):
            raise AuditUnavailable("The audit trail takes too long; ask again.")
        try:
            if not written.done():
                self._write_waiting()
                self._delete_old()
        finally:
            self._turn.release()
        written.result()

    def rows(self, query: AuditQuery) -> list[KeptRow]:
        """Return the rows that were asked for, oldest first.

        Raises:
            AuditUnavailable: The database can't be read.
        """
        return self._database.rows(query)

    async def reading(self, work: Callable[[], T]) -> T:
        """Return what a function makes that reads rows, in one of the trail's own threads.

        Raises:
            AuditUnavailable: The database can't be read, or is not read in time.
        """
        running = asyncio.get_running_loop().run_in_executor(self._readers, work)
        try:
            return await asyncio.wait_for(running, LONGEST_WAIT_SECONDS)
        except TimeoutError:
            raise AuditUnavailable("The audit trail takes too long; ask again.") from None

    def close(self) -> None:
        """Close the database; a thread that reads it is not waited for."""
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._database.close()

    def _write_waiting(self) -> None:
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            self._database.add([row for row, _ in waiting])
        except Exception as error:  # whatever it is, no thread may wait forever
            for _, written in waiting:
                written.set_exception(error)
        else:
            for _, written in waiting:
                written.set_result(None)

    def _delete_old(self) -> None:
        if self._days is None or self._clock() < self._next_deletion:
            return
        self._next_deletion = self._clock() + BETWEEN_DELETIONS
        try:
            self._database.delete_before(self._clock() - timedelta(days=self._days))
        except AuditUnavailable:
            log.warning("old audit rows could not be deleted; tried again in an hour")


def asked_audit_trail(settings: Settings) -> AuditTrail | None:
    """Return the audit trail of the settings, open; None if they have none.

    Raises:
        OSError, ValueError: See `open_audit_trail`.
    """
    if settings.audit_url is None:
        return None
    return open_audit_trail(settings.audit_url, settings.audit_days)


def open_audit_trail(
    url: SecretStr, days: int | None, clock: Callable[[], datetime] = _now
) -> AuditTrail:
    """Return the audit trail in a database, which is made or brought up to date.

    Args:
        url: `sqlite:////path/to/file` or `postgresql+psycopg://user:password@host/database`.
        days: Age at which rows are deleted; None is never.
        clock: The time, aware of its zone.

    Raises:
        OSError: The folder of the SQLite file is absent or can't be written.
        ValueError: The URL is not of a supported kind, the database can't be opened or is newer
            than this program, or the extra `audit` is not installed.
    """
    try:
        from service.audit.database import AuditDatabase

        database = AuditDatabase(url.get_secret_value())
    except ModuleNotFoundError as error:
        raise ValueError(
            f"audit_url needs {error.name}, which comes with pip install '.[audit]'"
        ) from error
    return AuditTrail(database, days, clock)
