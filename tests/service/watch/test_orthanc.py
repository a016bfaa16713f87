"""The DICOM results and a real archive."""

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import pydicom
import pytest

from service.answers.film_answer import answer_film
from service.dicom.answer import RELATED_DICOM, related_pieces
from service.dicom.results import result_objects
from service.films.decoding import Limits
from tests.support.dicom_films import chest_film
from tests.support.loopback_only import loopback_only
from tests.support.orthanc import DICOMWEB, NODE, needs_orthanc, running_orthanc
from tests.support.pacs import send
from tests.support.running_watch import watching
from tests.support.waiting import wait_until
from xai.explainer import Explainer

pytestmark = [
    needs_orthanc(),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
AS_STORED = {"accept": f"{RELATED_DICOM}; transfer-syntax=*"}


@pytest.fixture
def network() -> Iterator[None]:
    with loopback_only():
        yield


@pytest.fixture(scope="module")
def objects(model_file: Path) -> list[bytes]:
    film_answer = answer_film(Explainer(model_file), chest_film())
    prediction = film_answer.explained_prediction()
    return result_objects(chest_film(), prediction, "pneumonia", Limits())


def stored(archive: httpx.Client) -> int:
    return archive.get("/statistics").json()["CountInstances"]


def stow(archive: httpx.Client, *files: bytes) -> None:
    media_type = f"{RELATED_DICOM}; boundary=between-files"
    archive.post(
        "/dicom-web/studies",
        content=b"".join(related_pieces(files, "between-files")),
        headers={"content-type": media_type, "accept": "application/dicom+json"},
    ).raise_for_status()


def test_the_objects_go_in_and_come_out_byte_for_byte(network, tmp_path: Path, objects):
    film = pydicom.dcmread(io.BytesIO(chest_film()))
    with running_orthanc(tmp_path) as archive:
        stow(archive, chest_film(), *objects)
        series = archive.get(f"/dicom-web/studies/{film.StudyInstanceUID}/series").json()
        found = sorted(one["00080060"]["Value"][0] for one in series)
        assert found == ["CR", "OT", "OT", "SR"]
        for file in objects:
            assert file in archive.get(_address(file), headers=AS_STORED).content


def _address(file: bytes) -> str:
    one = pydicom.dcmread(io.BytesIO(file))
    return (
        f"/dicom-web/studies/{one.StudyInstanceUID}/series/{one.SeriesInstanceUID}"
        f"/instances/{one.SOPInstanceUID}"
    )


def test_fifty_studies_arrive_once_each_though_the_archive_is_restarted(
    network, tmp_path: Path, model_file: Path
):
    films = [chest_film(number=number) for number in range(50)]
    with watching(tmp_path, model_file, "--listen", "0", "--send-to", NODE) as watch:
        watch.wait_until_it_listens()
        with running_orthanc(tmp_path) as archive:
            assert send(watch.port, films[:15]) == [0] * 15
            wait_until(lambda: stored(archive))
        assert send(watch.port, films[15:35]) == [0] * 20
        wait_until(lambda: "not sent" in watch.log)
        with running_orthanc(tmp_path) as archive:
            assert send(watch.port, films[35:]) == [0] * 15
            wait_until(lambda: stored(archive) == 150)
            assert watch.stop() == 0
            assert (stored(archive), len(archive.get("/studies").json())) == (150, 50)
    assert "waiting: {'films': 0, 'objects': 0}" in watch.log


def test_a_dicomweb_server_is_asked_and_answered(network, tmp_path: Path, model_file: Path):
    with running_orthanc(tmp_path) as archive:
        stow(archive, *(chest_film(number=number) for number in range(3)))
        arguments = ["--poll", DICOMWEB]
        with watching(tmp_path, model_file, *arguments, CXR_WATCH_POLL_DAYS="36500") as watch:
            wait_until(lambda: stored(archive) == 12)
    with running_orthanc(tmp_path) as archive:
        with watching(tmp_path, model_file, *arguments, CXR_WATCH_POLL_DAYS="36500") as watch:
            stow(archive, chest_film(number=4))
            wait_until(lambda: stored(archive) == 16)
            assert watch.stop() == 0
        assert stored(archive) == 16
