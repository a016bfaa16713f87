from pathlib import Path

import pytest

from service.watch.journal import Journal, JournalFullError, film_key

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
    journal = Journal(tmp_path / "j/j.sqlite", max_bytes=1000, retry_seconds=60, clock=clock)
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
        return Journal(tmp_path / "j", max_bytes=1000, retry_seconds=60)

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
        Journal(tmp_path / "j/j.sqlite", max_bytes=1000, retry_seconds=60)


def test_another_file_is_no_journal(tmp_path: Path):
    (tmp_path / "j").write_bytes(b"something else, long enough to be looked at" * 100)
    with pytest.raises(ValueError, match="not a database"):
        Journal(tmp_path / "j", max_bytes=1000, retry_seconds=60)
