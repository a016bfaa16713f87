import io
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pydicom
import pytest
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, _config

from service.watch import dicom_node
from service.watch.dicom_node import listening
from service.watch.journal import Journal
from service.watch.settings import read_watch_settings
from tests.support.dicom_films import chest_film
from tests.support.pacs import send
from tests.support.waiting import wait_until

# pynetdicom leaves sockets of associations that were cut off to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SILENT_SECONDS = 1.0


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "j", max_bytes=10**9, retry_seconds=1, max_faults=3)
    yield journal
    journal.close()


@contextmanager
def node(journal: Journal, **settings: object) -> Iterator[int]:
    given = {"listen": 0, "send_to": "PACS@127.0.0.1:1"} | settings
    with listening(read_watch_settings(**given), journal) as port:
        yield port


@contextmanager
def connections(port: int, number: int, *, says: bytes = b"", source: str = "127.0.0.2"):
    """Open connections from another address, which say this much and no more."""
    with ExitStack() as opened:
        yield [opened.enter_context(_connection(port, says, source)) for _ in range(number)]


def _connection(port: int, says: bytes, source: str) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port), 30, source_address=(source, 0))
    one.sendall(says)
    return one


@contextmanager
def association(port: int):
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(ComputedRadiographyImageStorage, ExplicitVRLittleEndian)
    opened = entity.associate("127.0.0.1", port, ae_title="CXR")
    yield opened
    opened.release()


def test_a_connection_that_was_closed_meanwhile_needs_no_hanging_up():
    closed = SimpleNamespace(dul=SimpleNamespace(socket=SimpleNamespace(socket=None)))
    dicom_node.hang_up(closed)


@pytest.mark.parametrize("says", [b"", b"\x01\0\0\0\1\0", b"\x01\0\0\0\1\0\0\1"])
def test_silent_connections_keep_nobody_out_and_are_ended_soon(
    journal: Journal, monkeypatch, says: bytes
):
    monkeypatch.setattr(dicom_node, "SILENT_SECONDS", SILENT_SECONDS)
    with node(journal) as port, connections(port, 8, says=says) as silent:
        assert send(port, [chest_film()]) == [0]
        assert [one.recv(1) for one in silent] == [b""] * 8


def test_an_address_opens_only_so_many_connections(journal: Journal):
    with (
        node(journal, max_peer_associations=1) as port,
        connections(port, 3) as silent,
        association(port) as opened,
    ):
        assert opened.is_established
        assert silent[-1].recv(1) == b""


def test_an_address_has_only_so_many_associations(journal: Journal):
    with node(journal, max_peer_associations=1) as port, association(port) as first:
        assert first.is_established
        with association(port) as second:
            assert second.is_rejected
    assert send(port, []) == []


def test_there_are_only_so_many_associations_in_all(journal: Journal):
    with node(journal, max_associations=1) as port:
        with association(port) as first, association(port) as second:
            assert (first.is_established, second.is_established) == (True, False)
        wait_until(lambda: send(port, [chest_film()]) == [0], 30)


def test_a_request_for_an_association_is_short(journal: Journal):
    with node(journal) as port, connections(port, 1, says=b"\x01\0\x01\0\0\0") as [one]:
        assert one.recv(1) == b""


def test_a_film_under_another_name_is_not_taken(journal: Journal, tmp_path: Path, monkeypatch):
    film = pydicom.dcmread(io.BytesIO(chest_film()))
    film.file_meta.MediaStorageSOPInstanceUID = "1.2.3"  # what a sender of chunks calls it
    pydicom.dcmwrite(tmp_path / "film.dcm", film)
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    with node(journal) as port, association(port) as opened:
        assert opened.send_c_store(tmp_path / "film.dcm").Status == 0xA900
    assert journal.waiting()["films"] == 0


def test_listening_ends_though_somebody_is_silent(journal: Journal, monkeypatch):
    monkeypatch.setattr(dicom_node, "SILENT_SECONDS", SILENT_SECONDS)
    began = time.monotonic()
    with node(journal) as port, connections(port, 2), association(port) as opened:
        assert opened.is_established
    assert time.monotonic() - began < 60
