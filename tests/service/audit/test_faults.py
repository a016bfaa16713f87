import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import create_engine

from service.audit.database import METADATA, READ_LIMIT, VERSION_TABLE, WRITE_LOCK
from service.audit.rows import AuditQuery, KeptRow
from service.audit.trail import AuditTrail, open_audit_trail
from service.problems import AuditUnavailable
from tests.support.audit_rows import EVERYTHING, NOON, open_file, request_ids, row, without_id
from tests.support.postgres_cluster import PASSWORD, PostgresCluster, postgres_cluster, program
from tests.support.waiting import wait_until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.sqlite"


@pytest.fixture
def trail(path: Path) -> Iterator[AuditTrail]:
    trail = open_file(path)
    trail.write(row(request_id="before"))
    yield trail
    trail.close()


def fails(trail: AuditTrail) -> str:
    """Return the title of the problem that a client gets instead of an answer."""
    with pytest.raises(AuditUnavailable) as problem:
        trail.write(row(request_id="during"))
    assert (problem.value.status, problem.value.headers) == (503, {"Retry-After": "10"})
    return problem.value.title()


def works_again(trail: AuditTrail) -> bool:
    trail.write(row(request_id="after"))
    return request_ids(trail) == ["before", "after"]


def filled(write: Callable[[], object]) -> int:
    """Return how many rows went in before one did not."""
    for rows in range(10_000):
        try:
            write()
        except AuditUnavailable:
            return rows
    raise RuntimeError("it is never full")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a quarter of a megabyte."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)]
    with suppress(FileNotFoundError):
        if subprocess.run(mount, capture_output=True).returncode == 0:
            yield tmp_path
            subprocess.run(["umount", str(tmp_path)], check=True)
            return
    pytest.skip("a small disk can be mounted by root alone")


def test_a_full_disk_gives_no_answer_and_loses_no_row(small_disk: Path, caplog):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(96 * 1024))
    trail = open_file(small_disk / "audit.sqlite")
    rows = filled(lambda: trail.write(row()))
    assert "database or disk is full" in caplog.text
    assert rows == len(trail.rows(EVERYTHING)) > 0
    ballast.unlink()
    trail.write(row())
    assert len(trail.rows(EVERYTHING)) == rows + 1
    trail.close()


def test_a_quota_that_is_used_up_is_the_same(trail: AuditTrail):
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (128 * 1024, most))
    try:
        rows = filled(lambda: trail.write(row()))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    trail.write(row())
    assert len(trail.rows(EVERYTHING)) == 1 + rows + 1


@contextmanager
def not_root() -> Iterator[None]:
    """Be `nobody`, as whom permissions hold."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that `nobody` may write in, and enter through pytest's own."""
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents[:3]:  # one more where tests run side by side
        parent.chmod(0o755)
    return tmp_path


def test_a_file_that_may_not_be_written_is_refused_at_start(open_folder: Path):
    path = open_folder / "audit.sqlite"
    open_file(path).close()
    path.chmod(0o444)
    with not_root(), pytest.raises(PermissionError, match=r"audit\.sqlite"):
        open_file(path)


def test_a_file_that_became_read_only_gives_no_answer(open_folder: Path, caplog):
    path = open_folder / "audit.sqlite"
    trail = open_file(path)
    trail.write(row(request_id="before"))
    trail.close()  # a connection that is open may write on; the next can't
    path.chmod(0o444)
    with not_root():
        fails(trail)
    assert "attempt to write a readonly database" in caplog.text
    path.chmod(0o666)
    assert works_again(trail)
    trail.close()


def test_a_file_that_was_deleted_is_missed(trail: AuditTrail, path: Path):
    aside = path.rename(path.with_name("aside"))
    assert fails(trail) == fails(trail) == "Audit unavailable"
    assert not path.exists()
    aside.rename(path)
    assert works_again(trail)


def test_a_new_file_in_its_place_is_not_taken_for_it(trail: AuditTrail, path: Path, caplog):
    path.unlink()
    path.touch()
    fails(trail)
    assert "no such table" in caplog.text


