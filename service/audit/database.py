"""Read and write the audit trail's table in SQLite or PostgreSQL.

Needs the extra `audit`; imported only when the audit trail is on. A statement that fails is never
tried again here: it may have taken effect before the connection broke, and a row must not be stored
twice.
"""

import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    URL,
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    Double,
    Engine,
    Index,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    TypeDecorator,
    create_engine,
    delete,
    event,
    insert,
    make_url,
    select,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DisconnectionError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from service.audit.rows import AuditQuery, AuditRow, KeptRow
from service.problems import AuditUnavailable

TIMEOUT_SECONDS = 5
"""Longest wait for a connection, for a lock that another server or program holds, and (in
PostgreSQL) for any statement."""

DELETED_AT_ONCE = 10_000
"""Rows deleted by one statement; more would keep writers waiting."""

VERSION_TABLE = "audit_version"
"""Alembic's table of the revision; its usual name may be taken in a shared database."""

log = logging.getLogger(__name__)


class UtcTime(TypeDecorator[datetime]):
    """A time read in UTC: SQLite forgets time zones, and PostgreSQL returns its own."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time in UTC."""
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time as it was put in."""
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


METADATA = MetaData()
AUDIT = Table(
    "audit",
    METADATA,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("time", UtcTime(), nullable=False),
    Column("request_id", Text(), nullable=False),
    Column("key_id", Text()),
    Column("verb", Text(), nullable=False),
    Column("model", Text(), nullable=False),
    Column("version", Text(), nullable=False),
    Column("model_sha256", Text(), nullable=False),
    Column("film_sha256", Text(), nullable=False),
    Column("probabilities", JSON(), nullable=False),
    Column("decisions", JSON(), nullable=False),
    Column("in_distribution", Boolean(), nullable=False),
    Column("distance", Double(), nullable=False),
    Column("status", Text(), nullable=False),
    Column("refusals", JSON(none_as_null=True)),
    Column("novelty", Double()),
    Column("is_decided", Boolean()),
    Column("prediction_set", JSON(none_as_null=True)),
    Column("mask", JSON(none_as_null=True)),
    Column("predicted_class", Text()),
    Column("map_statuses", JSON(none_as_null=True)),
    Index("audit_time", "time"),
    Index("audit_film", "film_sha256"),
    sqlite_autoincrement=True,  # a deleted row's id is not used again
)

READ_LIMIT = {
    "sqlite": [],
    "postgresql": [f"SET LOCAL statement_timeout = '{TIMEOUT_SECONDS}s'"],
}
# One writer at a time, of all servers: rows become visible in the order of their ids, so that a
# client that reads on `after` an id misses none; and two servers that start don't both migrate.
WRITE_LOCK = {
    "sqlite": ["BEGIN IMMEDIATE"],
    "postgresql": [
        *READ_LIMIT["postgresql"],
        "SELECT pg_advisory_xact_lock(hashtext('chest-xray-explainer audit'))",
    ],
}


class AuditDatabase:
    """The audit trail's table in a database, brought up to date when it is opened.

    Every method raises AuditUnavailable when the database fails.
    """

    def __init__(self, url: str) -> None:
        """Open a database and bring its table up to date.

        Raises:
            OSError: The folder of the SQLite file is absent or can't be written.
            ValueError: The URL is not of a supported kind, or the database can't be opened, or is
                newer than this program.
        """
        self._engine = _engine(_parsed(url))
        try:
            with self._begun(WRITE_LOCK) as connection:
                _migrate(connection)
        except SQLAlchemyError as error:
            raise ValueError(
                f"audit_url must name a database that can be opened and written: {_cause(error)}"
            ) from None
        finally:
            self._engine.dispose()  # a database that is refused must not stay open

    def add(self, rows: Sequence[AuditRow]) -> None:
        """Add rows, all or none."""
        with self._reporting_faults(), self._begun(WRITE_LOCK) as connection:
            connection.execute(insert(AUDIT), [row.model_dump() for row in rows])

    def delete_before(self, time: datetime) -> None:
        """Delete the rows that are older."""
        oldest = select(AUDIT.c.id).where(AUDIT.c.time < time).limit(DELETED_AT_ONCE)
        deleted = DELETED_AT_ONCE
        while deleted == DELETED_AT_ONCE:
            with self._reporting_faults(), self._begun(WRITE_LOCK) as connection:
                deleted = connection.execute(delete(AUDIT).where(AUDIT.c.id.in_(oldest))).rowcount

    def rows(self, query: AuditQuery) -> list[KeptRow]:
        """Return the rows that were asked for, oldest first."""
        with self._reporting_faults(), self._begun(READ_LIMIT) as connection:
            return [KeptRow(**row) for row in connection.execute(_selected(query)).mappings()]

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _begun(self, statements: Mapping[str, Sequence[str]]) -> Iterator[Connection]:
        """Yield a transaction that begins with the statements for this kind of database."""
        with self._engine.begin() as connection:
            for statement in statements[self._engine.dialect.name]:
                connection.exec_driver_sql(statement)
            yield connection

    @contextmanager
    def _reporting_faults(self) -> Iterator[None]:
        """Log a fault of the database and raise AuditUnavailable."""
        try:
            yield
        except SQLAlchemyError as error:
            # A connection to a file that was read-only stays read-only.
            self._engine.dispose()
            log.error("the audit trail's database: %s", _cause(error))
            raise AuditUnavailable(
                "The audit trail can't be reached, and nothing is answered without it; ask again."
            ) from None


def _cause(error: SQLAlchemyError) -> str:
    """Return the driver's first line: it names host and user, but neither password nor row."""
    return str(getattr(error, "orig", None) or error).partition("\n")[0]


