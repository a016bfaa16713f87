"""Send the answers of `cxr watch` to a DICOM node (C-STORE) or a DICOMweb server (STOW-RS).

Imported only by `cxr watch`: pynetdicom and dicomweb-client are an optional extra.
"""

import io
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

OUR_CLASSES = (Comprehensive3DSRStorage, ParametricMapStorage, SecondaryCaptureImageStorage)
WARNINGS = range(0xB000, 0xC000)
"""Statuses (PS3.4, table B.2-1) of an object that is stored, if not quite as it was sent."""
NOT_TAKEN = (0x0117, 0x0122, 0x0124, *range(0xA900, 0xAA00), *range(0xC000, 0xD000))
"""Statuses (PS3.4, table B.2-1) that another attempt won't change."""
NOT_TAKEN_OVER_HTTP = (400, 409, 413, 415)


class NotTakenError(Exception):
    """The destination refuses this object, and would refuse it again."""


class Destination(Protocol):
    """Stores the objects of an answer."""

    def store(self, file: bytes) -> None:
        """Send a DICOM file; it is stored when this returns.

        Raises:
            NotTakenError: The destination refuses it.
            OSError: It could not be sent now.
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
            raise ConnectionError("no association")
        try:
            accepted = [one.abstract_syntax for one in association.accepted_contexts]
            if dataset.SOPClassUID not in accepted:
                raise NotTakenError("class not accepted")
            answer = association.send_c_store(dataset)
        except RuntimeError as error:
            raise ConnectionError("association lost") from error
        finally:
            association.release()
        _check_status(answer.get("Status"))


def _check_status(status: int | None) -> None:
    """Raise unless this is the status of a stored object, of a C-STORE or of an item of a STOW."""
    if status is None:
        raise ConnectionError("no answer")
    if status in NOT_TAKEN:
        raise NotTakenError(f"status 0x{status:04x}")
    if status and status not in WARNINGS:
        raise OSError(f"status 0x{status:04x}")


class WebDestination:
    """Send objects to a DICOMweb server by STOW-RS, with a request for each."""

    def __init__(self, client: DICOMwebClient) -> None:
        self._client = client

    def store(self, file: bytes) -> None:
        """See `Destination`."""
        try:
            answer = self._client.store_instances([pydicom.dcmread(io.BytesIO(file))])
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else None
            if status in NOT_TAKEN_OVER_HTTP:
                raise NotTakenError(f"status {status}") from error
            raise
        for failed in _failed(answer):
            _check_status(int(failed.FailureReason))


def _failed(answer: Dataset) -> list[Dataset]:
    return list(answer.get("FailedSOPSequence") or [])


def open_web_client(settings: WatchSettings, url: str) -> DICOMwebClient:
    """Return a client of a DICOMweb server without retries: the journal decides on those."""
    session = requests.Session()
    if settings.dicomweb_user and settings.dicomweb_password:
        session.auth = (settings.dicomweb_user, settings.dicomweb_password.get_secret_value())
    client = DICOMwebClient(url, session=session, timeout=settings.network_seconds)
    client.set_http_retry_params(retry=False)
    return client
