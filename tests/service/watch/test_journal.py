import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import cxr
from service.watch.failures import failure_line, read_failures
from service.watch.journal import Journal, JournalFullError, film_key, forget_given_up
from service.watch.journal_schema import FIRST

KEY = film_key("1.2.3")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock):
    journal = Journal(
        tmp_path / "j/j.sqlite", max_bytes=1000, retry_seconds=60, max_faults=20, clock=clock
    )
    yield journal
    journal.close()


def test_a_film_waits_until_it_is_answered(journal: Journal):
    assert journal.take_in(KEY, b"film")
    assert journal.next_film().content == b"film"
    journal.answered(KEY, [b"report", b"map"])
    assert journal.next_film() is None
    assert journal.waiting() == {"films": 0, "objects": 2}


def test_objects_wait_until_they_are_sent_in_order(journal: Journal):
    journal.take_in(KEY, b"film")
    journal.answered(KEY, [b"report", b"map"])
    sent = []
    while one := journal.next_object():
        sent.append(one.content)
        journal.done(one)
    assert sent == [b"report", b"map"]


@pytest.mark.parametrize("end", [lambda j: None, lambda j: j.unusable(KEY)])
def test_a_film_comes_once(journal: Journal, end):
    assert journal.take_in(KEY, b"film")
    end(journal)
    assert journal.knows(KEY)
    assert not journal.take_in(KEY, b"film")


def test_nothing_is_forgotten_when_the_process_ends(tmp_path: Path):
    def opened() -> Journal:
        return Journal(tmp_path / "j", max_bytes=1000, retry_seconds=60, max_faults=20)

    first = opened()
    first.take_in(KEY, b"film")
    first.take_in(film_key("1.2.4"), b"other")
    first.answered(KEY, [b"report"])
    first.close()
    second = opened()
    assert (second.next_film().content, second.next_object().content) == (b"other", b"report")
    second.close()


def test_what_fails_waits_twice_as_long_each_time(journal: Journal, clock: Clock):
    journal.take_in(KEY, b"film")
    waited = []
    for _ in range(8):
        waited.append(journal.postpone_film(journal.next_film()))
        assert journal.next_film() is None
        clock.now += waited[-1]
    assert waited == [1, 2, 4, 8, 16, 32, 60, 60]


def test_what_fails_does_not_hold_up_others(journal: Journal):
    journal.take_in(KEY, b"film")
    journal.answered(KEY, [b"report", b"map"])
    journal.postpone_object(journal.next_object())
    assert journal.next_object().content == b"map"


def test_no_more_waits_than_is_allowed(journal: Journal):
    journal.take_in(KEY, bytes(600))
    journal.answered(KEY, [bytes(500)])
    with pytest.raises(JournalFullError, match="1000 bytes"):
        journal.take_in(film_key("1.2.4"), bytes(501))
    assert journal.take_in(film_key("1.2.5"), bytes(500))


def test_a_film_that_was_answered_is_no_longer_on_the_disk(tmp_path: Path, journal: Journal):
    journal.take_in(KEY, b"Doe^Jane" * 100)
    journal.answered(KEY, [])
    journal.close()
    assert b"Doe^Jane" not in (tmp_path / "j/j.sqlite").read_bytes()


def test_only_its_owner_reads_it(tmp_path: Path, journal: Journal):
    assert (tmp_path / "j").stat().st_mode & 0o77 == 0
    assert (tmp_path / "j/j.sqlite").stat().st_mode & 0o77 == 0


def test_two_processes_do_not_share_it(tmp_path: Path, journal: Journal):
    journal.take_in(KEY, b"film")
    with pytest.raises(ValueError, match="locked"):
        Journal(tmp_path / "j/j.sqlite", max_bytes=1000, retry_seconds=60, max_faults=20)


def test_another_file_is_no_journal(tmp_path: Path):
    (tmp_path / "j").write_bytes(b"something else, long enough to be looked at" * 100)
    with pytest.raises(ValueError, match="not a database"):
        Journal(tmp_path / "j", max_bytes=1000, retry_seconds=60, max_faults=20)


def opened(path: Path, max_faults: int = 20) -> Journal:
    return Journal(path, max_bytes=10**9, retry_seconds=1e-9, max_faults=max_faults)


def folder_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


@pytest.mark.parametrize("end", [Journal.unusable, lambda j, key: j.answered(key, [])])
def test_a_film_that_is_done_with_is_nowhere_on_the_disk_though_we_are_killed(
    tmp_path: Path, end: Callable[[Journal, str], None]
):
    name = b"Doe^Jane"
    with closing(opened(tmp_path / "a/j")) as journal:
        for number in range(3):
            journal.take_in(film_key(str(number)), name * 10_000)
        assert name in folder_bytes(tmp_path / "a")
        for number in range(3):
            end(journal, film_key(str(number)))
        shutil.copytree(tmp_path / "a", tmp_path / "b")  # as a killed process leaves it
        assert name not in folder_bytes(tmp_path / "b")