def _selected(query: AuditQuery) -> Select[tuple[object, ...]]:
    rows = select(AUDIT).where(AUDIT.c.id > query.after).order_by(AUDIT.c.id).limit(query.limit)
    if query.since:
        rows = rows.where(AUDIT.c.time >= query.since)
    if query.until:
        rows = rows.where(AUDIT.c.time < query.until)
    for name in ("model", "key_id", "film_sha256", "request_id", "is_decided"):
        if (value := getattr(query, name)) is not None:
            rows = rows.where(AUDIT.c[name] == value)
    return rows


def _parsed(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = URL.create("none")  # the error may quote a password
    if url.drivername not in ("sqlite", "postgresql+psycopg") or not url.database:
        raise ValueError(
            "audit_url must be sqlite:////path/to/file or "
            "postgresql+psycopg://user:password@host/database"
        )
    if "@" in (url.host or ""):
        raise ValueError("audit_url must have the password's @ written as %40")
    return url


def _engine(url: URL) -> Engine:
    settings: dict[str, Any] = {
        "pool_pre_ping": True,
        "pool_timeout": TIMEOUT_SECONDS,
        "hide_parameters": True,
    }
    if url.drivername == "sqlite":
        return _sqlite_engine(Path(str(url.database)).absolute(), settings)
    return create_engine(
        url,
        connect_args={
            "connect_timeout": TIMEOUT_SECONDS,
            "keepalives_idle": TIMEOUT_SECONDS,
            "tcp_user_timeout": 1000 * TIMEOUT_SECONDS,
        },
        **settings,
    )


def _sqlite_engine(path: Path, settings: dict[str, Any]) -> Engine:
    """Return an engine for one file, which only its owner may read."""
    path.touch(mode=0o600)

    def connect() -> sqlite3.Connection:
        # Not `rwc`: a deleted file must be an error, not replaced by an empty one.
        uri = f"{path.as_uri()}?mode=rw"
        connection = sqlite3.connect(
            uri, uri=True, timeout=TIMEOUT_SECONDS, check_same_thread=False
        )
        with suppress(sqlite3.OperationalError):  # locked by another server that does the same
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # NORMAL forgets rows when power fails
        return connection

    engine = create_engine("sqlite:///file", creator=connect, **settings)

    @event.listens_for(engine, "connect")
    def remember_file(_connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        record.info["file"] = _file_identity(path)

    @event.listens_for(engine, "checkout")
    def check_file(
        _connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection
    ) -> None:
        # An open connection goes on writing into a deleted file, without an error.
        if record.info["file"] != _file_identity(path):
            raise DisconnectionError("the file is not the one that was opened")

    return engine


def _file_identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _migrate(connection: Connection) -> None:
    """Run the revisions that the database lacks."""
    config = Config()
    config.set_main_option("script_location", "service.audit:migrations")
    config.attributes["connection"] = connection
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    revision = context.get_current_revision()
    if revision not in (None, *known):
        raise ValueError(
            f"audit_url must name a database as old as this program, which knows {known[0]}, "
            f"not {revision}; install the newer program"
        )
    command.upgrade(config, "head")
