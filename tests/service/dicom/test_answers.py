import email
import io
from email import policy

import httpx
import pydicom
import pytest

import cxr
from service.api import films
from service.commands import explain
from tests.support.dicom_films import PATIENT, UNLIKE, chest_film
from tests.support.tiny_model import FILM

DICOM = {"accept": 'multipart/related; type="application/dicom"'}


def parts(answer: httpx.Response) -> list[pydicom.Dataset]:
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.content, policy=policy.HTTP)
    found = list(message.iter_parts())
    assert {one.get_content_type() for one in found} == {"application/dicom"}
    return [pydicom.dcmread(io.BytesIO(one.get_payload(decode=True))) for one in found]


def modalities(answer: httpx.Response) -> list[str]:
    return [one.Modality for one in parts(answer)]


def test_the_answer_can_be_had_as_dicom_objects(client: httpx.Client):
    answer = client.post("/v1/explain", content=chest_film(), headers=DICOM)
    assert answer.headers["vary"] == "Accept"
    assert modalities(answer) == ["SR", "OT", "OT"]


def test_a_refused_film_is_answered_with_a_report_alone(client: httpx.Client):
    film = chest_film(UNLIKE)
    assert modalities(client.post("/v1/explain", content=film, headers=DICOM)) == ["SR"]
    forced = client.post("/v1/explain?force=true", content=film, headers=DICOM)
    assert modalities(forced) == ["SR", "OT", "OT"]


def test_the_map_is_of_the_class_asked_for(client: httpx.Client):
    answer = client.post("/v1/explain?class=effusion", content=chest_film(), headers=DICOM)
    assert "effusion" in str(parts(answer)[1])


@pytest.mark.parametrize("film", [FILM, chest_film(without="StudyInstanceUID")])
def test_a_film_without_a_study_is_a_problem(client: httpx.Client, film):
    problem = client.post("/v1/explain", content=film, headers=DICOM)
    assert problem.status_code == 422
    assert problem.json()["type"].endswith(":no-source-instance")
    assert PATIENT not in problem.text


def test_without_highdicom_there_is_no_such_answer(client: httpx.Client, monkeypatch):
    monkeypatch.setattr(films, "can_be_made", lambda: False)
    problem = client.post("/v1/explain", content=chest_film(), headers=DICOM)
    assert problem.status_code == 406


def asked(tmp_path, model_file, film: bytes, *more: str) -> int:
    (tmp_path / "film.dcm").write_bytes(film)
    out = str(tmp_path / "out")
    arguments = [str(tmp_path / "film.dcm"), "--dicom", out, "--model", str(model_file), *more]
    return cxr.main(["explain", *arguments])


def test_the_command_writes_a_folder(tmp_path, model_file):
    assert asked(tmp_path, model_file, chest_film()) == 0
    written = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert written == ["evidence.dcm", "overlay.dcm", "report.dcm"]


def test_the_command_writes_the_report_on_a_refused_film(tmp_path, model_file, capsys):
    assert asked(tmp_path, model_file, chest_film(UNLIKE)) == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["report.dcm"]


def test_the_command_says_what_the_film_lacks(tmp_path, model_file, capsys):
    assert asked(tmp_path, model_file, chest_film(without="StudyInstanceUID")) == 1
    assert "StudyInstanceUID; it has none" in capsys.readouterr().err


def test_the_command_says_what_to_install(tmp_path, model_file, capsys, monkeypatch):
    monkeypatch.setattr(explain, "can_be_made", lambda: False)
    assert asked(tmp_path, model_file, chest_film()) == 1
    assert "pip install '.[dicom-results]'" in capsys.readouterr().err


def test_the_command_wants_something_to_write(tmp_path, model_file, capsys):
    (tmp_path / "film.dcm").write_bytes(chest_film())
    assert cxr.main(["explain", str(tmp_path / "film.dcm"), "--model", str(model_file)]) == 1
    assert "-o FILE" in capsys.readouterr().err