def test_an_object_that_was_sent_or_refused_is_nowhere_on_the_disk(tmp_path: Path):
    with closing(opened(tmp_path / "a/j")) as journal:
        journal.take_in(KEY, b"film")
        journal.answered(KEY, [b"Doe^Jane" * 10_000] * 3)
        journal.done(journal.next_object())
        journal.refused(journal.next_object(), "status 0x0122")
        journal.postpone_object(journal.next_object())
        assert b"Doe^Jane" in folder_bytes(tmp_path / "a")
        journal.done(journal.next_object())
        assert b"Doe^Jane" not in folder_bytes(tmp_path / "a")


def test_what_breaks_too_often_is_given_up_and_holds_up_no_other(tmp_path: Path):
    with closing(opened(tmp_path / "j", max_faults=3)) as journal:
        journal.take_in(KEY, b"film")
        journal.take_in(film_key("1.2.4"), b"other")
        films = []
        while film := journal.next_film():
            films.append(film.content)
            journal.postpone_film(film, "ValueError")
        assert sorted(films) == [b"film"] * 3 + [b"other"] * 3
        assert {failure.state for failure in read_failures(tmp_path / "j")} == {"given up"}
        assert journal.waiting()["films"] == 0


def test_a_film_that_ends_the_process_holds_up_no_other(tmp_path: Path):
    with closing(opened(tmp_path / "j")) as journal:
        journal.take_in(KEY, b"film")
        journal.begin(journal.next_film())
    with closing(opened(tmp_path / "j")) as journal:
        journal.retry_seconds = 60
        journal.postpone_begun()
        journal.postpone_begun()
        journal.take_in(film_key("1.2.4"), b"other")
        assert journal.next_film().content == b"other"
    assert [failure.attempts for failure in read_failures(tmp_path / "j")] == [1]


def test_nothing_is_given_up_while_the_destination_is_away(tmp_path: Path):
    with closing(opened(tmp_path / "j", max_faults=3)) as journal:
        journal.take_in(KEY, b"film")
        journal.answered(KEY, [b"report"])
        for _ in range(30):
            assert journal.postpone_object(journal.next_object(), "away", is_counted=False)
        [failure] = read_failures(tmp_path / "j")
        assert (failure.state, failure.attempts, failure.why) == ("waiting", 30, "away")


def test_what_was_given_up_is_tried_again_or_forgotten_on_demand(tmp_path: Path):
    with closing(opened(tmp_path / "j", max_faults=1)) as journal:
        journal.take_in(KEY, b"Doe^Jane")
        journal.postpone_film(journal.next_film(), "ValueError")
        assert journal.next_film() is None
        journal.try_again()
        journal.postpone_film(journal.next_film(), "ValueError")
    assert b"Doe^Jane" in folder_bytes(tmp_path)
    forget_given_up(tmp_path / "j")
    assert b"Doe^Jane" not in folder_bytes(tmp_path)
    assert [failure.state for failure in read_failures(tmp_path / "j")] == ["unusable"]


def test_the_command_lists_what_failed_and_forgets_it(tmp_path: Path, capsys):
    with closing(opened(tmp_path / "j", max_faults=1)) as journal:
        journal.take_in(KEY, b"Doe^Jane")
        journal.postpone_film(journal.next_film(), "ValueError")
        assert cxr.main(["watch", "--journal", str(tmp_path / "j"), "--failed"]) == 0
        assert "given up" in capsys.readouterr().out
    assert cxr.main(["watch", "--journal", str(tmp_path / "j"), "--forget"]) == 0
    assert "unusable" in capsys.readouterr().out


def test_a_failure_is_told_in_a_line(journal: Journal, tmp_path: Path):
    journal.take_in(KEY, b"Doe^Jane")
    journal.postpone_film(journal.next_film(), "ValueError")
    [failure] = read_failures(tmp_path / "j/j.sqlite")
    words = failure_line(failure).split()
    assert words[2:] == ["next", "attempt", "film", KEY[:12], "tried", "1", "times", "ValueError"]


def test_failures_of_no_journal_are_a_fault(tmp_path: Path):
    with pytest.raises(ValueError, match="can't be read"):
        read_failures(tmp_path / "none")


def test_a_journal_of_the_version_before_goes_on(tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / "j")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(FIRST)
        database.execute("INSERT INTO films VALUES ('a', 'came', x'01', 0, 0)")
        database.execute("INSERT INTO films VALUES ('b', 'answered', NULL, 0, 0)")
        database.execute("INSERT INTO objects VALUES (1, 'b', x'02', 2, 0)")
        database.commit()
    for _ in range(2):
        with closing(opened(tmp_path / "j")) as journal:
            assert (journal.next_film().content, journal.next_object().content) == (b"\1", b"\2")


def test_a_journal_of_a_later_version_is_left_alone(tmp_path: Path):
    opened(tmp_path / "j").close()
    with closing(sqlite3.connect(tmp_path / "j")) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(ValueError, match="newer version"):
        opened(tmp_path / "j")


def test_a_part_of_the_disk_stays_free(journal: Journal, monkeypatch):
    disk = shutil.disk_usage("/")._replace(total=1000, free=150)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: disk)
    with pytest.raises(JournalFullError, match="nearly full"):
        journal.take_in(KEY, bytes(51))
    assert journal.take_in(KEY, bytes(50))
