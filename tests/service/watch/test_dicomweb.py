from collections.abc import Iterator
from pathlib import Path

import pytest

from service.watch.dicomweb import fetch_new_films
from service.watch.failures import read_failures
from service.watch.journal import Journal, film_key
from service.watch.settings import read_watch_settings
from service.watch.web_client import open_web_client
from tests.support.dicom_films import chest_film
from tests.support.fake_dicomweb import PAGE, FakeDicomweb, film_entry, gives

FILMS = [chest_film(number=number) for number in range(1, 4)]
UIDS = [film_entry(film)["00080018"]["Value"][0] for film in FILMS]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "j", max_bytes=10**9, retry_seconds=1e-9, max_faults=3)
    yield journal
    journal.close()


@pytest.fixture
def server() -> Iterator[FakeDicomweb]:
    server = FakeDicomweb()
    server.listed = lambda offset: [film_entry(film) for film in FILMS][offset:]
    server.downloads = {uid: gives(film) for uid, film in zip(UIDS, FILMS, strict=True)}
    with server.running():
        yield server


def poll(server: FakeDicomweb, journal: Journal, times: int = 1, **settings: object) -> None:
    given = {"poll": server.url, "network_seconds": 1} | settings
    read = read_watch_settings(**given)
    client = open_web_client(read, server.url)
    for _ in range(times):
        fetch_new_films(client, read, journal)


def came(journal: Journal) -> list[bool]:
    return [journal.knows(film_key(uid)) for uid in UIDS]


def test_films_are_fetched_once(server: FakeDicomweb, journal: Journal):
    poll(server, journal, times=2)
    assert came(journal) == [True] * 3
    assert set(server.fetched.values()) == {1}


BROKEN = {
    "no answer": lambda request, uid: request.connection.close(),
    "half a film": gives(FILMS[0], missing=2000),
    "a page": lambda request, uid: request.say(200, PAGE, "text/html"),
    "a film without a prefix": gives(FILMS[0][132:]),
    "another film": gives(FILMS[1]),
    "no film": lambda request, uid: request.say(200, b"--b--", "multipart/related; boundary=b"),
    "nothing": lambda request, uid: request.say(200),
    "a fault": lambda request, uid: request.say(500),
}


@pytest.mark.filterwarnings("ignore")  # of pydicom, about what is broken
@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_a_download_that_breaks_holds_up_no_other_and_is_given_up(
    server: FakeDicomweb, journal: Journal, tmp_path: Path, answer
):
    server.downloads[UIDS[0]] = answer
    poll(server, journal, times=5)
    assert came(journal) == [False, True, True]
    assert server.fetched[UIDS[0]] == 3
    [failure] = read_failures(tmp_path / "j")
    assert (failure.what, failure.state, failure.attempts) == ("download", "given up", 3)


def test_a_film_that_is_too_long_is_asked_for_once_and_not_read(
    server: FakeDicomweb, journal: Journal, tmp_path: Path
):
    server.downloads[UIDS[0]] = lambda request, uid: request.say(200, Content_Length="9999999")
    poll(server, journal, times=3, max_film_bytes=100_000)
    assert came(journal) == [False, True, True]
    assert server.fetched[UIDS[0]] == 1
    assert read_failures(tmp_path / "j")[0].why == "longer than allowed"


def test_a_film_that_does_not_say_how_long_it_is_is_not_read_to_its_end(
    server: FakeDicomweb, journal: Journal
):
    def is_endless(request, uid):
        request.say(200, Content_Length="")
        while True:
            request.wfile.write(bytes(2**16))

    server.downloads[UIDS[0]] = is_endless
    poll(server, journal, max_film_bytes=100_000)
    assert came(journal) == [False, True, True]


def test_a_server_that_ignores_the_offset_is_not_asked_without_end(
    server: FakeDicomweb, journal: Journal
):
    server.listed = lambda offset: [film_entry(film) for film in FILMS]
    poll(server, journal)
    assert came(journal) == [True] * 3
    assert server.listings <= 4


def test_what_is_no_film_in_the_list_is_passed_over(server: FakeDicomweb, journal: Journal):
    odd = [{}, 1, None, "film", {"00080018": {"vr": "UI"}}, {"0020000D": {"vr": "UI", "Value": 1}}]
    server.listed = lambda offset: [*odd, *map(film_entry, FILMS)][offset:]
    poll(server, journal)
    assert came(journal) == [True] * 3


def test_films_are_fetched_again_when_given_up_ones_are_tried_again(
    server: FakeDicomweb, journal: Journal
):
    server.downloads[UIDS[0]] = BROKEN["a page"]
    poll(server, journal, times=4)
    server.downloads[UIDS[0]] = gives(FILMS[0])
    journal.try_again()
    poll(server, journal)
    assert came(journal) == [True] * 3
