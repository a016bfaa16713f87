import pytest

from service.watch.settings import Node, read_watch_settings

LISTEN = {"listen": 11112, "send_to": "PACS@127.0.0.1:4242"}


def test_a_node_is_written_as_title_host_and_port():
    settings = read_watch_settings(listen=0, send_to="MY PACS@pacs.example:104")
    assert settings.send_to == Node("MY PACS", "pacs.example", 104)


def test_the_environment_says_the_same(monkeypatch):
    monkeypatch.setenv("CXR_WATCH_LISTEN", "0")
    monkeypatch.setenv("CXR_WATCH_SEND_TO", "PACS@127.0.0.1:4242")
    monkeypatch.setenv("CXR_WATCH_CALLERS", "CT1, ROOM 2")
    settings = read_watch_settings()
    assert settings.send_to == Node("PACS", "127.0.0.1", 4242)
    assert settings.callers == ("CT1", "ROOM 2")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "nothing to watch"),
        ({"listen": 1}, "nowhere to send"),
        ({"listen": 1, "send_to": "PACS"}, r"send_to \(CXR_WATCH_SEND_TO\) must be AE_TITLE@HOST"),
        ({"listen": 1, "send_to": "PACS@host:99999"}, "must be AE_TITLE@HOST"),
        (LISTEN | {"stow": "http://127.0.0.1/"}, "both given"),
        (LISTEN | {"host": "0.0.0.0"}, "--exposed"),
        (LISTEN | {"host": ""}, "--exposed"),
        (LISTEN | {"ae_title": "longer than sixteen"}, "ae_title"),
        (LISTEN | {"callers": "back\\slash"}, "callers"),
        ({"poll": "ftp://host"}, "poll"),
    ],
)
def test_what_makes_no_sense_is_told(given, said):
    with pytest.raises(ValueError, match=said):
        read_watch_settings(**given)


def test_other_machines_are_let_in_on_demand():
    assert read_watch_settings(**LISTEN, host="0.0.0.0", exposed=True).host == "0.0.0.0"


def test_answers_go_where_films_come_from_unless_told():
    assert read_watch_settings(poll="http://127.0.0.1/dicom-web").stow is None
