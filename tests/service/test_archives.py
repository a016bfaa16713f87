"""Zips: what is a film in them, and what is a bomb."""

import io
import zipfile
from collections.abc import Mapping

import pytest

from service.archives import ArchiveLimits, archived_films, is_archive
from service.problems import ArchiveTooLarge, BadArchive

LIMITS = ArchiveLimits(max_films=5, max_film_bytes=4 * 2**20, max_bytes=10 * 2**20, max_ratio=100)


def archive(
    members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED, **limits: int
) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return file.getvalue()


def films(body: bytes, **limits: int):
    return list(archived_films(body, LIMITS._replace(**limits)))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_films_come_in_the_order_of_the_zip(method: int):
    assert films(archive({"b.png": b"1", "a/c.dcm": b"2"}, method)) == [b"1", b"2"]


def test_folders_and_hidden_files_do_not_count():
    names = ["folder/", ".DS_Store", "__MACOSX/._a.png", "a/.hidden", "a/film"]
    assert films(archive({name: name.encode() for name in names})) == [b"a/film"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../../up", "a" * 60_000, "über\\film"])
def test_names_mean_nothing(name: str):
    assert films(archive({name: b"film"})) == [b"film"]


def test_a_zip_in_the_zip_is_not_opened():
    inner = archive({"film": b"film"})
    assert films(archive({"inner.zip": inner})) == [inner]


@pytest.mark.parametrize(
    "body",
    [
        b"PK\x03\x04",
        archive({"a": b"film"})[:-30],
        archive({}),
        archive({"folder/": b""}),
        archive({"a": b"film"}).replace(b"PK\x01\x02", b"PK\x01\x03"),
    ],
)
def test_a_zip_that_holds_no_film_is_refused(body: bytes):
    with pytest.raises(BadArchive):
        archived_films(body, LIMITS)


def test_a_zip_with_too_many_films_is_refused_before_any_is_unpacked():
    with pytest.raises(ArchiveTooLarge, match="more than the 5 films"):
        archived_films(archive({str(number): b"" for number in range(6)}), LIMITS)


def test_a_directory_of_millions_is_not_read(monkeypatch):
    monkeypatch.setattr("service.archives.ZipFile", lambda _: pytest.fail("read"))
    with pytest.raises(ArchiveTooLarge):
        archived_films(b"PK\x03\x04" + b"PK\x01\x02" * 10_000, LIMITS)


def test_a_corrupt_member_leaves_the_others_alone():
    body = archive({"a": b"first", "b": b"second" * 9, "c": b"third"}, zipfile.ZIP_STORED)
    first, second, third = films(body.replace(b"second", b"sEcond"))
    assert (first, third) == (b"first", b"third")
    assert isinstance(second, BadArchive)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_bound_are_not_used(method: int):
    [problem] = films(archive({"a": b"film"}, method))
    assert isinstance(problem, BadArchive)


def test_an_encrypted_member_is_a_problem():
    body = bytearray(archive({"a": b"film"}))
    body[6] |= 1  # in the local header, and in the directory
    body[body.index(b"PK\x01\x02") + 8] |= 1
    [problem] = films(bytes(body))
    assert isinstance(problem, BadArchive)


@pytest.mark.parametrize(
    ("size", "limits"),
    [
        (5 * 2**20, {"max_ratio": 10**6}),  # longer than a film may be
        (3 * 2**20, {"max_ratio": 10}),
        (3 * 2**20, {"max_ratio": 10**6, "max_bytes": 2 * 2**20}),
    ],
)
def test_a_bomb_is_a_problem(size: int, limits: dict[str, int]):
    [problem] = films(archive({"bomb": bytes(size)}), **limits)
    assert isinstance(problem, ArchiveTooLarge)


def test_a_size_in_a_header_is_not_trusted():
    body = bytearray(archive({"bomb": bytes(3 * 2**20)}))
    for place in (22, body.index(b"PK\x01\x02") + 24):
        body[place : place + 4] = (10).to_bytes(4, "little")
    [problem] = films(bytes(body), max_ratio=10)
    assert isinstance(problem, (ArchiveTooLarge, BadArchive))


def test_members_after_the_total_is_used_up_get_a_problem_each():
    body = archive({str(number): bytes(2**20) for number in range(4)})
    found = films(body, max_bytes=2 * 2**20)
    assert [isinstance(one, bytes) for one in found] == [True, True, False, False]


def test_a_black_film_may_be_small():
    assert films(archive({"black": bytes(2**20)}), max_ratio=2) == [bytes(2**20)]


def test_what_begins_as_a_zip_is_one():
    assert is_archive(archive({"a": b""}))
    assert not is_archive(b"\x89PNG")
