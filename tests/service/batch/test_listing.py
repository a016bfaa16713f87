import os
from pathlib import Path

import pytest

from service.batch.listing import list_films
from tests.support.archive_films import make_unreadable, write_archive
from tests.support.tiny_model import FILM


def test_a_folder_is_searched_by_what_files_hold_or_are_called(tmp_path: Path):
    films = write_archive(tmp_path)
    assert list_films(tmp_path) == (tmp_path, tuple(films), 3)


def test_a_film_that_cannot_be_read_is_listed_all_the_same(tmp_path: Path):
    make_unreadable(tmp_path / "film.png")
    make_unreadable(tmp_path / "perhaps_a_film")
    assert list_films(tmp_path).films == ("film.png", "perhaps_a_film")


def test_a_pipe_is_no_film(tmp_path: Path):
    (tmp_path / "film.png").write_bytes(FILM)
    os.mkfifo(tmp_path / "pipe.png")
    assert list_films(tmp_path) == (tmp_path, ("film.png",), 1)


def test_a_folder_that_cannot_be_read_is_named_not_passed_over(tmp_path: Path, monkeypatch):
    (tmp_path / "film.png").write_bytes(FILM)
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def locked(place):
        if Path(place).name == "locked":
            raise PermissionError(13, "Permission denied", place)
        return scandir(place)

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(PermissionError, match="locked"):
        list_films(tmp_path)


def test_a_manifest_names_films_below_its_own_folder_or_elsewhere(tmp_path: Path):
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\ufeffsplit,path\ntest,b/2.png\ntest,/a/1.png\ntest,./b/2.png\n")
    assert list_films(manifest) == (tmp_path, ("/a/1.png", "b/2.png"), 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"film,split\n1.png,test\n", "lacks the column 'path'"),
        (b"path,split\n1.png,test\n,test\n", "line 3 .* must not be empty"),
        (b"path,split\n", "holds none"),
        (FILM, "must be a folder or a manifest"),
    ],
)
def test_a_manifest_at_fault_is_refused(tmp_path: Path, content: bytes, message: str):
    manifest = tmp_path / "manifest.csv"
    manifest.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list_films(manifest)


def test_a_folder_without_films_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("no film")
    with pytest.raises(ValueError, match="holds none"):
        list_films(tmp_path)


def test_an_archive_that_is_not_there_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="absent"):
        list_films(tmp_path / "absent")
