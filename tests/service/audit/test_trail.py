import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr, ValidationError
from sqlalchemy import create_engine

from service.answers.film_answer import FilmAnswer, answer_film
from service.audit.database import METADATA, VERSION_TABLE
from service.audit.rows import AuditQuery, AuditRow, audit_row
from service.audit.trail import AuditTrail, open_audit_trail
from tests.support.audit_rows import EVERYTHING, NOON, open_file, request_ids, row, without_id
from tests.support.tiny_model import FILM, REFUSED_FILM
from xai.explainer import Explainer

COLUMNS = {
    "id": ("INTEGER", True),
    "time": ("DATETIME", True),
    "request_id": ("TEXT", True),
    "key_id": ("TEXT", False),
    "verb": ("TEXT", True),
    "model": ("TEXT", True),
    "version": ("TEXT", True),
    "model_sha256": ("TEXT", True),
    "film_sha256": ("TEXT", True),
    "probabilities": ("JSON", True),
    "decisions": ("JSON", True),
    "in_distribution": ("BOOLEAN", True),
    "distance": ("DOUBLE", True),
    "status": ("TEXT", True),
    "refusals": ("JSON", False),
    "novelty": ("DOUBLE", False),
    "is_decided": ("BOOLEAN", False),
    "prediction_set": ("JSON", False),
    "mask": ("JSON", False),
    "predicted_class": ("TEXT", False),
    "map_statuses": ("JSON", False),
}
"""Type of each column in SQLite, and whether it is NOT NULL, as revisions v1 to v5 made them."""

