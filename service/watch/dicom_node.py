"""Receive chest films as a DICOM node (C-STORE) and store them in the journal."""

import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseServer
from typing import Any, cast
from weakref import WeakKeyDictionary

from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
)
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.transport import AssociationServer

from models.film_files.dicom import MAX_VALUE_BYTES, read_dicom_header
from models.film_files.errors import RadiographError
from service.watch.journal import Journal, film_key
from service.watch.settings import WatchSettings

FILM_CLASSES = (ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation)
"""No secondary captures: a DICOM archive might send us our own answers."""
VERIFICATION = UID("1.2.840.10008.1.1")
SUCCESS, OUT_OF_RESOURCES, OTHER_OBJECT, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xA900, 0xC000
NAMES: dict[int, int] = {
    Tag(keyword): MAX_VALUE_BYTES for keyword in ("SOPClassUID", "SOPInstanceUID")
}
OVERHEAD_BYTES = 2**20
"""Allowance for what a message holds besides the film, and for a request for an association."""
SILENT_SECONDS = 5.0
"""Longest wait for a request for an association (the timer ARTIM of PS3.8, 9.1.5)."""
SILENT = 2
"""Connections for each association that is allowed, since some haven't asked for one yet."""

PIECE = 2**16

log = logging.getLogger(__name__)


@contextmanager
def listening(settings: WatchSettings, journal: Journal) -> Iterator[int]:
    """Listen as a DICOM node; yield the port.

    Raises:
        OSError: The address can't be listened on.
    """
    entity = _entity(settings)
    meters = _Meters(settings)
    server = cast(
        _Server,
        entity.make_server(
            (settings.host, settings.listen or 0),
            server_class=_Server,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, meters.attach),
                (evt.EVT_ESTABLISHED, meters.reset),
                (evt.EVT_DIMSE_RECV, meters.reset),
                (evt.EVT_C_STORE, _store, [journal, settings.max_film_bytes]),
            ],
        ),
    )
    server.limit(settings)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.close()


def _entity(settings: WatchSettings) -> AE:
    entity = AE(ae_title=settings.ae_title)
    entity.require_called_aet = True
    entity.require_calling_aet = list(settings.callers)
    entity.maximum_associations = 10**6  # it counts silent connections too; `_Server` doesn't
    entity.acse_timeout = min(SILENT_SECONDS, settings.network_seconds)
    entity.dimse_timeout = entity.network_timeout = settings.network_seconds
    entity.add_supported_context(VERIFICATION)
    for sop_class in FILM_CLASSES:
        entity.add_supported_context(sop_class, ALL_TRANSFER_SYNTAXES)
    return entity


def _store(event: Event, journal: Journal, max_bytes: int) -> int:
    """Store a film in the journal; return the status for its sender."""
    request = cast(C_STORE, event.request)
    key = film_key(str(request.AffectedSOPInstanceUID))
    try:
        film = event.encoded_dataset()
        names = read_dicom_header(film, NAMES, max_bytes=max_bytes + OVERHEAD_BYTES)
        said = request.AffectedSOPClassUID, request.AffectedSOPInstanceUID
        if said != (names.get("SOPClassUID"), names.get("SOPInstanceUID")):
            log.error("film %s is not taken: its message names another object", key[:12])
            return OTHER_OBJECT
        is_new = journal.take_in(key, film)
    except RadiographError as error:
        log.error("film %s is not taken: %s", key[:12], type(error).__name__)
        return NOT_UNDERSTOOD
    except Exception as error:  # the sender keeps it, and tries again
        log.error("film %s is not taken: %s", key[:12], type(error).__name__)
        return OUT_OF_RESOURCES
    log.info("film %s came%s", key[:12], "" if is_new else " again, and is not answered again")
    return SUCCESS


