"""Films that must stay together have one group_id."""

from pathlib import Path

from training.preparation.groups import joined_groups
from training.preparation.listing import ListedFilm
from training.preparation.near_duplicates import Pair


def film(patient: str, group: str = "") -> ListedFilm:
    return ListedFilm(Path("a.png"), {"label": "ill"}, patient, "clinic", group_id=group)


def test_without_copies_the_group_is_the_patient() -> None:
    assert joined_groups([film("1"), film("2"), film("1")], []) == ["1", "2", "1"]


def test_copies_join_all_films_of_both_patients() -> None:
    films = [film("1"), film("2"), film("3"), film("2"), film("1")]
    assert joined_groups(films, [Pair(0, 3, 2)]) == ["1", "1", "3", "1", "1"]


def test_a_chain_of_copies_is_one_group() -> None:
    films = [film(patient) for patient in "1234"]
    assert joined_groups(films, [Pair(0, 1, 0), Pair(1, 3, 0)]) == ["1", "1", "3", "1"]


def test_groups_that_were_given_are_kept_and_joined_by_their_patients() -> None:
    films = [film("1", "g1"), film("2", "g1"), film("2", "g2"), film("3", "g3")]
    assert joined_groups(films, []) == ["g1", "g1", "g1", "g3"]


def test_a_patient_named_like_another_patients_group_stays_apart() -> None:
    assert len(set(joined_groups([film("7", "g1"), film("9", "7")], []))) == 2
