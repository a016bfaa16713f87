"""Splits go by group and give every class its share."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.manifest import Split
from training.preparation.listing import ListedFilm, finding_columns
from training.preparation.stratification import split_films

RARE = ("healthy",) * 8 + ("ill",)


def film(number: int, label: str, split: Split | None = None) -> ListedFilm:
    return ListedFilm(Path(f"{number}.png"), {"label": label}, str(number), "clinic", split)


def patients(count: int = 180, films_each: int = 2) -> tuple[list[ListedFilm], list[str]]:
    films = [film(number, RARE[number % 9]) for number in range(count) for _ in range(films_each)]
    return films, [film.patient_id for film in films]


def splits_of(films, groups, *, val=0.1, test=0.2, seed=0) -> list[Split]:
    return split_films(films, groups, val_fraction=val, test_fraction=test, seed=seed)


@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1), st.integers(40, 80))
def test_a_group_never_appears_on_both_sides(seed: int, count: int) -> None:
    films, groups = patients(count)
    sides = defaultdict(set)
    for group, split in zip(groups, splits_of(films, groups, seed=seed), strict=True):
        sides[group].add(split)
    assert all(len(found) == 1 for found in sides.values())


def test_every_class_has_its_share_of_every_split() -> None:
    films, groups = patients()
    counts = Counter(zip((f.targets["label"] for f in films), splits_of(films, groups)))  # noqa: B905
    assert counts["healthy", "test"] / 320 == pytest.approx(0.2, abs=0.02)
    assert counts["healthy", "val"] / 320 == pytest.approx(0.1, abs=0.02)
    assert (counts["ill", "test"], counts["ill", "val"], counts["ill", "train"]) == (8, 4, 28)


def test_the_rarest_finding_has_its_share_of_every_split() -> None:
    films = []
    for number in range(200):
        findings = {"Effusion": str(number % 2), "Hernia": str(int(number % 20 == 0))}
        films.append(ListedFilm(Path("a"), finding_columns(findings), str(number), "clinic"))
    splits = splits_of(films, [film.patient_id for film in films])
    hernias = [
        split for film, split in zip(films, splits, strict=True) if "Hernia" in film.positives
    ]
    assert Counter(hernias) == {"train": 7, "test": 2, "val": 1}


def test_the_same_seed_makes_the_same_split_and_another_another() -> None:
    films, groups = patients()
    one, two, other = (splits_of(films, groups, seed=seed) for seed in (3, 3, 4))
    assert one == two != other


def test_an_official_test_split_stays_and_only_val_is_cut() -> None:
    films, _ = patients(90)
    films += [film(number, "ill", "test") for number in range(90, 100)]
    splits = splits_of(films, [film.patient_id for film in films])
    assert splits[180:] == ["test"] * 10
    assert "test" not in splits[:180]
    assert splits.count("val") == pytest.approx(18, abs=3)


def test_a_split_that_stands_is_not_touched() -> None:
    films = [film(0, "ill", "train"), film(1, "ill", "test")]
    assert splits_of(films, ["0", "1"]) == ["train", "test"]


def test_no_fraction_makes_no_split() -> None:
    films, groups = patients(40)
    assert set(splits_of(films, groups, val=0.0, test=0.0)) == {"train"}


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.2), (0.5, 0.5)])
def test_senseless_fractions_are_refused(val: float, test: float) -> None:
    with pytest.raises(ValueError, match="val_fraction and test_fraction must not be negative"):
        splits_of(*patients(40), val=val, test=test)


def test_few_patients_are_split_as_nearly_as_they_can_be() -> None:
    assert Counter(splits_of(*patients(4))) == {"train": 4, "test": 2, "val": 2}


def test_one_patient_is_refused() -> None:
    with pytest.raises(ValueError, match="there must be two patients"):
        splits_of(*patients(1))