class _Server(AssociationServer):
    """Counts connections, and associations from their request on, in all and of each address."""

    def limit(self, settings: WatchSettings) -> None:
        """Set how many associations there may be."""
        self._most = settings.max_associations, settings.max_peer_associations
        self._lock = threading.Lock()
        self.bind(evt.EVT_REQUESTED, self.let_in)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether a connection may be opened: not where too many are silent."""
        opened = self.active_associations
        is_allowed = not self._is_surplus(client_address[0], opened, SILENT)
        if not is_allowed:
            log.warning("a connection is refused: %d are open", len(opened))
        return is_allowed

    def let_in(self, event: Event) -> None:
        """Refuse an association where there are too many, for now."""
        with self._lock:
            there = [one for one in self.active_associations if _is_let_in(one, event.assoc)]
            is_refused = self._is_surplus(_peer(event.assoc), there)
            if is_refused:
                event.assoc.acse.send_reject(0x02, 0x03, 0x02)  # transient: local limit exceeded
        if is_refused:
            log.warning("an association is refused: %d are open", len(there))
            event.assoc.kill()

    def _is_surplus(self, peer: str, there: list[Association], times: float = 1) -> bool:
        most, most_of_peer = self._most
        of_peer = [one for one in there if _peer(one) == peer]
        return len(there) >= times * most or len(of_peer) >= times * most_of_peer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the type of a fault alone."""
        log.error("a connection failed: %s", type(sys.exception()).__name__)

    def close(self) -> None:
        """Stop listening, and end what is open."""
        BaseServer.shutdown(self)
        self.server_close()
        for association in self.active_associations:
            if association.is_established:
                association.abort()
            else:  # its state machine knows no abort yet
                hang_up(association)


def _is_let_in(one: Association, newcomer: Association) -> bool:
    has_asked = one.requestor.primitive is not None
    return one is not newcomer and has_asked and not one.is_rejected


def _peer(association: Association) -> str:
    return cast(Any, association.requestor.address_info).address


def hang_up(association: Association) -> None:
    """Close a connection at once, if it is still open."""
    wire = _wire(association)
    with suppress(OSError):
        if wire is not None:
            wire.shutdown(socket.SHUT_RDWR)


def _wire(association: Association) -> socket.socket | None:
    """Return the socket of a connection; None of one that was closed in the meantime."""
    return cast(socket.socket | None, cast(Any, association.dul.socket).socket)


class _Meters:
    """End connections whose messages are too long or too slow; pynetdicom has no such limits."""

    def __init__(self, settings: WatchSettings) -> None:
        self._settings = settings
        self._left: WeakKeyDictionary[Association, int] = WeakKeyDictionary()

    def attach(self, event: Event) -> None:
        """Count what a new connection sends, and bound the time for each piece that it begins."""
        association, self._left[event.assoc] = event.assoc, OVERHEAD_BYTES
        wire = cast(socket.socket, _wire(association))  # just opened

        def receive_bounded(length: int) -> bytearray:
            self._left[association] -= length
            if self._left[association] < 0:
                raise OSError("the message is too long")
            is_let_in = association.is_established
            return _received(wire, length, self._seconds if is_let_in else SILENT_SECONDS)

        cast(Any, association.dul.socket).recv = receive_bounded

    @property
    def _seconds(self) -> float:
        return self._settings.network_seconds

    def reset(self, event: Event) -> None:
        """Count from zero again when an association begins, or a message is complete."""
        self._left[event.assoc] = self._settings.max_film_bytes + OVERHEAD_BYTES


def _received(wire: socket.socket, length: int, seconds: float) -> bytearray:
    """Return so many bytes, or fewer where the other side hangs up.

    Raises:
        OSError: They don't come in time.
    """
    end, received = time.monotonic() + seconds, bytearray()
    while len(received) < length:
        wire.settimeout(max(end - time.monotonic(), 0.001))
        piece = wire.recv(min(length - len(received), PIECE))
        if not piece:
            break
        received += piece
    return received