OLD_ROW = f"""
    INSERT INTO audit (time, request_id, verb, model, version, model_sha256, film_sha256,
                       probabilities, decisions, in_distribution, distance, status)
    VALUES ('2026-03-01 12:00:00.000000', 'r0', 'predict', 'tiny', '1.2.3', '{64 * "a"}',
            '{64 * "b"}', '{{}}', '{{}}', 1, 4.0, 'ok')
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.sqlite"


@pytest.fixture
def trail(path: Path) -> Iterator[AuditTrail]:
    trail = open_file(path)
    yield trail
    trail.close()


def row_of(said: FilmAnswer) -> AuditRow:
    about = {"verb": "explain", "request_id": "r1", "key_id": None, "film_sha256": 64 * "b"}
    return audit_row(said.explainer, said.answers, **about)


def test_a_row_says_what_the_answer_said(model_file: Path):
    said = answer_film(Explainer(model_file), FILM)
    kept, answer = row_of(said), said.prediction()
    assert kept.probabilities == {one.class_name: one.probability for one in answer.findings}
    assert kept.decisions == {one.class_name: one.decision for one in answer.findings}
    assert True in kept.decisions.values()
    assert (kept.distance, kept.in_distribution) == (answer.distance, True)
    assert kept.refusals == []
    assert (kept.is_decided, kept.prediction_set) == (True, None)
    assert kept.model_sha256 == answer.model.sha256
    assert timedelta(0) <= datetime.now(UTC) - kept.time < timedelta(seconds=30)


def test_a_refused_film_has_a_row_without_a_decision(model_file: Path):
    kept = row_of(answer_film(Explainer(model_file), REFUSED_FILM))
    assert (kept.in_distribution, kept.refusals) == (False, ["distance"])
    assert set(kept.decisions.values()) == {None}
    assert kept.is_decided is False


def test_rows_come_back_as_they_were_written(trail: AuditTrail):
    rows = [
        row(decisions={"normal": None, "pneumonia": None}, key_id=None),
        row(time=NOON.replace(microsecond=123456), probabilities={"z": 1e-9, "a": 1.0}),
    ]
    for one in rows:
        trail.write(one)
    kept = trail.rows(EVERYTHING)
    assert [without_id(one) for one in kept] == rows
    assert list(kept[1].probabilities) == ["z", "a"]
    assert kept[0].time.tzinfo is UTC


def test_rows_survive_a_restart(path: Path):
    for name in ("before", "after"):
        trail = open_file(path)
        trail.write(row(request_id=name))
        trail.close()
    trail = open_file(path)
    assert request_ids(trail) == ["before", "after"]
    trail.close()


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValidationError, match="timezone"):
        row(time=datetime(2026, 3, 1))


def test_a_time_is_kept_in_utc(trail: AuditTrail):
    trail.write(row(time=datetime.fromisoformat("2026-03-01T14:00:00+02:00")))
    assert trail.rows(AuditQuery(since=NOON))[0].time == NOON
    assert trail.rows(AuditQuery(until=NOON)) == []


def test_the_migrations_make_the_table_that_the_code_knows(path: Path):
    open_file(path).close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_the_table_and_its_revision_are_those_that_older_servers_wrote(path: Path):
    open_file(path).close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        columns = connection.exec_driver_sql("PRAGMA table_info(audit)").all()
        indices = connection.exec_driver_sql("PRAGMA index_list(audit)").all()
        versions = connection.exec_driver_sql("SELECT version_num FROM audit_version").all()
    engine.dispose()
    assert {column[1]: (column[2], bool(column[3])) for column in columns} == COLUMNS
    assert {index[1] for index in indices} == {"audit_time", "audit_film"}
    assert versions == [("v5",)]


def test_a_database_newer_than_the_program_is_refused(path: Path):
    open_file(path).close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE audit_version SET version_num = 'v99'")
    engine.dispose()
    with pytest.raises(ValueError, match="as old as this program, which knows v5, not v99"):
        open_file(path)


@pytest.fixture(params=["v1", "v2", "v3"])
def older(request: pytest.FixtureRequest, path: Path, monkeypatch) -> Iterator[AuditTrail]:
    """Open a file with a row that an older server wrote, of each revision before."""
    upgrade = command.upgrade
    monkeypatch.setattr(command, "upgrade", lambda config, _: upgrade(config, request.param))
    open_file(path).close()
    monkeypatch.undo()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql(OLD_ROW)
    engine.dispose()
    trail = open_file(path)
    yield trail
    trail.close()


def test_rows_of_an_older_server_say_nothing_of_refusals_and_novelty(older: AuditTrail):
    older.write(row(refusals=["lungs"], novelty=1.5))
    assert [kept.refusals for kept in older.rows(EVERYTHING)] == [None, ["lungs"]]
    assert [kept.novelty for kept in older.rows(EVERYTHING)] == [None, 1.5]


def test_rows_of_an_older_server_are_neither_decided_nor_undecided(older: AuditTrail):
    older.write(row(is_decided=False, prediction_set=["normal", "pneumonia"]))
    told = [(kept.is_decided, kept.prediction_set) for kept in older.rows(EVERYTHING)]
    assert told == [(None, None), (False, ["normal", "pneumonia"])]
    for asked, count in ((True, 0), (False, 1)):
        assert len(older.rows(AuditQuery(is_decided=asked))) == count


def test_rows_of_an_older_server_say_nothing_of_masks(older: AuditTrail):
    older.write(row(mask=(0, 1, 20, 30)))
    assert [kept.mask for kept in older.rows(EVERYTHING)] == [None, (0, 1, 20, 30)]


def test_rows_of_an_older_server_name_no_class_and_no_map(older: AuditTrail):
    statuses = {"normal": "below_threshold", "pneumonia": "ok"}
    older.write(row(predicted_class="pneumonia", map_statuses=statuses))
    told = [(kept.predicted_class, kept.map_statuses) for kept in older.rows(EVERYTHING)]
    assert told == [(None, None), ("pneumonia", statuses)]


def test_servers_that_start_together_do_not_get_in_each_others_way(path: Path):
    code = (
        "import sys; from tests.support.audit_rows import *; "
        "trail = open_file(Path(sys.argv[1])); trail.write(row(request_id=sys.argv[2]))"
    )
    servers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(server)])
        for server in range(3)
    ]
    assert [server.wait() for server in servers] == [0, 0, 0]
    trail = open_file(path)
    assert sorted(request_ids(trail)) == ["0", "1", "2"]
    trail.close()


def test_only_its_owner_may_read_the_file(trail: AuditTrail, path: Path):
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_rows_older_than_their_days_are_deleted_when_the_trail_is_opened(path: Path):
    trail = open_file(path)
    for days in (31, 29):
        trail.write(row(time=NOON - timedelta(days=days), request_id=str(days)))
    trail.close()
    trail = open_file(path, 30, clock=lambda: NOON)
    assert request_ids(trail) == ["29"]
    trail.close()


def test_old_rows_are_deleted_once_an_hour_while_rows_are_written(path: Path):
    now = NOON
    trail = open_file(path, 1, clock=lambda: now)
    trail.write(row(request_id="first"))
    now = NOON + timedelta(days=1, seconds=1)
    trail.write(row(time=now, request_id="second"))
    assert request_ids(trail) == ["second"]
    trail.write(row(request_id="late"))
    assert request_ids(trail) == ["second", "late"]  # within the hour
    trail.close()


def test_more_old_rows_than_are_deleted_at_once_all_go(path: Path, monkeypatch):
    monkeypatch.setattr("service.audit.database.DELETED_AT_ONCE", 2)
    trail = open_file(path)
    for _ in range(5):
        trail.write(row())
    trail.close()
    trail = open_file(path, 1, clock=lambda: NOON + timedelta(days=2))
    assert request_ids(trail) == []
    trail.close()


def test_the_id_of_a_deleted_row_is_not_given_again(path: Path):
    for _ in range(2):
        trail = open_file(path, 1, clock=lambda: NOON + timedelta(days=2))
        trail.write(row())
        [kept] = trail.rows(EVERYTHING)
        trail.close()
    assert kept.id == 2


def test_threads_that_write_at_once_lose_nothing(trail: AuditTrail):
    names = [str(number) for number in range(400)]
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda name: trail.write(row(request_id=name)), names))
    assert sorted(request_ids(trail)) == sorted(names)


def test_a_fault_of_ours_reaches_every_thread_that_waits(trail: AuditTrail, monkeypatch):
    def broken(_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(trail._database, "add", broken)
    with ThreadPoolExecutor(4) as threads:
        faults = [threads.submit(trail.write, row()).exception(timeout=10) for _ in range(8)]
    assert {type(fault) for fault in faults} == {RuntimeError}


@pytest.mark.parametrize(
    "url",
    [
        "mysql://cxr:s3cret@host/audit",
        "postgresql://cxr:s3cret@host/audit",
        "postgresql+psycopg://cxr:s3cret@host:s3cret/audit",
        "postgresql+psycopg://cxr:s3@cret@host/audit",
        "postgresql+psycopg://cxr:s3cret@127.0.0.1:1/audit",
        "s3cret",
        "sqlite://",
    ],
)
def test_a_wrong_url_is_refused_without_being_quoted(url: str, caplog):
    with pytest.raises(ValueError, match=r"^audit_url must ") as error:
        open_audit_trail(SecretStr(url), None)
    assert "cret" not in str(error.value) + caplog.text


def test_a_folder_that_is_missing_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_file(tmp_path / "nowhere" / "audit.sqlite")


def test_a_file_that_is_no_database_is_refused(path: Path):
    path.write_bytes(FILM)
    with pytest.raises(ValueError, match="opened and written: file is not a database"):
        open_file(path)


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )


def test_a_server_without_the_trail_loads_no_database_code():
    done = run_python("import sys, service.app, service.api.audit; print(*sys.modules)")
    assert "service.audit.trail" in done.stdout.split()
    assert not {"sqlalchemy", "alembic", "psycopg"} & set(done.stdout.split())


@pytest.mark.parametrize("package", ["sqlalchemy", "alembic", "psycopg"])
def test_an_extra_that_is_missing_is_named(package: str):
    done = run_python(
        f"import sys; sys.modules['{package}'] = None\n"
        "from pydantic import SecretStr\n"
        "from service.audit.trail import open_audit_trail\n"
        "open_audit_trail(SecretStr('postgresql+psycopg://cxr@127.0.0.1:1/audit'), None)"
    )
    assert f"ValueError: audit_url needs {package}" in done.stderr
    assert "pip install '.[audit]'" in done.stderr
