"""Films that are held out choose instead of teaching; the split stays one by patient."""

from pathlib import Path

import pytest

from tests.support.origin_films import DATA, film
from training.data.manifest import Film
from training.data.split import check_split, with_held_out

SOURCES = ["clinic", "hospital", "clinic", "hospital", "clinic", "hospital"]


def films() -> tuple[Film, ...]:
    """Return films of two sources: two patients in train, one in val."""
    splits = ["train"] * 4 + ["val"] * 2
    return tuple(
        film(2 * number, label="normal", source=source, split=split)
        for number, (source, split) in enumerate(zip(SOURCES, splits, strict=True))
    )


def test_training_films_of_the_origin_held_out_choose_with_those_of_val() -> None:
    held = with_held_out(films(), DATA.model_copy(update={"hold_out": "city"}))
    assert [film.split for film in held] == ["val", "train", "val", "train", "val", "val"]
    assert [film.path for film in held] == [film.path for film in films()]
    check_split(held)


def test_without_an_origin_held_out_films_stay_where_they_are() -> None:
    assert with_held_out(films(), DATA) == films()


@pytest.mark.parametrize("name", ["clinic", "village"])  # the first is a source, of city
def test_an_origin_that_is_not_in_train_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=rf"\['city', 'hospital'\], not '{name}'"):
        with_held_out(films(), DATA.model_copy(update={"hold_out": name}))


def test_a_patient_in_two_origins_may_not_be_held_out_in_one() -> None:
    both = [Film(Path("a.png"), "normal", "p", "p", source, "train") for source in SOURCES[:2]]
    with pytest.raises(ValueError, match="more than one split"):
        check_split(with_held_out(both, DATA.model_copy(update={"hold_out": "hospital"})))
