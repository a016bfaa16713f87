import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from highdicom.pm import ParametricMap
from highdicom.sr import Comprehensive3DSR
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from models.film_files.errors import RadiographError
from service.answers.film_answer import answer_film
from service.dicom.results import result_objects
from service.films.decoding import Limits
from service.problems import NoSourceInstance
from tests.support.dicom_films import LIKE, PATIENT, UNLIKE, chest_film
from tests.support.tiny_lungs import write_lung_model
from tests.support.tiny_model import CLASS_NAMES, FILM, THRESHOLDS, evidence, softmax, write_model
from xai.explainer import Explainer
from xai.outline import outline_mask

CLASS = "pneumonia"


@pytest.fixture(scope="module")
def explainer(model_file: Path) -> Explainer:
    return Explainer(model_file)


def files(explainer: Explainer, film: bytes, *, force: bool = False, class_name: str = CLASS):
    prediction = answer_film(explainer, film).explained_prediction(force=force)
    return result_objects(film, prediction, class_name, Limits())


def objects(explainer: Explainer, film: bytes, **question: Any) -> list[Dataset]:
    return [pydicom.dcmread(io.BytesIO(file)) for file in files(explainer, film, **question)]


@pytest.fixture(scope="module")
def answer(explainer: Explainer) -> list[Dataset]:
    return objects(explainer, chest_film())


def groups(report: Dataset):
    return Comprehensive3DSR.from_dataset(report).content.get_image_measurement_groups()


def numbers(group, name) -> list[float]:
    return [one.value for one in group.get_measurements(name=name)]


def comments(report: Dataset) -> str:
    items = report.ContentSequence
    return " ".join(
        one.TextValue for one in items if one.ValueType == "TEXT" and "Comment" in str(one)
    )


def test_there_are_a_report_a_map_and_an_overlay(answer: list[Dataset]):
    found = [one.SOPClassUID.name for one in answer]
    assert found == [
        "Comprehensive 3D SR Storage",
        "Parametric Map Storage",
        "Secondary Capture Image Storage",
    ]


def test_the_objects_are_of_the_films_patient_and_study(explainer: Explainer):
    film = chest_film(PatientComments="none", SpecificCharacterSet="ISO_IR 100")
    source = pydicom.dcmread(io.BytesIO(film))
    for one in objects(explainer, film):
        for keyword in (
            "PatientName",
            "PatientID",
            "PatientBirthDate",
            "StudyInstanceUID",
            "AccessionNumber",
            "StudyTime",
            "PatientComments",
        ):
            assert one[keyword].value == source[keyword].value


def test_each_object_has_a_series_of_its_own(answer: list[Dataset]):
    found = answer
    series = {one.SeriesInstanceUID for one in found} | {"1.2.826.0.1.3680043.10.1.2.1"}
    assert len(series) == 4


def test_the_report_says_what_the_model_answered(answer: list[Dataset]):
    _, *found = groups(answer[0])
    probabilities = softmax(evidence(LIKE).mean(axis=(1, 2)))
    for group, name, probability, threshold in zip(
        found, CLASS_NAMES, probabilities, THRESHOLDS, strict=True
    ):
        assert group.finding_type.meaning == name
        assert numbers(group, codes.DCM.Probability) == [pytest.approx(probability, abs=1e-5)]
        assert numbers(group, codes.DCM.ThresholdValue) == [pytest.approx(threshold)]


def test_the_report_gives_the_decisions(answer: list[Dataset]):
    _, *found = groups(answer[0])
    decisions = [group.get_qualitative_evaluations()[0].value.meaning for group in found]
    assert decisions == ["Present", "Absent", "Absent"]


def test_the_report_names_model_version_and_hash(explainer: Explainer, answer):
    report = str(answer[0])
    assert all(word in report for word in ("tiny", "1.2.3", explainer.sha256))


def test_the_report_is_for_research_and_unverified(answer: list[Dataset]):
    report = answer[0]
    assert report.VerificationFlag == "UNVERIFIED"
    assert "Research use only" in comments(report)


