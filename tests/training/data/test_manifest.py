"""A manifest is read whole or refused with the line at fault."""

from pathlib import Path

import numpy as np
import pytest

from training.data.dataset import film_targets
from training.data.manifest import class_names, of_split, read_manifest, spread, task_of
from training.data.split import check_classes, check_split, split_sha256


def written(folder: Path, *rows: str, header: str = "path,label,patient_id,split") -> Path:
    (folder / "a.png").touch()
    (folder / "b.png").touch()
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join([header, *rows]))
    return manifest


def test_group_and_source_have_defaults(tmp_path: Path) -> None:
    (film,) = read_manifest(written(tmp_path, "a.png,normal,p1,train"))
    assert (film.group_id, film.source) == ("p1", "unknown")
    assert film.path == tmp_path / "a.png"


def test_group_and_source_are_read_where_given(tmp_path: Path) -> None:
    header = "path,label,patient_id,split,group_id,source,age"
    (film,) = read_manifest(written(tmp_path, "a.png,normal,p1,val,g7,clinic,40", header=header))
    assert (film.group_id, film.source, film.split) == ("g7", "clinic", "val")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("a.png,normal,p1,training", "line 2 .*'training'"),
        ("a.png,,p1,train", "line 2 .*'label' must not be empty"),
        ("a.png,normal,p1", "line 2 .*'split' must not be empty"),
        ("c.png,normal,p1,train", r"1 films .* do not exist, first .*c\.png"),
    ],
)
def test_a_faulty_row_is_refused_with_its_fault(tmp_path: Path, row: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        read_manifest(written(tmp_path, row))


FINDINGS = "path,patient_id,split,finding:Pleural Effusion,finding:Edema"


def test_findings_are_there_or_not_or_unknown(tmp_path: Path) -> None:
    films = read_manifest(
        written(tmp_path, "a.png,p1,train,1,", "b.png,p2,val,0,1", header=FINDINGS)
    )
    assert films[0].label is None
    assert films[0].findings == (("Pleural Effusion", True), ("Edema", None))
    assert films[1].findings == (("Pleural Effusion", False), ("Edema", True))
    assert task_of(films) == "multilabel"


def test_findings_keep_the_order_of_their_columns(tmp_path: Path) -> None:
    films = read_manifest(written(tmp_path, "a.png,p1,train,1,0", header=FINDINGS))
    assert class_names(films) == ("Pleural Effusion", "Edema")


def test_a_model_of_findings_reads_its_own_columns_in_its_own_order(tmp_path: Path) -> None:
    films = read_manifest(
        written(tmp_path, "a.png,p1,train,1,", "b.png,p2,val,0,1", header=FINDINGS)
    )
    targets = film_targets(films, ("Edema", "Pleural Effusion"))
    np.testing.assert_array_equal(targets, [[np.nan, 1], [1, 0]])
    with pytest.raises(ValueError, match=r"no columns of the findings \['Hernia'\]"):
        film_targets(films, ("Edema", "Hernia"))


@pytest.mark.parametrize("value", ["-1", "1.0", "yes", " "])
def test_another_value_of_a_finding_is_refused_with_its_line(tmp_path: Path, value: str) -> None:
    with pytest.raises(ValueError, match=f"line 2 .*'finding:Edema' must be .* not '{value}'"):
        read_manifest(written(tmp_path, f"a.png,p1,train,1,{value}", header=FINDINGS))


def test_a_row_that_ends_before_its_findings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"line 2 .*'finding:Edema' must be .* not None"):
        read_manifest(written(tmp_path, "a.png,p1,train,1", header=FINDINGS))


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ("label,finding:Edema", "not both"),
        ("view", "not neither"),
        ("finding:Edema,finding:Edema", "name each finding once"),
        ("finding:", "name each finding once"),
    ],
)
def test_films_have_either_labels_or_named_findings(
    tmp_path: Path, columns: str, fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        read_manifest(written(tmp_path, header=f"path,patient_id,split,{columns}"))


def test_a_finding_that_val_never_shows_is_refused(tmp_path: Path) -> None:
    rows = ("a.png,p1,train,1,0", "a.png,p1,train,0,1", "b.png,p2,val,1,0", "b.png,p2,val,,1")
    with pytest.raises(
        ValueError, match=r"no film of the classes \['Pleural Effusion=0'\] is in val"
    ):
        check_classes(read_manifest(written(tmp_path, *rows, header=FINDINGS)))


def test_missing_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\['patient_id', 'split'\]"):
        read_manifest(written(tmp_path, header="path,label"))


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.csv does not exist"):
        read_manifest(tmp_path / "nowhere.csv")


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    films = read_manifest(written(tmp_path, "a.png,normal,p1,train"))
    with pytest.raises(ValueError, match="no film with split 'val'"):
        of_split(films, "val")


def test_classes_are_in_alphabetical_order(tmp_path: Path) -> None:
    films = read_manifest(written(tmp_path, "a.png,opacity,p1,train", "b.png,normal,p2,val"))
    assert class_names(films) == ("normal", "opacity")


def test_a_patient_never_appears_on_both_sides(tmp_path: Path) -> None:
    films = read_manifest(written(tmp_path, "a.png,normal,p1,train", "b.png,normal,p1,test"))
    with pytest.raises(ValueError, match=r"1 values of patient_id .*\['p1'\]"):
        check_split(films)


def test_a_group_never_appears_on_both_sides(tmp_path: Path) -> None:
    header = "path,label,patient_id,split,group_id"
    rows = ("a.png,normal,p1,train,g1", "b.png,normal,p2,test,g1")
    with pytest.raises(ValueError, match=r"1 values of group_id .*\['g1'\]"):
        check_split(read_manifest(written(tmp_path, *rows, header=header)))


def test_the_split_hash_does_not_depend_on_the_order(tmp_path: Path) -> None:
    films = read_manifest(written(tmp_path, "a.png,normal,p1,train", "b.png,normal,p2,test"))
    assert split_sha256(films) == split_sha256(films[::-1])


def test_the_public_set_is_split_by_patient(shared: Path) -> None:
    films = read_manifest(shared / "data/cxr/manifest.csv")
    check_split(films)
    assert {film.split for film in films} == {"train", "val", "test"}


def test_view_sex_and_age_group_are_optional(tmp_path: Path) -> None:
    header = "path,label,patient_id,split,view,sex,age_group"
    manifest = written(
        tmp_path, "a.png,normal,p,val,PA,,child", "b.png,normal,p,val", header=header
    )
    films = [(film.view, film.sex, film.age_group) for film in read_manifest(manifest)]
    assert films == [("PA", "unknown", "child"), ("unknown", "unknown", "unknown")]


def test_films_are_spread_evenly_over_all() -> None:
    films = list(range(11))
    assert spread(films, 3) == [0, 5, 10]
    assert spread(films, 100) == films
