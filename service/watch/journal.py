"""Store in a SQLite file the films that `cxr watch` received and the answers it has to send.

A film is in it from before its sender gets the confirmation until it is answered; an answer, until
it is sent. Afterwards a hash of the film's UID remains, so that the film is not answered again.
"""

import hashlib
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

SCHEMA = """
CREATE TABLE IF NOT EXISTS films (
    key TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    film BLOB,
    attempts INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS objects (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL REFERENCES films,
    object BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS waiting_films ON films (due) WHERE state = 'came';
CREATE INDEX IF NOT EXISTS waiting_objects ON objects (due);
"""
HELD = """
SELECT coalesce((SELECT sum(length(film)) FROM films WHERE state = 'came'), 0)
    + coalesce((SELECT sum(length(object)) FROM objects), 0)
"""

State = Literal["came", "answered", "unusable"]
Clock = Callable[[], float]


class JournalFullError(OSError):
    """The films and objects that wait have as many bytes as is allowed."""


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
        self, path: Path, *, max_bytes: int, retry_seconds: float, clock: Clock = time.time
    ) -> None:
        """Open a journal, or make a new one.

        Raises:
            OSError: It can't be written.
            ValueError: It is not a journal, or another process has it open.
        """
        self.retry_seconds = retry_seconds
        self._max_bytes, self._clock, self._lock = max_bytes, clock, threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        self._database = sqlite3.connect(path, check_same_thread=False, timeout=1)
        try:
            self._prepare()
        except sqlite3.Error as error:
            raise ValueError(f"the journal {path} can't be used: {error}") from error

    def _prepare(self) -> None:
        for pragma in (
            "locking_mode = EXCLUSIVE",
            "journal_mode = WAL",
            "synchronous = FULL",
            "secure_delete = ON",
        ):
            self._database.execute(f"PRAGMA {pragma}")
        with self._database:
            self._database.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def knows(self, key: str) -> bool:
        """Return whether a film has come before."""
        return bool(self._rows("SELECT 1 FROM films WHERE key = ?", key))

    def take_in(self, key: str, film: bytes) -> bool:
        """Store a film, on disk when this returns; return whether it is new.

        Raises:
            JournalFullError: Too many bytes wait already.
            sqlite3.Error: The disk is full or broken.
        """
        if self.knows(key):
            return False
        [(held,)] = self._rows(HELD)
        if held + len(film) > self._max_bytes:
            raise JournalFullError(f"more than {self._max_bytes} bytes would wait")
        columns = "(key, state, film, due) VALUES (?, 'came', ?, ?)"
        with self._lock, self._database as database:
            done = database.execute(
                f"INSERT OR IGNORE INTO films {columns}", (key, film, self._clock())
            )
        return done.rowcount == 1

    def next_film(self) -> Waiting | None:
        """Return the film that has waited longest to be examined; None if there is none now."""
        return self._next("SELECT rowid, key, film FROM films WHERE state = 'came' AND due <= ?")

    def next_object(self) -> Waiting | None:
        """Return the object that has waited longest to be sent; None if there is none now."""
        return self._next("SELECT id, key, object FROM objects WHERE due <= ?")

    def answered(self, key: str, objects: Sequence[bytes]) -> None:
        """Store the answer to a film, and delete the film."""
        rows = [(key, one, self._clock()) for one in objects]
        with self._lock, self._database as database:
            database.executemany("INSERT INTO objects (key, object, due) VALUES (?, ?, ?)", rows)
            _set_state(database, key, "answered")

    def unusable(self, key: str) -> None:
        """Delete a film that can't be answered."""
        with self._lock, self._database as database:
            _set_state(database, key, "unusable")

    def done(self, waiting: Waiting) -> None:
        """Delete an object that was sent, or that the destination refuses."""
        with self._lock, self._database as database:
            database.execute("DELETE FROM objects WHERE id = ?", (waiting.id,))

    def postpone_film(self, waiting: Waiting) -> float:
        """Delay the next attempt at a film, twice as long each time; return the seconds."""
        return self._postpone("films", "rowid", waiting)

    def postpone_object(self, waiting: Waiting) -> float:
        """Delay the next attempt at an object, as `postpone_film` does."""
        return self._postpone("objects", "id", waiting)

    def waiting(self) -> dict[str, int]:
        """Return how many films and objects wait."""
        [(films,)] = self._rows("SELECT count(*) FROM films WHERE state = 'came'")
        [(objects,)] = self._rows("SELECT count(*) FROM objects")
        return {"films": films, "objects": objects}

    def _next(self, query: str) -> Waiting | None:
        found = self._rows(f"{query} ORDER BY due, 1 LIMIT 1", self._clock())
        return Waiting(*found[0]) if found else None

    def _postpone(self, table: str, number: str, waiting: Waiting) -> float:
        with self._lock, self._database as database:
            [(attempts,)] = database.execute(
                f"SELECT attempts FROM {table} WHERE {number} = ?", (waiting.id,)
            )
            seconds = min(2.0 ** min(attempts, 30), self.retry_seconds)
            database.execute(
                f"UPDATE {table} SET attempts = attempts + 1, due = ? WHERE {number} = ?",
                (self._clock() + seconds, waiting.id),
            )
        return seconds

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(query, values).fetchall()


def _set_state(database: sqlite3.Connection, key: str, state: State) -> None:
    database.execute("UPDATE films SET state = ?, film = NULL WHERE key = ?", (state, key))
