"""A stand-in for an archive, and a stand-in for a scanner: DICOM nodes in a thread."""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pydicom
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt

from service.watch.destinations import OUR_CLASSES


class Pacs:
    """Counts what it is sent.

    Attributes:
        port: Where it listens when it runs.
        received: How often each SOP instance came.
        status: What it answers.
        classes: SOP classes that it takes.
    """

    def __init__(self, classes: Sequence[str] = OUR_CLASSES) -> None:
        self.port, self.status, self.classes = 0, 0x0000, classes
        self.received: Counter[str] = Counter()
        self.modalities: Counter[str] = Counter()

    @contextmanager
    def running(self) -> Iterator["Pacs"]:
        """Listen; again on the same port if it has run before."""
        entity = AE(ae_title="PACS")
        entity.require_called_aet = True
        for sop_class in self.classes:
            entity.add_supported_context(sop_class)
        server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        self.port = server.server_address[1]
        try:
            yield self
        finally:
            entity.shutdown()

    def _store(self, event: evt.Event) -> int:
        if self.status == 0:
            self.received[event.dataset.SOPInstanceUID] += 1
            self.modalities[event.dataset.Modality] += 1
        return self.status


def send(port: int, films: Sequence[bytes], *, title: str = "SCANNER") -> list[int | None]:
    """Send films to the node CXR; return the status of each, None where none came back."""
    entity = AE(ae_title=title)
    entity.add_requested_context(ComputedRadiographyImageStorage, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", port, ae_title="CXR")
    if not association.is_established:
        return [None for _ in films]
    statuses = []
    for film in films:
        try:
            answer = association.send_c_store(pydicom.dcmread(io.BytesIO(film)))
            statuses.append(answer.get("Status"))
        except RuntimeError:  # the association has ended
            statuses.append(None)
    association.release()
    return statuses
