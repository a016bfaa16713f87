import socket
from pathlib import Path

import pytest

import cxr
from service.commands import watch as watch_verb
from tests.support.dicom_films import PATIENT, UNLIKE, chest_film
from tests.support.pacs import Pacs, send
from tests.support.running_watch import watching
from tests.support.waiting import wait_until
from tests.support.wrongly_answered import wrongly_answered

# pynetdicom leaves sockets of associations that were cut off to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ANSWERED = {"SR": 1, "OT": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("watch")


@pytest.fixture(scope="module")
def pacs():
    with Pacs().running() as pacs:
        yield pacs


@pytest.fixture(scope="module")
def watch(folder: Path, model_file: Path, pacs: Pacs):
    answers = f"PACS@127.0.0.1:{pacs.port}"
    arguments = ["--listen", "0", "--send-to", answers, "--callers", "SCANNER,OTHER"]
    with watching(folder, model_file, *arguments) as watch:
        watch.wait_until_it_listens()
        yield watch


def test_a_film_is_answered_with_its_objects(watch, pacs: Pacs):
    before = pacs.modalities.copy()
    assert send(watch.port, [chest_film(number=1)]) == [0]
    wait_until(lambda: (pacs.modalities - before).total() == 3)
    assert pacs.modalities - before == ANSWERED


def test_a_film_that_comes_twice_is_answered_once(watch, pacs: Pacs):
    before = pacs.received.total()
    assert send(watch.port, [chest_film(number=2)] * 2) == [0, 0]
    assert send(watch.port, [chest_film(number=2), chest_film(number=3)]) == [0, 0]
    wait_until(lambda: pacs.received.total() == before + 6)
    assert set(pacs.received.values()) == {1}


def test_a_refused_film_is_answered_with_a_report(watch, pacs: Pacs):
    before = pacs.modalities.copy()
    send(watch.port, [chest_film(UNLIKE, number=4), chest_film(number=5)])
    wait_until(lambda: (pacs.modalities - before).total() == 4)
    assert pacs.modalities - before == {"SR": 2, "OT": 2}


def test_a_film_without_answer_holds_up_no_other(watch, pacs: Pacs):
    before = pacs.received.total()
    colour = chest_film(number=6, PhotometricInterpretation="RGB", SamplesPerPixel=3)
    assert send(watch.port, [colour, chest_film(number=7)]) == [0, 0]
    wait_until(lambda: pacs.received.total() == before + 3)
    assert "has no answer: UnsupportedFilmError" in watch.log


def test_a_stranger_sends_nothing(watch):
    assert send(watch.port, [chest_film(number=8)], title="STRANGER") == [None]


def test_nobody_is_named_in_the_log(watch, pacs: Pacs):
    send(watch.port, [chest_film(number=9, PatientName=PATIENT)])
    wait_until(lambda: watch.log.count("is answered with 3 objects") > 1)
    assert PATIENT not in watch.log
    assert "1.2.826.0.1.3680043.10.1" not in watch.log


def test_a_film_that_is_too_long_is_cut_off(tmp_path: Path, model_file: Path, monkeypatch):
    arguments = ["--listen", "0", "--send-to", "PACS@127.0.0.1:1"]
    with watching(tmp_path, model_file, *arguments, CXR_WATCH_MAX_FILM_BYTES="1000000") as watch:
        watch.wait_until_it_listens()
        assert send(watch.port, [chest_film(PixelData=bytes(3_000_000))]) == [None]
        assert send(watch.port, [chest_film(number=2)]) == [0]


def test_a_length_that_is_announced_is_not_waited_for(watch):
    with socket.create_connection(("127.0.0.1", watch.port), timeout=10) as connection:
        connection.sendall(b"\x01\0\xff\xff\xff\xff" + bytes(1000))
        assert connection.recv(1) == b""


def test_studies_arrive_once_each_though_the_archive_goes_away_and_we_are_killed(
    tmp_path: Path, model_file: Path
):
    pacs = Pacs()
    with pacs.running():
        arguments = ["--listen", "0", "--send-to", f"PACS@127.0.0.1:{pacs.port}"]
        first, second, third = (
            [chest_film(number=number) for number in part]
            for part in (range(100, 104), range(104, 108), range(108, 112))
        )
        with watching(tmp_path, model_file, *arguments) as watch:
            watch.wait_until_it_listens()
            assert send(watch.port, first) == [0] * 4
            wait_until(lambda: pacs.received)
    # Now the archive is away. The watch is killed as well, and started again.
    with watching(tmp_path, model_file, *arguments) as watch:
        watch.wait_until_it_listens()
        assert send(watch.port, second) == [0] * 4
        wait_until(lambda: "not sent" in watch.log)
        with pacs.running():
            assert send(watch.port, third) == [0] * 4
            wait_until(lambda: len(pacs.received) == 36)
            assert watch.stop() == 0
    assert "waiting: {'films': 0, 'objects': 0}" in watch.log
    assert pacs.received.total() <= 37  # one may have been on its way when we were killed


def test_what_the_archive_does_not_take_is_given_up(tmp_path: Path, model_file: Path):
    report, _, overlay = Pacs().classes
    with Pacs((report, overlay)).running() as pacs:
        arguments = ["--listen", "0", "--send-to", f"PACS@127.0.0.1:{pacs.port}"]
        with watching(tmp_path, model_file, *arguments) as watch:
            watch.wait_until_it_listens()
            send(watch.port, [chest_film()])
            wait_until(lambda: pacs.received.total() == 2)
            wait_until(lambda: "is not taken" in watch.log)
            assert watch.stop() == 0
    assert "waiting: {'films': 0, 'objects': 0}" in watch.log


def test_what_the_archive_can_not_take_now_is_sent_again(tmp_path: Path, model_file: Path):
    with Pacs().running() as pacs:
        pacs.status = 0xA700
        arguments = ["--listen", "0", "--send-to", f"PACS@127.0.0.1:{pacs.port}"]
        with watching(tmp_path, model_file, *arguments) as watch:
            watch.wait_until_it_listens()
            send(watch.port, [chest_film()])
            wait_until(lambda: "not sent" in watch.log)
            pacs.status = 0
            wait_until(lambda: pacs.received.total() == 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--listen", "0"], "nowhere to send answers"),
        (["--listen", "0", "--host", "0.0.0.0", "--stow", "http://a"], "--exposed"),
    ],
)
def test_a_watch_that_makes_no_sense_does_not_start(arguments, said, capsys):
    assert cxr.main(["watch", *arguments]) == 1
    assert said in capsys.readouterr().err


def test_a_watch_says_which_models_there_are(tmp_path: Path, model_file: Path):
    arguments = ["--listen", "0", "--stow", "http://127.0.0.1:1", "--model", "none"]
    with watching(tmp_path, model_file, *arguments) as watch:
        assert watch.process.wait(60) == 1
        watch.stop()
    assert "cxr watch: --model:" in watch.log


def test_a_watch_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(watch_verb, "find_spec", lambda name: None)
    assert cxr.main(["watch", "--listen", "0"]) == 1
    assert "pip install '.[watch]'" in capsys.readouterr().err


def test_studies_arrive_once_each_though_a_server_answers_wrongly_and_we_are_killed(
    tmp_path: Path, model_file: Path
):
    told = wrongly_answered(tmp_path, model_file, studies=12, kills=3)
    assert told == {"objects": 36, "lost": 0, "sent_again": 0, "readable_names": 0}
