"""ChestX-ray14 is read as NIH publishes it."""

from pathlib import Path

import pytest

from tests.support.published import NIH_HEADER, chestxray14, write_lines
from training.preparation.layouts.chestxray14 import FINDINGS, read_chestxray14


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chestxray14(tmp_path_factory.mktemp("nih"), patients=6)


def with_rows(folder: Path, *rows: str, table: str = "Data_Entry_2017.csv") -> Path:
    write_lines(folder / table, [NIH_HEADER, *rows])
    return folder


def test_every_film_has_all_fourteen_findings(folder: Path) -> None:
    film = read_chestxray14(folder).films[0]
    assert len(FINDINGS) == 14
    assert set(film.targets) == {f"finding:{name}" for name in FINDINGS}
    assert film.positives == ("Effusion", "Mass")


def test_no_finding_is_all_zeros(folder: Path) -> None:
    healthy = read_chestxray14(folder).films[4]
    assert healthy.patient_id == "3"
    assert set(healthy.targets.values()) == {"0"}


def test_the_official_test_films_stay_test_and_the_others_are_left_to_us(folder: Path) -> None:
    splits = {film.patient_id: film.split for film in read_chestxray14(folder).films}
    assert splits == {"1": None, "2": None, "3": "test", "4": None, "5": None, "6": "test"}


def test_films_are_found_in_all_image_folders(folder: Path) -> None:
    films = read_chestxray14(folder).films
    assert all(film.path.is_file() for film in films)
    assert {film.path.parent.parent.name for film in films} == {"images_001", "images_002"}


def test_sex_age_and_view_are_kept(folder: Path) -> None:
    first, second, *_ = read_chestxray14(folder).films
    person = {"sex": "M", "age_years": "58", "age_group": "adult"}
    assert first.details == {"view": "PA", **person}
    assert second.details == {"view": "AP", **person}


def test_the_corrected_table_of_2020_comes_first(tmp_path: Path) -> None:
    row = "a.png,{},0,1,9,F,PA,1,1,1,1"
    with_rows(tmp_path, row.format("Mass"))
    with_rows(tmp_path, row.format("Hernia"), table="Data_Entry_2017_v2020.csv")
    listing = read_chestxray14(tmp_path)
    assert listing.films[0].positives == ("Hernia",)
    assert listing.films[0].details["age_group"] == "child"
    assert "not the official one" in listing.notes[0]


def test_an_impossible_age_is_unknown(tmp_path: Path) -> None:
    with_rows(tmp_path, "a.png,No Finding,0,1,414,M,PA,1,1,1,1")
    assert read_chestxray14(tmp_path).films[0].details["age_years"] == ""


def test_films_in_neither_official_list_are_counted(tmp_path: Path) -> None:
    with_rows(tmp_path, *(f"{name}.png,Mass,0,1,9,F,PA,1,1,1,1" for name in "abc"))
    write_lines(tmp_path / "train_val_list.txt", ["a.png"])
    write_lines(tmp_path / "test_list.txt", ["b.png"])
    listing = read_chestxray14(tmp_path)
    assert [film.split for film in listing.films] == [None, "test"]
    assert listing.skipped == {"in neither official list": 1}


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("a.png,Mass|Cold,0,1,9,F,PA,1,1,1,1", r"line 2 of .*2017\.csv: .*\['Cold'\]"),
        ("a.png,Mass,0,,9,F,PA,1,1,1,1", "line 2 of .*: Patient ID must not be empty"),
        ("a.png,Mass,0,1,old,F,PA,1,1,1,1", "line 2 of .*: age must be years .*'OLD'"),
        ("a.png,Mass", r"line 2 of .*: the row ends before the columns \['Patient Age'"),
    ],
)
def test_a_faulty_row_is_refused_with_file_line_and_rule(
    tmp_path: Path, row: str, fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        read_chestxray14(with_rows(tmp_path, row))


def test_a_film_in_both_official_lists_is_refused(tmp_path: Path) -> None:
    with_rows(tmp_path)
    for name in ("train_val_list.txt", "test_list.txt"):
        write_lines(tmp_path / name, ["a.png"])
    with pytest.raises(ValueError, match=r"line 1 of .*test_list\.txt: a\.png is listed twice"):
        read_chestxray14(tmp_path)


def test_one_official_list_alone_is_refused(tmp_path: Path) -> None:
    write_lines(with_rows(tmp_path) / "test_list.txt", ["a.png"])
    with pytest.raises(ValueError, match=r"train_val_list\.txt does not exist, while"):
        read_chestxray14(tmp_path)


def test_a_folder_without_the_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither Data_Entry_2017_v2020\.csv nor"):
        read_chestxray14(tmp_path)
