import pytest

import cxr
from service.settings import Settings, read_settings


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", "99999", "port (CXR_PORT) must be less than or equal to 65535, not '99999'"),
        ("LOG_FORMAT", "xml", "log_format (CXR_LOG_FORMAT) must be 'text' or 'json', not 'xml'"),
        ("AUTH", "perhaps", "auth (CXR_AUTH) must be a valid boolean"),
    ],
)
def test_a_setting_that_is_not_allowed_is_one_sentence(monkeypatch, capsys, name, value, sentence):
    monkeypatch.setenv(f"CXR_{name}", value)
    for verb in (["serve"], ["predict", "film.png"]):
        assert cxr.main(verb) == 1
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith(f"cxr {verb[0]}: {sentence}")


def test_an_argument_that_is_not_allowed_is_one_sentence(capsys):
    assert cxr.main(["serve", "--port", "99999"]) == 1
    rule = "port (CXR_PORT) must be less than or equal to 65535, not 99999"
    assert capsys.readouterr().err == f"cxr serve: {rule}\n"


def test_every_setting_at_fault_is_named():
    with pytest.raises(ValueError, match=r"port .*, not -1; queue_size .*, not 0$"):
        read_settings(port=-1, queue_size=0)


def test_settings_given_come_before_those_of_the_environment(monkeypatch):
    monkeypatch.setenv("CXR_PORT", "9000")
    assert read_settings().port == 9000
    assert read_settings(port=9001).port == 9001


def test_a_secret_of_the_container_is_a_setting(tmp_path):
    (tmp_path / "cxr_audit_url").write_text("sqlite:////audit/trail.sqlite\n")
    settings = Settings(_secrets_dir=tmp_path)
    assert settings.audit_url.get_secret_value() == "sqlite:////audit/trail.sqlite"
    assert "trail" not in repr(settings)
