"""Films in one folder per class are read, with or without folders of splits."""

import re
from pathlib import Path

import pytest

from training.preparation.layouts.image_folder import read_image_folder


def tree(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def test_the_folder_is_the_class_however_deep_the_film_lies(tmp_path: Path) -> None:
    films = read_image_folder(tree(tmp_path, "ill/a.png", "ill/more/b.JPEG", "well/c")).films
    labels = {film.path.name: film.targets["label"] for film in films}
    assert labels == {"a.png": "ill", "b.JPEG": "ill", "c": "well"}
    assert {film.split for film in films} == {None}
    assert {film.source for film in films} == {tmp_path.name}


def test_val_and_test_folders_keep_their_films(tmp_path: Path) -> None:
    tree(tmp_path, "train/ill/a.png", "valid/ill/b.png", "test/ill/c.png", "test/well/d.png")
    films = read_image_folder(tmp_path).films
    assert {film.path.name: film.split for film in films} == {
        "a.png": None,
        "b.png": "val",
        "c.png": "test",
        "d.png": "test",
    }


def test_without_a_pattern_each_film_is_a_patient_and_that_is_said(tmp_path: Path) -> None:
    listing = read_image_folder(tree(tmp_path, "train/ill/a.png", "test/ill/a.png"))
    assert {film.patient_id for film in listing.films} == {"train/ill/a.png", "test/ill/a.png"}
    assert "--patient REGEX" in listing.notes[0]


@pytest.mark.parametrize("pattern", [r"^person\d+", r"^(person\d+)_"])
def test_a_pattern_finds_the_patient_in_the_file_name(tmp_path: Path, pattern: str) -> None:
    tree(tmp_path, "ill/person1_virus_6.jpeg", "ill/person1_bacteria_1.jpeg", "well/person22_0.jpg")
    listing = read_image_folder(tmp_path, patient=re.compile(pattern))
    assert [film.patient_id for film in listing.films] == ["person1", "person1", "person22"]
    assert not listing.notes


def test_a_name_that_the_pattern_does_not_match_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ill/a\.png: its name must match .*'person"):
        read_image_folder(tree(tmp_path, "ill/a.png"), patient=re.compile("person"))


def test_other_files_are_counted_and_hidden_ones_ignored(tmp_path: Path) -> None:
    tree(tmp_path, "ill/a.png", "ill/notes.txt", "ill/.DS_Store", "ill/._a.png", "__MACOSX/b/c.png")
    listing = read_image_folder(tmp_path)
    assert [film.path.name for film in listing.films] == ["a.png"]
    assert listing.skipped == {"files named *.txt": 1}


def test_folders_beside_those_of_splits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must stand alone .* beside them: .*extra"):
        read_image_folder(tree(tmp_path, "train/ill/a.png", "extra/ill/b.png"))


def test_a_folder_without_class_folders_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must hold a folder of films per class"):
        read_image_folder(tree(tmp_path, "a.png"))
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        read_image_folder(tmp_path / "nowhere")
