import io
import struct
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile, ZipInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.films.zip_files import ArchiveLimits, archived_films, is_archive
from service.problems import ArchiveTooLarge, BadArchive, ServiceProblem
from tests.support.tiny_model import FILM, REFUSED_FILM

LIMITS = ArchiveLimits(max_films=100, max_film_bytes=2**22, max_bytes=2**24, max_ratio=200)
MEBIBYTE = 2**20


def zipped(*members, method=ZIP_DEFLATED, comment=b""):
    """Return a zip file of (name, bytes)."""
    file = io.BytesIO()
    with ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(ZipInfo(name), content, compress_type=method)
        archive.comment = comment
    return file.getvalue()


def films(archive, **limits):
    return list(archived_films(archive, LIMITS._replace(**limits)))


def kinds(archive, **limits):
    return [type(film) for film in films(archive, **limits)]


def bombs(count, size=LIMITS.max_film_bytes):
    return zipped(*[(f"{number}.png", bytes(size)) for number in range(count)])


def better_bomb(count):
    """Return a zip whose directory names one member so many times."""
    archive = zipped(("a.png", FILM))
    place = archive.index(b"PK\x01\x02")
    entry, end = archive[place : archive.index(b"PK\x05\x06")], archive[-22:]
    sizes = struct.pack("<2H2L", count, count, count * len(entry), place)
    return archive[:place] + entry * count + end[:8] + sizes + end[-2:]


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_films_come_in_the_order_of_the_directory(method):
    archive = zipped(("b.png", FILM), ("a.png", REFUSED_FILM), method=method)
    assert films(archive) == [FILM, REFUSED_FILM]


def test_films_are_unpacked_one_at_a_time():
    archive = archived_films(bombs(3, size=MEBIBYTE), LIMITS)
    assert next(archive) == bytes(MEBIBYTE)


def test_folders_and_hidden_files_are_no_films():
    hidden = [("x/", b""), ("__MACOSX/._a.png", b"x"), (".DS_Store", b"x"), ("x/.git/a", b"x")]
    assert films(zipped(*hidden, ("x/a.png", FILM))) == [FILM]


@pytest.mark.parametrize("name", ["/etc/passwd", "../../a.png", "a\\..\\b", "C:\\a.png", "\x1b[2J"])
def test_names_do_nothing(name):
    assert films(zipped((name, FILM))) == [FILM]


def test_a_member_without_a_name_is_a_film():
    assert films(zipped(("", FILM))) == [FILM]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_one_name_are_different_films():
    assert films(zipped(("a.png", FILM), ("a.png", REFUSED_FILM))) == [FILM, REFUSED_FILM]


def test_a_zip_in_a_zip_is_not_opened():
    inner = zipped(("a.png", FILM))
    assert films(zipped(("inner.zip", inner))) == [inner]


@pytest.mark.parametrize("archive", [zipped(), zipped(("folder/", b"")), zipped((".hidden", b"x"))])
def test_a_zip_without_films_is_refused(archive):
    with pytest.raises(BadArchive, match="no film"):
        archived_films(archive, LIMITS)


@pytest.mark.parametrize("kept", [4, 30, 0.5, -1])
def test_a_truncated_zip_is_refused(kept):
    archive = zipped(("a.png", FILM))
    with pytest.raises(BadArchive, match="truncated or corrupt"):
        archived_films(archive[: int(kept * len(archive)) if 0 < kept < 1 else kept], LIMITS)


def test_a_zip_with_a_comment_is_read():
    assert films(zipped(("a.png", FILM), comment=b"PK" * 100)) == [FILM]


def test_too_many_films_are_refused_before_any_is_archived_films():
    with pytest.raises(ArchiveTooLarge, match="the 3 films"):
        films(bombs(4, size=1), max_films=3)


def test_a_directory_of_gigabytes_is_not_read():
    entry = b"PK\x01\x02" + bytes(42)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(entry) * 500_000, 0, 0)
    with pytest.raises(ArchiveTooLarge):
        archived_films(b"PK\x03\x04" + entry * 500_000 + end, LIMITS)


def test_a_directory_of_other_lengths_beside_is_not_read():
    archive = zipped(("a.png", FILM))
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    with pytest.raises(BadArchive):
        archived_films(archive[:-22] + locator + archive[-22:], LIMITS)


def test_a_member_that_unpacks_to_too_much_has_a_problem_and_the_others_are_films():
    archive = zipped(("a", FILM), ("b", bytes(LIMITS.max_film_bytes + 1)), ("c", FILM))
    assert kinds(archive) == [bytes, ArchiveTooLarge, bytes]


def test_a_member_of_another_ratio_than_allowed_has_a_problem():
    assert kinds(zipped(("a", bytes(3 * MEBIBYTE)), ("b", FILM))) == [ArchiveTooLarge, bytes]


def test_a_small_black_film_may_have_any_ratio():
    assert films(zipped(("a", bytes(MEBIBYTE)))) == [bytes(MEBIBYTE)]


def test_members_beyond_the_limit_for_all_have_a_problem_each():
    archive = bombs(5, size=MEBIBYTE)
    assert kinds(archive, max_bytes=2 * MEBIBYTE) == [bytes, bytes, *[ArchiveTooLarge] * 3]


def test_a_header_that_says_too_little_does_not_let_more_out():
    archive = zipped(("a", bytes(2 * MEBIBYTE)))
    lying = archive.replace(struct.pack("<L", 2 * MEBIBYTE), struct.pack("<L", 10))
    assert kinds(lying) == [BadArchive]


def test_members_that_share_bytes_are_refused_but_for_one():
    assert kinds(better_bomb(50)) == [*[BadArchive] * 49, bytes]


@pytest.mark.parametrize("method", [ZIP_BZIP2, ZIP_LZMA])
def test_other_methods_are_a_problem(method):
    packed = zipped(("a", bytes(MEBIBYTE)), method=method)
    assert [film.detail for film in films(packed)] == [
        "A member of a zip file must be stored or deflated."
    ]


def test_an_encrypted_member_is_a_problem():
    archive = bytearray(zipped(("a", FILM)))
    archive[archive.index(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in films(bytes(archive))[0].detail


def test_a_corrupt_member_is_a_problem_and_the_next_one_a_film():
    archive = bytearray(zipped(("secret.png", FILM), ("b", FILM), method=ZIP_STORED))
    archive[60] ^= 255
    corrupt, film = films(bytes(archive))
    assert isinstance(corrupt, BadArchive)
    assert "secret" not in corrupt.detail
    assert film == FILM


def test_a_zip_is_known_by_its_first_bytes():
    assert is_archive(zipped(("a", FILM)))
    assert is_archive(zipped())
    assert not is_archive(FILM + zipped(("a", FILM)))


@settings(max_examples=300)
@given(st.data())
def test_a_mutated_zip_gives_films_or_problems(data):
    archive = bytearray(zipped(("a.png", FILM), ("b.png", REFUSED_FILM), ("c/d.png", b"x" * 99)))
    for place in data.draw(st.lists(st.integers(0, len(archive) - 1), min_size=1, max_size=6)):
        archive[place] = data.draw(st.integers(0, 255))
    try:
        found = films(bytes(archive))
    except ServiceProblem:
        return
    assert found
    assert all(isinstance(film, bytes | ServiceProblem) for film in found)
