"""Store in a SQLite file the films that `cxr watch` received and the answers it has to send.

A film is in it from before its sender gets the confirmation until it is answered; an answer, until
it is sent. Afterwards a hash of the film's UID remains, so that the film is not answered again, and
for what failed a line without content. What was given up keeps its content: nothing is lost.
"""

import fcntl
import hashlib
import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from service.watch.journal_schema import VERSIONS, State

HELD = """
SELECT coalesce((SELECT sum(length(film)) FROM films WHERE state IN ('waiting', 'given up')), 0)
    + coalesce((SELECT sum(length(object)) FROM objects WHERE state IN ('waiting', 'given up')), 0)
"""
MOST_KEPT_FREE = 2**30

Table = Literal["films", "objects", "downloads"]
Clock = Callable[[], float]

log = logging.getLogger(__name__)


class JournalFullError(OSError):
    """The films and objects that wait have as many bytes as is allowed, or their disk is full."""


class Waiting(NamedTuple):
    """A film that waits for an answer, or an object of an answer that waits to be sent.

    Attributes:
        id: Its number in the journal.
        key: Of the film.
        content: A DICOM file.
    """

    id: int
    key: str
    content: bytes


def film_key(sop_instance_uid: str) -> str:
    """Return a name for a film that may be logged: a hash of its UID."""
    return hashlib.sha256(sop_instance_uid.encode()).hexdigest()


