import re
import stat
from hashlib import sha256
from pathlib import Path

import pytest

import cxr
from service.http.keys import KeyRing, read_keys

HASH = "0123456789abcdef" * 4


def made(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the key that `cxr key` prints."""
    assert cxr.main(["key", *arguments]) == 0
    return capsys.readouterr().out.removesuffix("\n")


def test_a_new_key_is_printed_once_and_kept_as_its_hash(tmp_path: Path, capsys):
    file = tmp_path / "keys.toml"
    assert cxr.main(["key", "ward-7", "--file", str(file)]) == 0
    printed = capsys.readouterr()
    key = printed.out.removesuffix("\n")
    assert re.fullmatch(r"[\w-]{43}", key)  # 256 bits
    assert (
        printed.err == f"This is the only time the key of ward-7 is shown: {file} keeps its hash.\n"
    )
    assert key not in file.read_text()
    assert f'sha256 = "{sha256(key.encode()).hexdigest()}"' in file.read_text()


def test_a_new_file_is_its_owners_alone(tmp_path: Path, capsys):
    made(capsys, "ward-7", "--file", str(tmp_path / "keys.toml"))
    assert stat.S_IMODE((tmp_path / "keys.toml").stat().st_mode) == 0o600


def test_a_key_carries_what_it_may(tmp_path: Path, capsys):
    file = tmp_path / "keys.toml"
    made(capsys, "ward", "--file", str(file))
    made(capsys, "boss", "--file", str(file), "--admin", "--requests-per-minute", "30")
    ward, boss = read_keys(file)
    assert (ward.id, ward.admin, ward.requests_per_minute) == ("ward", False, None)
    assert (boss.id, boss.admin, boss.requests_per_minute) == ("boss", True, 30)


@pytest.mark.parametrize("end", ["", "\n"])
def test_what_a_file_held_before_stays_as_it_is(tmp_path: Path, capsys, end: str):
    file = tmp_path / "keys.toml"
    before = f'# of the ward\n[[keys]]\nid = "ward"\nsha256 = "{HASH}"{end}'
    file.write_text(before)
    made(capsys, "other", "--file", str(file))
    assert file.read_text().startswith(before)
    assert [key.id for key in read_keys(file)] == ["ward", "other"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["ward"], "keys.toml: keys: the id ward is taken"),
        (["Doe, Jane"], "id: String should match pattern"),
        (["new", "--requests-per-minute=0"], "requests_per_minute: Input should be greater than 0"),
    ],
)
def test_a_key_that_cannot_be_made_leaves_the_file_alone(tmp_path, capsys, arguments, fault):
    file = tmp_path / "keys.toml"
    made(capsys, "ward", "--file", str(file))
    before = file.read_text()
    assert cxr.main(["key", *arguments, "--file", str(file)]) == 1
    assert fault in capsys.readouterr().err
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("[[keys]", "must be TOML"),
        ("\udcff", "must be TOML"),
        ('[[keys]]\nid = "a"', "keys.0.sha256: Field required"),
        (f'[[keys]]\nid = "a"\nsha256 = "{HASH}"\nadmin = "no"', "keys.0.admin: .*valid boolean"),
        (f'[[keys]]\nid = "a"\nsha256 = "{HASH}"\nroot = true', "keys.0.root: Extra inputs"),
        ("key = []", "key: Extra inputs"),
    ],
)
def test_a_file_with_a_fault_is_named_with_the_rule(tmp_path: Path, text: str, rule: str):
    file = tmp_path / "keys.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=f"^{file}:? {rule}"):
        read_keys(file)


def test_a_key_pasted_where_its_hash_belongs_is_not_repeated(tmp_path: Path):
    file = tmp_path / "keys.toml"
    file.write_text('[[keys]]\nid = "a"\nsha256 = "the-key-itself"')
    with pytest.raises(ValueError, match="sha256") as fault:
        read_keys(file)
    assert "the-key-itself" not in str(fault.value)
    assert fault.value.__suppress_context__


def test_a_ring_finds_a_key_and_no_other(tmp_path: Path, capsys):
    file = tmp_path / "keys.toml"
    keys = {name: made(capsys, name, "--file", str(file)) for name in ("one", "two")}
    ring = KeyRing(file)
    for name, token in keys.items():
        found = ring.find(token)
        assert found is not None
        assert found.id == name
    for other in ("", "one", keys["one"][:-1], read_keys(file)[0].sha256):
        assert ring.find(other) is None
