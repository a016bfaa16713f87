import io
import time

import pydicom
import pytest

from service.watch.destinations import (
    NotTakenError,
    UnreachableError,
    WebDestination,
    open_destination,
)
from service.watch.settings import read_watch_settings
from service.watch.web_client import AnswerTooLongError, AnswerTooSlowError
from tests.support.dicom_films import chest_film
from tests.support.fake_dicomweb import RIGHT, WRONG, FakeDicomweb, fails

OBJECT = chest_film()
UID = str(pydicom.dcmread(io.BytesIO(OBJECT)).SOPInstanceUID)


def destination(url: str, **settings: object) -> WebDestination:
    given = {"listen": 0, "stow": url, "network_seconds": 2} | settings
    return open_destination(read_watch_settings(**given))


def store(*answers: object, **settings: object) -> FakeDicomweb:
    with FakeDicomweb(answers, one_in=1).running() as server:
        destination(server.url, **settings).store(OBJECT)
    return server


@pytest.mark.parametrize("answer", RIGHT)
def test_an_object_is_stored_when_the_list_of_stored_ones_says_so(answer):
    assert store(answer).stored == {UID: 1}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG)
def test_no_other_answer_means_that_it_is_stored(answer):
    with pytest.raises(Exception) as raised:  # noqa: PT011 - of whatever kind
        store(answer)
    assert not isinstance(raised.value, NotTakenError)


def test_an_object_that_the_archive_has_already_is_stored():
    store(fails(0x0111, 409))


@pytest.mark.parametrize("reason", [0x0122, 0xA900, 0xC000])
def test_an_object_is_refused_for_good_by_its_own_failure_alone(reason):
    with pytest.raises(NotTakenError, match=f"{reason:04x}"):
        store(fails(reason, 409))


@pytest.mark.parametrize("why", ["no room", "too many requests"])
def test_an_archive_without_room_says_nothing_about_the_object(why):
    with pytest.raises(UnreachableError):
        store(WRONG[why])


def test_an_archive_that_is_away_says_nothing_about_the_object():
    with pytest.raises(UnreachableError):
        destination("http://127.0.0.1:1").store(OBJECT)


def test_what_is_sent_is_not_sent_on():
    with pytest.raises(Exception, match="302"):
        store(WRONG["a redirect"])


def test_an_endless_answer_is_not_read_to_its_end():
    def drips(request, uid):
        request.say(200, Content_Length="1000")
        for _ in range(40):
            request.wfile.write(b" ")
            time.sleep(0.05)

    with pytest.raises(AnswerTooSlowError):
        store(drips, network_seconds=0.5)


def test_a_long_answer_is_not_read():
    def is_long(request, uid):
        request.say(200, bytes(2_000_000))

    with pytest.raises(AnswerTooLongError):
        store(is_long, max_film_bytes=1000)
