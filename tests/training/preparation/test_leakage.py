"""Patients, groups and copies in two splits are named, or dropped from one of them."""

from pathlib import Path

from training.data.manifest import Split
from training.preparation.groups import kept, leaks
from training.preparation.listing import ListedFilm
from training.preparation.near_duplicates import Pair


def film(name: str, patient: str, split: Split | None, group: str = "") -> ListedFilm:
    return ListedFilm(Path(name), {"label": "ill"}, patient, "clinic", split, group_id=group)


def test_a_patient_on_two_sides_is_named_with_files() -> None:
    films = [film("a.png", "12", "train"), film("b.png", "12", "test"), film("c.png", "13", "val")]
    assert leaks(films, []) == ["patient 12: a.png (train), b.png (test)"]


def test_a_group_on_two_sides_is_named_with_files() -> None:
    films = [film("a.png", "1", "train", "g"), film("b.png", "2", "val", "g")]
    assert leaks(films, []) == ["group g: a.png (train), b.png (val)"]


def test_copies_on_two_sides_are_named_with_files_and_patients() -> None:
    films = [film("a.png", "1", "train"), film("b.png", "2", "test")]
    assert leaks(films, [Pair(0, 1, 3)]) == [
        "copies, 3 of 256 bits apart: a.png (train, patient 1) and b.png (test, patient 2)"
    ]


def test_copies_on_one_side_are_no_leak() -> None:
    films = [film("a.png", "1", "train"), film("b.png", "2", "train")]
    assert leaks(films, [Pair(0, 1, 3)]) == []


def test_films_that_we_may_split_are_on_the_train_side() -> None:
    films = [film("a.png", "1", None), film("b.png", "1", "test")]
    assert leaks(films, []) == ["patient 1: a.png (train), b.png (test)"]


def test_test_keeps_its_films_before_val_and_val_before_train() -> None:
    films = [film(f"{n}.png", "p", split) for n, split in enumerate(("train", "val", "test", None))]
    assert kept(films, ["g"] * 4) == [False, False, True, False]
    assert kept(films[:2], ["g"] * 2) == [False, True]


def test_groups_on_one_side_keep_all_their_films() -> None:
    films = [film("a.png", "1", None), film("b.png", "1", None), film("c.png", "2", "test")]
    assert kept(films, ["1", "1", "2"]) == [True, True, True]
