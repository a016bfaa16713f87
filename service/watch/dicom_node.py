"""Receive chest films as a DICOM node (C-STORE) and store them in the journal."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
)
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event

from service.watch.journal import Journal, JournalFullError, film_key
from service.watch.settings import WatchSettings

FILM_CLASSES = (ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation)
"""No secondary captures: a DICOM archive might send us our own answers."""
VERIFICATION = UID("1.2.840.10008.1.1")
SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700
OVERHEAD_BYTES = 2**20
"""Allowance for what a message holds besides the film."""

log = logging.getLogger(__name__)


@contextmanager
def listening(settings: WatchSettings, journal: Journal) -> Iterator[int]:
    """Listen as a DICOM node; yield the port.

    Raises:
        OSError: The address can't be listened on.
    """
    entity = _entity(settings)
    meters = _Meters(settings.max_film_bytes + OVERHEAD_BYTES)
    server = entity.start_server(
        (settings.host, settings.listen or 0),
        block=False,
        evt_handlers=[
            (evt.EVT_CONN_OPEN, meters.attach),
            (evt.EVT_DIMSE_RECV, meters.reset),
            (evt.EVT_C_STORE, _store, [journal]),
        ],
    )
    assert server is not None  # None only where it blocks
    try:
        yield server.server_address[1]
    finally:
        entity.shutdown()


def _entity(settings: WatchSettings) -> AE:
    entity = AE(ae_title=settings.ae_title)
    entity.require_called_aet = True
    entity.require_calling_aet = list(settings.callers)
    entity.maximum_associations = settings.max_associations
    entity.acse_timeout = entity.dimse_timeout = settings.network_seconds
    entity.network_timeout = settings.network_seconds
    entity.add_supported_context(VERIFICATION)
    for sop_class in FILM_CLASSES:
        entity.add_supported_context(sop_class, ALL_TRANSFER_SYNTAXES)
    return entity


def _store(event: Event, journal: Journal) -> int:
    """Store a film in the journal; return the status for its sender."""
    key = film_key(str(cast(C_STORE, event.request).AffectedSOPInstanceUID))
    try:
        is_new = journal.take_in(key, event.encoded_dataset())
    except (JournalFullError, sqlite3.Error) as error:
        log.error("film %s is not taken: %s", key[:12], error)
        return OUT_OF_RESOURCES
    log.info("film %s came%s", key[:12], "" if is_new else " again, and is not answered again")
    return SUCCESS


class _Meters:
    """Close connections whose messages are too long; pynetdicom has no limit."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._left: dict[int, int] = {}

    def attach(self, event: Event) -> None:
        """Count what a new connection sends."""
        number, socket = id(event.assoc), cast(Any, event.assoc.dul.socket)
        receive, self._left[number] = socket.recv, self._max_bytes

        def receive_bounded(length: int) -> bytearray:
            self._left[number] -= length
            if self._left[number] < 0:
                raise OSError("the message is too long")
            return receive(length)

        socket.recv = receive_bounded

    def reset(self, event: Event) -> None:
        """Count from zero again when a message is complete."""
        self._left[id(event.assoc)] = self._max_bytes