class Journal:
    """The journal, for one process; any of its threads may use it.

    Attributes:
        retry_seconds: Longest wait between two attempts at the same thing.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        retry_seconds: float,
        max_faults: int,
        clock: Clock = time.time,
    ) -> None:
        """Open a journal, or make a new one.

        Raises:
            OSError: It can't be written.
            ValueError: It is not a journal, or another process has it open.
        """
        self.retry_seconds = retry_seconds
        self._max_bytes, self._max_faults = max_bytes, max_faults
        self._clock, self._lock, self._folder = clock, threading.Lock(), path.parent
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        self._owner = _locked(path)
        self._database = sqlite3.connect(path, check_same_thread=False, timeout=1)
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._owner.close()
            raise ValueError(f"the journal {path} can't be used: {error}") from error

    def _prepare(self) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
            self._database.execute(f"PRAGMA {pragma}")
        [(version,)] = self._rows("PRAGMA user_version")
        if version > len(VERSIONS):
            raise sqlite3.DatabaseError("a newer version of cxr made it")
        for number, script in enumerate(VERSIONS[version:], version + 1):
            self._database.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT")
        self._empty_log()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()
            self._owner.close()

    def knows(self, key: str) -> bool:
        """Return whether a film has come before."""
        return bool(self._rows("SELECT 1 FROM films WHERE key = ?", key))

    def wants(self, key: str) -> bool:
        """Return whether a film is to be downloaded now: it is unknown, and not postponed."""
        later = "SELECT 1 FROM downloads WHERE key = ? AND (state != 'waiting' OR due > ?)"
        return not self.knows(key) and not self._rows(later, key, self._clock())

    def take_in(self, key: str, film: bytes) -> bool:
        """Store a film, on disk when this returns; return whether it is new.

        Raises:
            JournalFullError: Too many bytes wait already, or the disk has too little room.
            sqlite3.Error: The disk is full or broken.
        """
        if self.knows(key):
            return False
        self._check_room(len(film))
        columns = "(key, state, film, due) VALUES (?, 'waiting', ?, ?)"
        with self._lock, self._database as database:
            done = database.execute(
                f"INSERT OR IGNORE INTO films {columns}", (key, film, self._clock())
            )
            database.execute("DELETE FROM downloads WHERE key = ?", (key,))
        return done.rowcount == 1

    def _check_room(self, size: int) -> None:
        [(held,)] = self._rows(HELD)
        if held + size > self._max_bytes:
            raise JournalFullError(f"more than {self._max_bytes} bytes would wait")
        disk = shutil.disk_usage(self._folder)  # answers need room too, and so does deleting
        if disk.free - size < min(disk.total // 10, MOST_KEPT_FREE):
            raise JournalFullError("the journal's disk is nearly full")

    def next_film(self) -> Waiting | None:
        """Return the film that has waited longest to be examined; None if there is none now."""
        return self._next("SELECT rowid, key, film FROM films")

    def next_object(self) -> Waiting | None:
        """Return the object that has waited longest to be sent; None if there is none now."""
        return self._next("SELECT id, key, object FROM objects")

    def begin(self, film: Waiting) -> None:
        """Write down that a film is being answered, in case that ends the process."""
        with self._lock, self._database as database:
            database.execute("INSERT OR IGNORE INTO in_hand VALUES (?)", (film.id,))

    def postpone_begun(self) -> None:
        """Postpone the film at which the process ended, so that it holds up no other."""
        for (number,) in self._rows("SELECT film FROM in_hand"):
            self._postpone("films", number, "the process ended", is_counted=True)

    def answered(self, key: str, objects: Sequence[bytes]) -> None:
        """Store the answer to a film, and delete the film."""
        rows = [(key, one, self._clock()) for one in objects]
        with self._deleting() as database:
            database.executemany("INSERT INTO objects (key, object, due) VALUES (?, ?, ?)", rows)
            database.execute(
                "UPDATE films SET state = 'answered', film = NULL WHERE key = ?", (key,)
            )
            database.execute("DELETE FROM in_hand")

    def unusable(self, key: str, why: str = "") -> None:
        """Delete a film that can't be answered; a line about it remains."""
        with self._deleting() as database:
            database.execute(
                "UPDATE films SET state = 'unusable', film = NULL, attempts = attempts + 1, "
                "due = ?, why = ? WHERE key = ?",
                (self._clock(), why, key),
            )
            database.execute("DELETE FROM in_hand")

    def done(self, waiting: Waiting) -> None:
        """Delete an object that was sent."""
        with self._deleting() as database:
            database.execute("DELETE FROM objects WHERE id = ?", (waiting.id,))

    def refused(self, waiting: Waiting, why: str) -> None:
        """Delete an object that the destination refuses for good; a line about it remains."""
        with self._deleting() as database:
            database.execute(
                "UPDATE objects SET state = 'refused', object = x'', attempts = attempts + 1, "
                "due = ?, why = ? WHERE id = ?",
                (self._clock(), why, waiting.id),
            )

    def postpone_film(
        self, waiting: Waiting, why: str = "", *, is_counted: bool = True
    ) -> float | None:
        """Delay the next attempt at a film, twice as long each time, or give it up in the end.

        Args:
            waiting: The film.
            why: The kind of error.
            is_counted: Whether the film may be at fault: so many such faults, and it is given up.

        Returns:
            The seconds until the next attempt; None if there will be none.
        """
        return self._postpone("films", waiting.id, why, is_counted)

    def postpone_object(
        self, waiting: Waiting, why: str = "", *, is_counted: bool = True
    ) -> float | None:
        """Delay the next attempt at an object, as `postpone_film` does."""
        return self._postpone("objects", waiting.id, why, is_counted)

    def postpone_download(self, key: str, why: str, *, is_counted: bool = True) -> float | None:
        """Delay the next attempt at downloading a film, as `postpone_film` does."""
        return self._postpone("downloads", self._download(key), why, is_counted)

    def give_up_download(self, key: str, why: str) -> None:
        """Don't download a film again."""
        number = self._download(key)
        with self._lock, self._database as database:
            database.execute(
                "UPDATE downloads SET state = 'given up', due = ?, why = ? WHERE rowid = ?",
                (self._clock(), why, number),
            )

    def try_again(self) -> None:
        """Let what was given up wait for another round of attempts."""
        with self._lock, self._database as database:
            for table in ("films", "objects", "downloads"):
                database.execute(
                    f"UPDATE {table} SET state = 'waiting', attempts = 0, faults = 0, due = ? "
                    "WHERE state = 'given up'",
                    (self._clock(),),
                )

    def forget(self) -> None:
        """Delete the content of what was given up; lines about it remain."""
        with self._deleting() as database:
            for table, change in (
                ("films", "state = 'unusable', film = NULL"),
                ("objects", "state = 'refused', object = x''"),
                ("downloads", "state = 'refused'"),
            ):
                database.execute(f"UPDATE {table} SET {change} WHERE state = 'given up'")

    def waiting(self) -> dict[str, int]:
        """Return how many films and objects wait."""
        [(films,)] = self._rows("SELECT count(*) FROM films WHERE state = 'waiting'")
        [(objects,)] = self._rows("SELECT count(*) FROM objects WHERE state = 'waiting'")
        return {"films": films, "objects": objects}

    def _next(self, query: str) -> Waiting | None:
        query += " WHERE state = 'waiting' AND due <= ? ORDER BY due, 1 LIMIT 1"
        found = self._rows(query, self._clock())
        return Waiting(*found[0]) if found else None

    def _download(self, key: str) -> int:
        with self._lock, self._database as database:
            database.execute("INSERT OR IGNORE INTO downloads (key) VALUES (?)", (key,))
        [(number,)] = self._rows("SELECT rowid FROM downloads WHERE key = ?", key)
        return number

    def _postpone(self, table: Table, number: int, why: str, is_counted: bool) -> float | None:
        [(attempts, faults)] = self._rows(
            f"SELECT attempts, faults FROM {table} WHERE rowid = ?", number
        )
        faults += is_counted
        is_given_up = faults >= self._max_faults
        seconds = 0.0 if is_given_up else pause_seconds(attempts, self.retry_seconds)
        state: State = "given up" if is_given_up else "waiting"
        with self._lock, self._database as database:
            database.execute(
                f"UPDATE {table} SET state = ?, attempts = attempts + 1, faults = ?, due = ?, "
                "why = ? WHERE rowid = ?",
                (state, faults, self._clock() + seconds, why, number),
            )
            if table == "films":
                database.execute("DELETE FROM in_hand")
        return None if is_given_up else seconds

    @contextmanager
    def _deleting(self) -> Iterator[sqlite3.Connection]:
        """Change the file, and leave nothing of what is deleted in its log."""
        with self._lock, self._database as database:
            yield database
        self._empty_log()

    def _empty_log(self) -> None:
        try:
            self._rows("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:  # what is committed stays so; the next change tries again
            log.error("the journal's log can't be emptied now: %s", type(error).__name__)

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(query, values).fetchall()


def pause_seconds(attempts: int, most: float) -> float:
    """Return how long to wait after so many attempts in vain: 1, 2, 4 ... up to `most` seconds."""
    return min(2.0 ** min(attempts, 30), most)


def forget_given_up(path: Path) -> None:
    """Delete the content of what was given up from a journal that no process has open.

    Raises:
        OSError: It can't be written.
        ValueError: It is not a journal, or another process has it open.
    """
    with closing(Journal(path, max_bytes=0, retry_seconds=0, max_faults=1)) as journal:
        journal.forget()


def _locked(path: Path) -> Any:
    """Return an open file that nobody else has while it is open."""
    # Not the journal itself: closing it here would end SQLite's own locks on it.
    lock = path.with_name(f"{path.name}.lock")
    lock.touch(mode=0o600)
    file = lock.open()
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise ValueError(f"the journal {path} is locked: another process has it open") from error
    return file