def test_every_object_refers_to_the_film(answer: list[Dataset]):
    report, map_, overlay = answer
    film = "1.2.826.0.1.3680043.10.1.3.1"
    [study] = report.CurrentRequestedProcedureEvidenceSequence
    [referred] = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert referred.ReferencedSOPInstanceUID == film
    assert overlay.SourceImageSequence[0].ReferencedSOPInstanceUID == film
    frame = map_.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0]
    assert frame.SourceImageSequence[0].ReferencedSOPInstanceUID == film
    assert frame.SourceImageSequence[0].SpatialLocationsPreserved == "YES"


def test_the_map_holds_the_evidence_at_the_films_own_pixels(explainer: Explainer):
    film = chest_film(np.kron(LIKE, np.ones((10, 20), np.uint8)))
    map_ = ParametricMap.from_dataset(objects(explainer, film)[1])
    pixels = map_.get_frames(apply_real_world_transform=True)[0]
    expected = answer_film(explainer, film).answers.evidence[0, CLASS_NAMES.index(CLASS)]
    assert pixels.shape == (320, 960)
    assert pixels[80::160, 120::240] == pytest.approx(expected, abs=0.02)


def test_the_map_says_what_it_is(answer: list[Dataset]):
    map_ = answer[1]
    [meaning] = map_.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    [quantity] = meaning.QuantityDefinitionSequence
    assert quantity.ConceptCodeSequence[0].CodeValue == "130403"
    assert map_.ContentQualification == "RESEARCH"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["L", "F"], [1, 0, 0, 0, 0, -1]),
        (["A", "F"], [0, -1, 0, 0, 0, -1]),
        (["R", "L"], [1, 0, 0, 0, 0, -1]),
        ("", [1, 0, 0, 0, 0, -1]),
    ],
)
def test_the_map_lies_as_the_film_does(explainer: Explainer, given, expected):
    map_ = objects(explainer, chest_film(PatientOrientation=given))[1]
    plane = map_.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    assert plane.ImageOrientationPatient == expected


def test_the_map_has_the_films_spacing(explainer: Explainer):
    map_ = objects(explainer, chest_film(ImagerPixelSpacing=[0.2, 0.1]))[1]
    measures = map_.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.PixelSpacing == [0.2, 0.1]


def test_the_overlay_is_coloured_where_the_evidence_is(answer: list[Dataset]):
    overlay = answer[2].pixel_array.astype(int)
    spread = np.ptp(overlay, axis=2)
    assert spread[:10, :16].min() > 30
    assert spread[24:].max() == 0


def test_the_overlay_of_a_class_without_evidence_is_grey(explainer: Explainer):
    overlay = objects(explainer, chest_film(), class_name="normal")[2].pixel_array
    assert np.ptp(overlay.astype(int), axis=2).max() == 0


def test_a_large_overlay_is_made_smaller(explainer: Explainer):
    large = np.kron(LIKE, np.ones((64, 64), np.uint8))
    assert objects(explainer, chest_film(large))[2].pixel_array.shape == (683, 1024, 3)


def test_a_refused_film_has_a_report_alone_that_says_so(explainer: Explainer):
    [report] = objects(explainer, chest_film(UNLIKE))
    [film] = groups(report)
    assert film.get_qualitative_evaluations()[0].value.meaning == "refused"
    assert numbers(film, codes.DCM.ThresholdValue) == [8]
    assert "Refused" in comments(report)
    assert "no map" in comments(report)


@pytest.mark.parametrize(
    ("reasons", "words"),
    [(["distance"], "unlike the films"), (["lungs"], "no plausible lungs were found")],
)
def test_the_report_says_why_a_film_is_refused(
    explainer: Explainer, reasons: list[str], words: str
):
    film = chest_film(UNLIKE)
    prediction = answer_film(explainer, film).explained_prediction()
    changed = prediction.model_copy(update={"refusals": reasons})
    [report] = result_objects(film, changed, CLASS, Limits())
    assert words in comments(pydicom.dcmread(io.BytesIO(report)))


def test_a_refused_film_can_be_explained_all_the_same(explainer: Explainer):
    found = objects(explainer, chest_film(UNLIKE), force=True)
    assert len(found) == 3
    assert "Refused" in comments(found[0])
    decisions = [one.get_qualitative_evaluations()[0].value.meaning for one in groups(found[0])]
    assert decisions == ["refused", "Indeterminate", "Indeterminate", "Indeterminate"]