def test_a_backup_in_its_place_is_used(trail: AuditTrail, path: Path):
    backup = path.with_name("backup")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    path.unlink()
    fails(trail)
    backup.rename(path)
    assert works_again(trail)


def test_a_restart_makes_a_new_file_where_it_was_deleted(trail: AuditTrail, path: Path):
    path.unlink()
    restarted = open_file(path)
    assert request_ids(restarted) == []
    restarted.write(row())
    restarted.close()


def test_old_rows_that_cannot_be_deleted_keep_no_answer_back(path: Path, caplog):
    now = NOON
    trail = open_file(path, 1, clock=lambda: now)
    trail.write(row(request_id="before"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TRIGGER no BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    now = NOON + timedelta(days=2)
    assert works_again(trail)
    assert "old audit rows could not be deleted" in caplog.text
    trail.close()


LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_file_that_another_process_locks_is_waited_for_and_then_given_up(path: Path, monkeypatch):
    monkeypatch.setattr("service.audit.database.TIMEOUT_SECONDS", 0.2)
    trail = open_file(path)
    trail.write(row(request_id="before"))
    command = [sys.executable, "-c", LOCKER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as locker:
        assert locker.stdout.readline() == b"locked\n"
        fails(trail)
        assert request_ids(trail) == ["before"]  # reading goes on
        locker.stdin.close()
    assert works_again(trail)
    trail.close()


def test_a_process_that_is_killed_leaves_every_row_it_had_confirmed(path: Path):
    code = (
        "import sys; from tests.support.audit_rows import *; trail = open_file(Path(sys.argv[1]))\n"
        "for number in range(10**6): trail.write(row()); print(number, flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE
    ) as writer:
        while writer.stdout.readline() != b"20\n":
            pass
        writer.kill()
        confirmed = 21 + len(writer.stdout.readlines())
    trail = open_file(path)
    assert len(trail.rows(EVERYTHING)) in (confirmed, confirmed + 1)
    trail.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    if program("initdb") is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with postgres_cluster() as cluster:
        yield cluster


@pytest.fixture
def postgres(cluster: PostgresCluster) -> Iterator[AuditTrail]:
    trail = open_audit_trail(SecretStr(cluster.url), None)
    trail._database.delete_before(NOON.replace(year=2100))
    yield trail
    trail.close()
    cluster.start()


def test_postgresql_keeps_what_sqlite_keeps(postgres: AuditTrail):
    rows = [row(decisions={"normal": None}, key_id=None), row(time=NOON.replace(microsecond=7))]
    for one in rows:
        postgres.write(one)
    assert [without_id(kept) for kept in postgres.rows(EVERYTHING)] == rows
    assert [kept.time for kept in postgres.rows(AuditQuery(since=rows[1].time))] == [rows[1].time]


def test_the_migrations_make_the_table_in_postgresql_as_well(
    postgres: AuditTrail, cluster: PostgresCluster
):
    engine = create_engine(cluster.url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_servers_that_open_postgresql_together_do_not_get_in_each_others_way(
    cluster: PostgresCluster,
):
    engine = create_engine(cluster.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS audit, audit_version")
    engine.dispose()
    url = SecretStr(cluster.url)
    with ThreadPoolExecutor(4) as threads:
        trails = list(threads.map(lambda _: open_audit_trail(url, None), range(4)))
    for trail in trails:
        trail.write(row())
        trail.close()


def test_a_database_that_went_away_and_came_back_is_used_again(
    postgres: AuditTrail, cluster: PostgresCluster, caplog
):
    postgres.write(row(request_id="before"))
    cluster.stop()
    assert fails(postgres) == fails(postgres) == "Audit unavailable"
    assert "127.0.0.1" in caplog.text
    assert PASSWORD not in caplog.text
    cluster.start()
    assert works_again(postgres)


def test_an_outage_under_load_loses_and_doubles_no_row(
    postgres: AuditTrail, cluster: PostgresCluster
):
    ended, confirmed = threading.Event(), []

    def write_on(thread: int) -> None:
        number = 0
        while not ended.is_set():
            number += 1
            with suppress(AuditUnavailable):
                postgres.write(row(request_id=f"{thread}-{number}"))
                confirmed.append(f"{thread}-{number}")

    with ThreadPoolExecutor(4) as threads:
        for thread in range(4):
            threads.submit(write_on, thread)
        for step in (cluster.stop, cluster.start):
            ended.wait(0.3)
            step()
        ended.wait(0.3)
        ended.set()
    kept = every_request_id(postgres)
    assert len(kept) == len(set(kept))
    assert set(confirmed) <= set(kept)


def test_a_table_that_another_locks_is_given_up(
    postgres: AuditTrail, cluster: PostgresCluster, monkeypatch
):
    hurried = [line.replace("5s", "200ms") for line in WRITE_LOCK["postgresql"]]
    monkeypatch.setitem(WRITE_LOCK, "postgresql", hurried)
    postgres.write(row(request_id="before"))
    engine = create_engine(cluster.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE audit IN SHARE MODE")
        fails(postgres)
    engine.dispose()
    assert works_again(postgres)


def test_a_query_of_a_table_that_another_locks_is_given_up(
    postgres: AuditTrail, cluster: PostgresCluster, monkeypatch
):
    hurried = [line.replace("5s", "200ms") for line in READ_LIMIT["postgresql"]]
    monkeypatch.setitem(READ_LIMIT, "postgresql", hurried)
    postgres.write(row(request_id="before"))
    engine = create_engine(cluster.url)
    with ThreadPoolExecutor(1) as threads, engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE audit IN ACCESS EXCLUSIVE MODE")
        asked = threads.submit(postgres.rows, EVERYTHING)
        assert isinstance(asked.exception(timeout=10), AuditUnavailable)
    engine.dispose()
    assert works_again(postgres)


def test_a_client_that_reads_on_misses_no_row_of_two_servers(
    postgres: AuditTrail, cluster: PostgresCluster
):
    other = open_audit_trail(SecretStr(cluster.url), None)
    seen: list[KeptRow] = []
    with ThreadPoolExecutor(4) as threads:
        writes = [threads.submit(server.write, row()) for server in [postgres, other] * 150]
        while not all(write.done() for write in writes):
            seen += postgres.rows(AuditQuery(after=seen[-1].id if seen else 0))
    seen += postgres.rows(AuditQuery(after=seen[-1].id, limit=1000))
    other.close()
    assert len({one.id for one in seen}) == len(seen) == len(writes)


def test_a_database_that_hangs_holds_one_thread_alone(
    postgres: AuditTrail, cluster: PostgresCluster, monkeypatch
):
    monkeypatch.setattr("service.audit.trail.LONGEST_WAIT_SECONDS", 0.2)
    postgres.write(row(request_id="before"))
    with ThreadPoolExecutor(1) as threads, frozen(backends(cluster)):
        held = threads.submit(postgres.write, row(request_id="held"))
        wait_until(postgres._turn.locked)
        fails(postgres)
        assert not held.done()
    held.result()
    postgres.write(row(request_id="after"))
    assert request_ids(postgres)[:2] == ["before", "held"]


@contextmanager
def frozen(processes: list[int]) -> Iterator[None]:
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def backends(cluster: PostgresCluster) -> list[int]:
    """Return the processes that serve the other connections."""
    others = (
        "SELECT pid FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' AND pid != pg_backend_pid()"
    )
    engine = create_engine(cluster.url)
    with engine.connect() as connection:
        found = list(connection.exec_driver_sql(others).scalars())
    engine.dispose()
    return found


def every_request_id(trail: AuditTrail) -> list[str]:
    found, after = [], 0
    while page := trail.rows(AuditQuery(after=after, limit=1000)):
        found += [kept.request_id for kept in page]
        after = page[-1].id
    return found
