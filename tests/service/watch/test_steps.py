"""The steps of `cxr watch` in this process, with an engine and a destination that break."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from service.problems import AuditUnavailable
from service.watch.destinations import NotTakenError, UnreachableError, open_destination
from service.watch.failures import read_failures
from service.watch.jobs import Jobs
from service.watch.journal import Journal, film_key
from service.watch.settings import read_watch_settings
from tests.support.dicom_films import PATIENT, chest_film
from tests.support.fake_dicomweb import WRONG, FakeDicomweb

KEYS = [film_key(str(number)) for number in range(3)]


class Fake:
    """An engine and a destination; what it is told to raise it raises first."""

    def __init__(self, *faults: Exception) -> None:
        self.faults, self.answered, self.stored = list(faults), Counter(), Counter()

    async def answer(self, explainer: object, film: bytes, caller: object) -> Any:
        self.answered[film] += 1
        self._break()
        return self

    def explained_prediction(self) -> None: ...

    top_class = "pneumonia"

    async def result_files(self, film: bytes, *_: object) -> list[bytes]:
        return [film]

    def store(self, file: bytes) -> None:
        self.stored[file] += 1
        self._break()

    def _break(self) -> None:
        if self.faults:
            raise self.faults.pop(0)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = a_journal(tmp_path / "j", max_faults=4)
    for key in KEYS:
        journal.take_in(key, key.encode() * 1000)
    yield journal
    journal.close()


def work(journal: Journal, engine: Fake, destination: Fake, holds: Any) -> None:
    """Work until something holds, or what waits is done."""

    async def works() -> None:
        settings = read_watch_settings(listen=0, send_to="PACS@127.0.0.1:1")
        stop, jobs = asyncio.Event(), Jobs(settings, journal, engine, None, destination)
        task = asyncio.create_task(jobs.run(stop))
        async with asyncio.timeout(300):
            while not holds():
                await asyncio.sleep(0.01)
            stop.set()
            await task

    asyncio.run(works())


def is_done(journal: Journal) -> Any:
    return lambda: journal.waiting() == {"films": 0, "objects": 0}


@pytest.mark.parametrize("fault", [ValueError, SyntaxError, sqlite3.OperationalError, MemoryError])
def test_what_breaks_when_it_is_answered_or_sent_is_tried_again(journal: Journal, fault):
    engine, destination = Fake(fault(), fault()), Fake(fault(), fault())
    work(journal, engine, destination, is_done(journal))
    assert sorted(destination.stored) == sorted(engine.answered)
    assert (engine.answered.total(), destination.stored.total()) == (5, 5)


def test_what_always_breaks_is_given_up(journal: Journal, tmp_path: Path):
    destination = Fake(*[ValueError("Doe^Jane")] * 12)
    work(journal, Fake(), destination, is_done(journal))
    failures = read_failures(tmp_path / "j")
    assert [one.state for one in failures] == ["given up"] * 3
    assert {one.why for one in failures} == {"ValueError"}


def test_what_is_refused_for_good_is_listed(journal: Journal, tmp_path: Path):
    work(journal, Fake(), Fake(NotTakenError("status 0x0122")), is_done(journal))
    [failure] = read_failures(tmp_path / "j")
    assert (failure.what, failure.state, failure.why) == ("object", "refused", "status 0x0122")


def test_who_is_away_is_waited_for(journal: Journal):
    destination = Fake(*[UnreachableError("no association")] * 6)
    engine = Fake(*[AuditUnavailable("away")] * 6)
    work(journal, engine, destination, is_done(journal))
    assert (engine.answered.total(), destination.stored.total()) == (9, 9)


@pytest.mark.parametrize("change", ["answered", "done"])
def test_a_full_disk_is_waited_for_and_nothing_is_done_twice(
    journal: Journal, monkeypatch, caplog, change: str
):
    change_journal, faults = getattr(journal, change), [sqlite3.OperationalError("full")] * 5

    def breaks(*arguments: Any) -> None:
        if faults:
            raise faults.pop()
        change_journal(*arguments)

    breaks.__name__ = change
    monkeypatch.setattr(journal, change, breaks)
    engine, destination = Fake(), Fake()
    work(journal, engine, destination, is_done(journal))
    assert set(engine.answered.values()) == set(destination.stored.values()) == {1}
    assert caplog.text.count("the journal can't be written (OperationalError)") == 5


def test_a_journal_whose_disk_is_full_loses_no_film(journal: Journal, monkeypatch):
    database = journal._database
    [(pages,)] = database.execute("PRAGMA page_count")
    database.execute(f"PRAGMA max_page_count = {pages}")

    async def long_files(film: bytes, *_: object) -> list[bytes]:
        return [film * 2]

    engine, destination = Fake(), Fake()
    engine.result_files = long_files
    work(journal, engine, destination, lambda: engine.answered)
    assert journal.waiting()["films"] == 3
    database.execute("PRAGMA max_page_count = 100000")
    work(journal, engine, destination, is_done(journal))
    assert len(destination.stored) == 3


def test_a_journal_that_can_not_be_read_ends_nothing(journal: Journal, monkeypatch):
    read, faults = journal.next_film, [sqlite3.OperationalError("disk I/O error")] * 3
    monkeypatch.setattr(journal, "next_film", lambda: _raise(faults.pop()) if faults else read())
    work(journal, Fake(), Fake(), is_done(journal))
    assert not faults


def test_fifty_studies_arrive_once_each_though_a_server_answers_wrongly_in_every_way(
    tmp_path: Path,
):
    films = [chest_film(number=1000 + number) for number in range(50)]

    async def three_files(film: bytes, *_: object) -> list[bytes]:
        number = 3 * films.index(film)
        return [chest_film(number=number + part) for part in range(3)]

    engine = Fake()
    engine.result_files = three_files
    folder = tmp_path / "folder"
    with (
        closing(a_journal(folder / "j")) as journal,
        FakeDicomweb(tuple(WRONG.values())).running() as server,
    ):
        for number, film in enumerate(films):
            journal.take_in(film_key(str(number)), film)
        settings = read_watch_settings(listen=0, stow=server.url, network_seconds=5)
        work(journal, engine, open_destination(settings), is_done(journal))
        assert len(server.stored) == server.stored.total() == 150
        assert read_failures(folder / "j") == []
        left = b"".join(file.read_bytes() for file in folder.iterdir())
    assert PATIENT.encode() not in left


def a_journal(path: Path, max_faults: int = 1000) -> Journal:
    return Journal(path, max_bytes=10**9, retry_seconds=0.01, max_faults=max_faults)


def _raise(error: Exception) -> None:
    raise error
