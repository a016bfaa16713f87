"""RSNA's challenge is read as Kaggle publishes it: DICOM films, a row per box."""

from pathlib import Path

import pytest

from tests.support.published import dicom, drawn, rsna_pneumonia, write_lines
from training.preparation.layouts.rsna_pneumonia import read_rsna_pneumonia


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rsna_pneumonia(tmp_path_factory.mktemp("rsna") / "set", patients=6)


def with_tables(folder: Path, labels: list[str], classes: list[str]) -> Path:
    write_lines(folder / "stage_2_train_labels.csv", ["patientId,x,y,width,height,Target", *labels])
    write_lines(folder / "stage_2_detailed_class_info.csv", ["patientId,class", *classes])
    return folder


def test_a_film_with_two_boxes_is_one_film(folder: Path) -> None:
    films = read_rsna_pneumonia(folder).films
    assert len(films) == len({film.path for film in films}) == 6
    assert films[0].details["boxes"] == "264.0 152.0 213.0 379.0;562.0 152.0 256.0 453.0"
    assert films[1].details["boxes"] == ""


def test_the_three_classes_are_the_label(folder: Path) -> None:
    labels = [film.targets for film in read_rsna_pneumonia(folder).films[:3]]
    assert labels == [{"label": name} for name in ("lung_opacity", "normal", "not_normal")]


def test_sex_age_and_view_come_from_the_header(folder: Path) -> None:
    details = read_rsna_pneumonia(folder).films[1].details
    person = {"sex": "F", "age_years": "51", "age_group": "adult"}
    assert details == {"view": "PA", **person, "boxes": ""}


def test_without_the_mapping_each_film_is_a_patient_and_that_is_said(folder: Path) -> None:
    listing = read_rsna_pneumonia(folder)
    assert len({film.patient_id for film in listing.films}) == 6
    assert "pneumonia-challenge-dataset-mappings_2018.json" in listing.notes[0]


def test_with_the_mapping_films_of_one_nih_patient_are_one_patients(tmp_path: Path) -> None:
    listing = read_rsna_pneumonia(rsna_pneumonia(tmp_path / "set", patients=4, mapping=True))
    assert [film.patient_id for film in listing.films] == ["0", "0", "1", "1"]
    assert not listing.notes


def test_a_film_without_a_readable_header_is_left_to_who_decodes_it(tmp_path: Path) -> None:
    with_tables(tmp_path, ["a,,,,,0"], ["a,Normal"])
    (film,) = read_rsna_pneumonia(tmp_path).films
    assert (film.details["sex"], film.details["age_group"]) == ("", "")


def test_a_childs_age_in_months_is_read(tmp_path: Path) -> None:
    with_tables(tmp_path, ["a,,,,,0"], ["a,Normal"])
    (tmp_path / "stage_2_train_images").mkdir()
    (tmp_path / "stage_2_train_images/a.dcm").write_bytes(dicom(drawn(0), age="006M"))
    details = read_rsna_pneumonia(tmp_path).films[0].details
    assert (details["age_years"], details["age_group"]) == ("0.5", "child")


@pytest.mark.parametrize(
    ("labels", "classes", "fault"),
    [
        (["a,,,,,2"], ["a,Normal"], r"line 2 of .*labels\.csv: Target must be 0 or 1, not '2'"),
        (["a,,,,,1"], ["a,Lung Opacity"], r"line 2 of .*labels\.csv: Target 1 contradicts"),
        (["a,1,2,3,4,0"], ["a,Normal"], r"line 2 of .*labels\.csv: Target 0 contradicts"),
        (["a,,,,,0"], ["a,Opaque"], r"line 2 of .*info\.csv: class must be .*'Opaque'"),
        (["a,,,,,0"], ["a,Lung Opacity"], r"line 2 of .*info\.csv: .*contradicts the boxes"),
        (["a,,,,,0", "b,,,,,0"], ["a,Normal"], r"info\.csv lacks the class of \['b'\]"),
    ],
)
def test_tables_that_contradict_each_other_are_refused(
    tmp_path: Path, labels: list[str], classes: list[str], fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        read_rsna_pneumonia(with_tables(tmp_path, labels, classes))


def test_a_mapping_of_another_kind_is_refused(tmp_path: Path) -> None:
    with_tables(tmp_path, ["a,,,,,0"], ["a,Normal"])
    (tmp_path / "pneumonia-challenge-dataset-mappings_2018.json").write_text('[{"a": 1}]')
    with pytest.raises(ValueError, match="list of objects with subset_img_id and img_id"):
        read_rsna_pneumonia(tmp_path)
