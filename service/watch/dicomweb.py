"""Poll a DICOMweb server for chest films (QIDO-RS, WADO-RS) and store them in the journal."""

import io
import logging
from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

import pydicom
import requests
from dicomweb_client.web import DICOMwebClient

from service.watch.journal import Journal, film_key
from service.watch.settings import WatchSettings

MODALITIES = ("CR", "DX")
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
PAGE = 500

log = logging.getLogger(__name__)


class FilmAddress(NamedTuple):
    """UIDs by which a DICOMweb server finds a film."""

    study: str
    series: str
    instance: str


def fetch_new_films(client: DICOMwebClient, settings: WatchSettings, journal: Journal) -> None:
    """Store in the journal all films of the last days that it doesn't know.

    Raises:
        OSError: The server doesn't answer, or a film can't be stored now.
    """
    for address in _films(client, settings.poll_days):
        key = film_key(address.instance)
        if journal.knows(key):
            continue
        try:
            film = _fetched(client, address)
        except (requests.HTTPError, ValueError, LookupError) as error:
            log.warning("film %s can't be fetched now: %s", key[:12], type(error).__name__)
            continue
        if len(film) > settings.max_film_bytes:
            log.error("film %s is not taken: it is longer than allowed", key[:12])
            continue
        journal.take_in(key, film)
        log.info("film %s came", key[:12])


def _films(client: DICOMwebClient, days: int) -> Iterator[FilmAddress]:
    since = date.today() - timedelta(days=days)
    for modality in MODALITIES:
        found = client.search_for_instances(
            search_filters={"Modality": modality, "StudyDate": f"{since:%Y%m%d}-"},
            limit=PAGE,
            get_remaining=True,
        )
        for one in found:
            header = pydicom.Dataset.from_json(one)
            yield FilmAddress(*(str(header[keyword].value) for keyword in UIDS))


def _fetched(client: DICOMwebClient, address: FilmAddress) -> bytes:
    """Return a film as it is stored."""
    film = client.retrieve_instance(*address, media_types=(("application/dicom", "*"),))
    file = io.BytesIO()
    pydicom.dcmwrite(file, film)
    return file.getvalue()