def uids(explainer: Explainer, film: bytes, **question: Any) -> list[str]:
    return [one.SOPInstanceUID for one in objects(explainer, film, **question)]


def test_the_same_film_gets_the_same_uids_again(explainer: Explainer):
    assert uids(explainer, chest_film()) == uids(explainer, chest_film())


def test_another_film_or_model_gets_other_uids(explainer: Explainer, tmp_path: Path):
    first = set(uids(explainer, chest_film()))
    assert not first & set(uids(explainer, chest_film(number=2)))
    other = Explainer(write_model(tmp_path, version="1.2.4"))
    assert not first & set(uids(other, chest_film()))


def test_another_class_has_another_map_and_the_same_report(explainer: Explainer):
    report, *pictures = uids(explainer, chest_film())
    other_report, *other_pictures = uids(explainer, chest_film(), class_name="normal")
    assert report == other_report
    assert not set(pictures) & set(other_pictures)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_a_film_without_a_uid_is_told_which(explainer: Explainer, keyword):
    with pytest.raises(NoSourceInstance, match=keyword):
        files(explainer, chest_film(without=keyword))


def test_a_film_that_is_no_dicom_file_is_told_so(explainer: Explainer):
    with pytest.raises(NoSourceInstance, match="refer to a DICOM film"):
        files(explainer, FILM)


@pytest.mark.parametrize("keyword", ["PatientID", "PatientBirthDate", "AccessionNumber", "StudyID"])
def test_what_the_standard_lets_be_empty_is_empty(explainer: Explainer, keyword):
    for one in objects(explainer, chest_film(without=keyword)):
        assert not one[keyword].value


def test_odd_identities_stay_as_they_are(explainer: Explainer):
    odd = {"PatientSex": "X", "PatientID": "1" * 80, "PatientName": "a^b^c^d^e^f^g"}
    for one in objects(explainer, chest_film(**odd)):
        assert {keyword: str(one[keyword].value) for keyword in odd} == odd


def test_odd_extras_are_left_out(explainer: Explainer):
    for one in objects(explainer, chest_film(PatientAge="62", StudyDescription="x" * 65)):
        assert "PatientAge" not in one
        assert "StudyDescription" not in one


def test_nothing_of_the_film_is_logged(explainer: Explainer, caplog, recwarn, capsys):
    caplog.set_level("DEBUG")
    files(explainer, chest_film(PatientName=f"{PATIENT}^b^c^d^e^f"))
    said = caplog.text + str([str(one.message) for one in recwarn]) + str(capsys.readouterr())
    assert PATIENT not in said


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize(
    "film",
    [
        chest_film(),
        chest_film(UNLIKE),
        chest_film(without="PatientOrientation"),
        chest_film(without="BodyPartExamined"),
        chest_film(without="PatientID"),
    ],
)
def test_the_objects_conform_to_the_standard(explainer: Explainer, tmp_path: Path, film):
    for number, file in enumerate(files(explainer, film)):
        (tmp_path / f"{number}.dcm").write_bytes(file)
        check = ["dciodvfy", str(tmp_path / f"{number}.dcm")]
        checked = subprocess.run(check, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy (dicom3tools) is not installed")
def test_the_objects_of_real_films_conform(explainer: Explainer, shared: Path, tmp_path: Path):
    for film in sorted((shared / "data/dicom").glob("c*.dcm")):
        try:
            found = files(explainer, film.read_bytes(), force=True)
        except (RadiographError, NoSourceInstance):
            continue
        for file in found:
            (tmp_path / "one.dcm").write_bytes(file)
            subprocess.run(["dciodvfy", tmp_path / "one.dcm"], capture_output=True, check=True)


def test_map_and_overlay_end_at_the_outline_of_the_lungs(tmp_path: Path):
    explainer = Explainer(write_lung_model(tmp_path))
    film = chest_film()
    outline = answer_film(explainer, film).lung_outline
    _, stored, overlay = objects(explainer, film)
    evidence = ParametricMap.from_dataset(stored).get_volume().array.squeeze()
    inside = outline_mask(outline or (), *evidence.shape)
    assert evidence[inside].any()
    assert not evidence[~inside].any()
    assert not np.ptp(overlay.pixel_array, axis=-1)[~inside].any()
