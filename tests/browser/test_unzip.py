"""Tests of unpacking zips in the page (`unzip.js`), damaged and crafted ones too."""

import base64
import io
import zipfile
from typing import Any

import numpy as np
import pytest

from tests.browser.reader import Reader

pytestmark = pytest.mark.browser

NOISE = np.random.default_rng(0).bytes(100_000)
FLAT = bytes(100_000)

MEMBERS = """
async ([base64]) => {
  const { zipMembers } = await import("/films/unzip.js");
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const outcome = async ({ path, load, problem }) => {
    if (problem) return [path, problem.title];
    const film = await load().catch((error) => error);
    return [path, film.title ?? Array.from(new Uint8Array(await film.arrayBuffer())).join()];
  };
  const members = await zipMembers(new Blob([bytes])).catch((error) => error);
  return members.title ?? Object.fromEntries(await Promise.all(members.map(outcome)));
}
"""

MOST_READ = """
async ([base64]) => {
  const { zipMembers } = await import("/films/unzip.js");
  const zip = new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))]);
  const lengths = [];
  const slice = zip.slice.bind(zip);
  zip.slice = (start, end) => { lengths.push(end - start); return slice(start, end); };
  await (await zipMembers(zip))[0].load();
  return Math.max(...lengths);
}
"""

BROKEN = "This zip is damaged, or is none"


@pytest.fixture(scope="module")
def reader(shared_reader: Reader) -> Reader:
    return shared_reader


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for path, content in members.items():
            archive.writestr(path, content)
    return file.getvalue()


def unzipped(reader: Reader, archive: bytes) -> dict[str, Any]:
    """Return each member's bytes, or the sentence that refuses it; or the zip's sentence."""
    outcome = reader.page.evaluate(MEMBERS, [base64.b64encode(archive).decode()])
    if isinstance(outcome, str):
        return {"": outcome}
    return {path: content_of(text) for path, text in outcome.items()}


def content_of(text: str) -> bytes | str:
    return bytes(map(int, text.split(","))) if text[:1].isdigit() else text


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_come_out_as_they_went_in(reader: Reader, method: int) -> None:
    members = {"ward/one.dcm": NOISE, "ward/Zwei \u00e4.png": FLAT}
    assert unzipped(reader, zipped(members, method)) == members


def test_folders_are_no_members(reader: Reader) -> None:
    assert unzipped(reader, zipped({"ward/": b"", "ward/one": b"1"})) == {"ward/one": b"1"}


def test_a_zip_may_have_a_comment(reader: Reader) -> None:
    file = io.BytesIO(zipped({"one": b"1"}))
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"c" * 65_535
    assert unzipped(reader, file.getvalue()) == {"one": b"1"}


def test_a_zip_may_be_larger_than_four_gigabytes(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)  # from which Python writes zip64 records
    members = {"one": NOISE, "two": FLAT, "three": b"3"}
    archive = zipped(members)
    assert b"PK\x06\x06" in archive
    assert unzipped(reader, archive) == members


def test_an_encrypted_member_is_refused_and_the_others_are_not(reader: Reader) -> None:
    archive = bytearray(zipped({"one": NOISE, "two": b"2"}))
    archive[archive.index(b"PK\x01\x02") + 8] |= 1
    outcome = unzipped(reader, bytes(archive))
    assert outcome == {"one": "This file is encrypted in its zip", "two": b"2"}


def test_a_member_packed_in_another_way_is_refused(reader: Reader) -> None:
    [sentence] = unzipped(reader, zipped({"one": NOISE}, zipfile.ZIP_LZMA)).values()
    assert sentence == "This file is packed in a way this page can\u2019t unpack"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_with_a_changed_byte_is_refused(reader: Reader, method: int) -> None:
    archive = bytearray(zipped({"one": NOISE}, method))
    archive[50_000] ^= 1
    assert unzipped(reader, bytes(archive)) == {"one": BROKEN}


def test_a_member_is_counted_while_it_is_unpacked_whatever_it_says(reader: Reader) -> None:
    archive = bytearray(zipped({"one": bytes(65 * 2**20)}))
    size = archive.index(b"PK\x01\x02") + 24
    archive[size : size + 4] = (1000).to_bytes(4, "little")
    assert unzipped(reader, bytes(archive)) == {"one": "This file is too large once unpacked"}


@pytest.mark.parametrize(("count", "opened"), [(2000, True), (2001, False)])
def test_a_zip_of_too_many_files_is_refused(reader: Reader, count: int, opened: bool) -> None:
    outcome = unzipped(reader, zipped({str(index): b"1" for index in range(count)}))
    assert len(outcome) == (count if opened else 1)
    assert opened or outcome == {"": "This zip holds too many files"}


@pytest.mark.parametrize("archive", [b"", b"a letter", NOISE, zipped({"one": NOISE})[:-30]])
def test_what_is_no_zip_is_refused(reader: Reader, archive: bytes) -> None:
    assert unzipped(reader, archive) == {"": BROKEN}


@pytest.mark.parametrize("field", [12, 16])  # the directory's size and place
def test_a_directory_that_lies_elsewhere_is_refused(reader: Reader, field: int) -> None:
    archive = bytearray(zipped({"one": NOISE}))
    at = archive.index(b"PK\x05\x06") + field
    archive[at : at + 4] = (int.from_bytes(archive[at : at + 4], "little") + 7).to_bytes(
        4, "little"
    )
    assert unzipped(reader, bytes(archive)) == {"": BROKEN}


def test_a_zip_is_never_read_as_a_whole(reader: Reader) -> None:
    members = {str(index): NOISE for index in range(10)}
    archive = base64.b64encode(zipped(members)).decode()
    assert reader.page.evaluate(MOST_READ, [archive]) < 1.1 * len(NOISE)
