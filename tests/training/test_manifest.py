"""A manifest is read whole or refused with the line at fault."""

from pathlib import Path

import pytest

from training.manifest import class_names, of_split, read_manifest
from training.split import check_split, split_sha256


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
    assert len(films) == 4342


def test_view_sex_and_age_group_are_optional(tmp_path: Path) -> None:
    header = "path,label,patient_id,split,view,sex,age_group"
    manifest = written(
        tmp_path, "a.png,normal,p,val,PA,,child", "b.png,normal,p,val", header=header
    )
    films = [(film.view, film.sex, film.age_group) for film in read_manifest(manifest)]
    assert films == [("PA", "unknown", "child"), ("unknown", "unknown", "unknown")]
