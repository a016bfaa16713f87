"""Poll a DICOMweb server for chest films (QIDO-RS, WADO-RS) and store them in the journal."""

import io
import logging
import sqlite3
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any, NamedTuple

import pydicom
from dicomweb_client.web import DICOMwebClient

from service.watch.journal import Journal, JournalFullError, film_key
from service.watch.settings import WatchSettings
from service.watch.web_client import AnswerTooLongError, is_unreachable

MODALITIES = ("CR", "DX")
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
PAGE = 500
MOST_FILMS = 100_000
"""Of a modality, in one poll."""

log = logging.getLogger(__name__)


class FilmAddress(NamedTuple):
    """UIDs by which a DICOMweb server finds a film."""

    study: str
    series: str
    instance: str


def fetch_new_films(
    client: DICOMwebClient,
    settings: WatchSettings,
    journal: Journal,
    is_stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Store in the journal all films of the last days that it doesn't know, until stopped.

    A film that can't be downloaded is postponed, and given up in the end; it holds up no other.

    Raises:
        JournalFullError: The journal takes no films now.
        sqlite3.Error: It can't be written.
        Exception: The server can't be asked for its films.
    """
    for address in _films(client, settings.poll_days):
        if is_stopped():
            return
        key = film_key(address.instance)
        if not journal.wants(key):
            continue
        try:
            journal.take_in(key, _fetched(client, address, settings.max_film_bytes))
            log.info("film %s came", key[:12])
        except (JournalFullError, sqlite3.Error):
            raise
        except AnswerTooLongError:
            journal.give_up_download(key, "longer than allowed")
            log.error("film %s is not taken: it is longer than allowed", key[:12])
        except Exception as error:  # whatever a server's answer brings about
            _postpone(journal, key, error)


def _postpone(journal: Journal, key: str, error: Exception) -> None:
    why = type(error).__name__
    seconds = journal.postpone_download(key, why, is_counted=not is_unreachable(error))
    then = "given up" if seconds is None else f"again in {seconds:g} s"
    log.warning("film %s can't be fetched now (%s); %s", key[:12], why, then)


def _films(client: DICOMwebClient, days: int) -> Iterator[FilmAddress]:
    since = date.today() - timedelta(days=days)
    for modality in MODALITIES:
        found, offset = set[FilmAddress](), 0
        while offset < MOST_FILMS:
            page = client.search_for_instances(
                search_filters={"Modality": modality, "StudyDate": f"{since:%Y%m%d}-"},
                limit=PAGE,
                offset=offset,
            )
            new = {address for one in page if (address := _address(one))} - found
            if not new:  # the end, or a server that ignores the offset
                break
            yield from sorted(new)
            found, offset = found | new, offset + len(page)


def _address(one: Any) -> FilmAddress | None:
    try:
        header = pydicom.Dataset.from_json(one)
        return FilmAddress(*(str(header[keyword].value) for keyword in UIDS))
    except Exception as error:  # whatever a server lists
        log.warning("a film in the server's list has no address: %s", type(error).__name__)
        return None


def _fetched(client: DICOMwebClient, address: FilmAddress, max_bytes: int) -> bytes:
    """Return a film as it is stored."""
    film = client.retrieve_instance(*address, media_types=(("application/dicom", "*"),))
    if film.SOPInstanceUID != address.instance:
        raise ValueError("another film came")
    file = io.BytesIO()
    pydicom.dcmwrite(file, film)
    if file.tell() > max_bytes:
        raise AnswerTooLongError
    return file.getvalue()
