"""CheXpert is read as Stanford publishes it, under each policy for what is not certain."""

from pathlib import Path

import pytest

from tests.support.published import CHEXPERT_HEADER, chexpert, chexpert_row, write_lines
from training.preparation.layouts.chexpert import FINDINGS, read_chexpert
from training.preparation.listing import ListedFilm, Listing

FILM = "CheXpert-v1.0/train/patient00007/study2/view1_frontal.jpg"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chexpert(tmp_path_factory.mktemp("chexpert"), patients=8)


def listed(folder: Path, *rows: str, **policies: str) -> Listing:
    write_lines(folder / "train.csv", [CHEXPERT_HEADER, *rows])
    return read_chexpert(folder, **{"uncertain": "ignore", "unmentioned": "zeros", **policies})


def only(folder: Path, *values: str, **policies: str) -> ListedFilm:
    (film,) = listed(folder, chexpert_row(FILM, *values), **policies).films
    return film


@pytest.mark.parametrize(("uncertain", "value"), [("zeros", "0"), ("ones", "1"), ("ignore", "")])
def test_an_uncertain_finding_becomes_what_the_policy_says(
    tmp_path: Path, uncertain: str, value: str
) -> None:
    targets = only(tmp_path, "1.0", "0.0", "-1.0", uncertain=uncertain).targets
    assert list(targets.values())[:3] == ["1", "0", value]


@pytest.mark.parametrize(("unmentioned", "value"), [("zeros", "0"), ("ignore", "")])
def test_what_is_not_mentioned_is_negative_unless_told_otherwise(
    tmp_path: Path, unmentioned: str, value: str
) -> None:
    targets = only(tmp_path, unmentioned=unmentioned).targets
    assert list(targets) == [f"finding:{name}" for name in FINDINGS]
    assert set(targets.values()) == {value}


def test_the_policies_do_not_mix(tmp_path: Path) -> None:
    targets = only(tmp_path, "-1.0", uncertain="ones", unmentioned="ignore").targets
    assert list(targets.values())[:2] == ["1", ""]


def test_patient_and_file_come_from_the_path(tmp_path: Path) -> None:
    film = only(tmp_path)
    assert film.patient_id == "patient00007"
    assert film.path == tmp_path / "train/patient00007/study2/view1_frontal.jpg"
    assert film.details == {"view": "AP", "sex": "F", "age_years": "68", "age_group": "adult"}


def test_validation_films_stay_val_and_the_others_are_left_to_us(folder: Path) -> None:
    films = read_chexpert(folder, uncertain="ignore", unmentioned="zeros").films
    assert [film.split for film in films] == [None] * 4 + ["val"] * 4
    assert all(film.path.is_file() for film in films)


def test_lateral_views_are_left_out_and_counted(folder: Path) -> None:
    listing = read_chexpert(folder, uncertain="ignore", unmentioned="zeros")
    assert listing.skipped == {"lateral views": 8}
    assert len(listing.films) == 8


def test_lateral_views_are_taken_when_asked_for(folder: Path) -> None:
    listing = read_chexpert(folder, uncertain="ignore", unmentioned="zeros", with_lateral=True)
    assert [film.details["view"] for film in listing.films[:2]] == ["AP", "lateral"]
    assert not listing.skipped


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (chexpert_row(FILM, "2.0"), r"line 2 of .*train\.csv: No Finding must be .*'2\.0'"),
        (chexpert_row("train/7/view1.jpg"), "line 2 of .*: Path must be .*'train/7/view1.jpg'"),
        (FILM, "line 2 of .*: the row ends before the columns"),
    ],
)
def test_a_faulty_row_is_refused_with_file_line_and_rule(
    tmp_path: Path, row: str, fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        listed(tmp_path, row)


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither train\.csv nor valid\.csv"):
        read_chexpert(tmp_path, uncertain="zeros", unmentioned="zeros")
