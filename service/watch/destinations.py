"""Send the answers of `cxr watch` to a DICOM node (C-STORE) or a DICOMweb server (STOW-RS).

Imported only by `cxr watch`: pynetdicom and dicomweb-client are an optional extra.
"""

import io
from collections.abc import Sequence
from typing import Protocol

import pydicom
import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.dataset import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ExplicitVRLittleEndian,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE

from service.watch.settings import Node, WatchSettings
from service.watch.web_client import is_unreachable, open_web_client

OUR_CLASSES = (Comprehensive3DSRStorage, ParametricMapStorage, SecondaryCaptureImageStorage)
HAS_IT_ALREADY = 0x0111
"""Status of an object that was stored before: our UIDs are made from film and model."""
WARNINGS = range(0xB000, 0xC000)
"""Statuses (PS3.4, table B.2-1) of an object that is stored, if not quite as it was sent."""
NO_ROOM = range(0xA700, 0xA800)
NOT_TAKEN = (0x0122, 0x0124, *range(0xA900, 0xAA00), *range(0xC000, 0xD000))
"""Statuses (PS3.4, table B.2-1) that another attempt won't change."""


class NotStoredError(Exception):
    """The destination did not say that it stored the object; the message names nobody."""


class NotTakenError(NotStoredError):
    """The destination refuses this object, and would refuse it again."""


class UnreachableError(NotStoredError):
    """The destination is away or has no room now, which says nothing about the object."""


class Destination(Protocol):
    """Stores the objects of an answer."""

    def store(self, file: bytes) -> None:
        """Send a DICOM file; the destination has said that it is stored when this returns.

        Raises:
            NotTakenError: The destination refuses it.
            UnreachableError: It could not be sent now.
            Exception: Anything else that a destination brings about, to be tried again.
        """


def open_destination(settings: WatchSettings) -> Destination:
    """Return the destination of answers: the node of the settings, or else the DICOMweb server."""
    if settings.send_to:
        return NodeDestination(settings.send_to, settings)
    return WebDestination(open_web_client(settings, settings.stow or settings.poll or ""))


class NodeDestination:
    """Send objects to a DICOM node by C-STORE, with an association for each."""

    def __init__(self, node: Node, settings: WatchSettings) -> None:
        self._node = node
        self._entity = AE(ae_title=settings.ae_title)
        self._entity.acse_timeout = settings.network_seconds
        self._entity.dimse_timeout = settings.network_seconds
        self._entity.network_timeout = settings.network_seconds
        self._entity.connection_timeout = settings.network_seconds
        for sop_class in OUR_CLASSES:
            self._entity.add_requested_context(sop_class, ExplicitVRLittleEndian)

    def store(self, file: bytes) -> None:
        """See `Destination`."""
        dataset = pydicom.dcmread(io.BytesIO(file))
        host, port, title = self._node.host, self._node.port, self._node.ae_title
        association = self._entity.associate(host, port, ae_title=title)
        if not association.is_established:
            raise UnreachableError("no association")
        try:
            accepted = [one.abstract_syntax for one in association.accepted_contexts]
            if dataset.SOPClassUID not in accepted:
                raise NotTakenError("class not accepted")
            answer = association.send_c_store(dataset)
        finally:
            association.release()
        _check_status(answer.get("Status"))


def _check_status(status: int | None) -> None:
    """Raise unless this is the status of a stored object, of a C-STORE or of an item of a STOW."""
    if status is None:
        raise NotStoredError("no status")
    if status in NO_ROOM:
        raise UnreachableError(f"status 0x{status:04x}")
    if status in NOT_TAKEN:
        raise NotTakenError(f"status 0x{status:04x}")
    if status and status != HAS_IT_ALREADY and status not in WARNINGS:
        raise NotStoredError(f"status 0x{status:04x}")


class WebDestination:
    """Send objects to a DICOMweb server by STOW-RS, with a request for each."""

    def __init__(self, client: DICOMwebClient) -> None:
        self._client = client

    def store(self, file: bytes) -> None:
        """See `Destination`; only the list of stored objects says that ours is stored."""
        dataset = pydicom.dcmread(io.BytesIO(file))
        uid = str(dataset.SOPInstanceUID)
        try:
            answer = self._client.store_instances([dataset])
        except requests.RequestException as error:
            kind = UnreachableError if is_unreachable(error) else NotStoredError
            raise kind(_kind(error)) from error
        for failed in _items(answer, "FailedSOPSequence"):
            if failed.get("ReferencedSOPInstanceUID", uid) == uid:
                reason = failed.get("FailureReason")
                if reason == HAS_IT_ALREADY:
                    return
                _check_status(int(reason) if reason else None)
        stored = _items(answer, "ReferencedSOPSequence")
        if uid not in [one.get("ReferencedSOPInstanceUID") for one in stored]:
            raise NotStoredError("not in the list of stored objects")


def _items(answer: Dataset, keyword: str) -> Sequence[Dataset]:
    return answer.get(keyword) or []


def _kind(error: requests.RequestException) -> str:
    """Return what an error is; its own message quotes addresses with UIDs."""
    status = "" if error.response is None else f" {error.response.status_code}"
    return type(error).__name__ + status
