"""A manifest is read as its owner wrote it."""

from pathlib import Path

import pytest

from tests.support.published import write_lines
from training.preparation.layouts.own_manifest import read_own_manifest
from training.preparation.listing import ListedFilm

HEADER = "path,label,patient_id,split"


def listed(folder: Path, *rows: str, header: str = HEADER) -> tuple[ListedFilm, ...]:
    write_lines(folder / "manifest.csv", [header, *rows])
    return read_own_manifest(folder / "manifest.csv").films


def test_what_is_known_is_kept_and_what_is_not_has_a_default(tmp_path: Path) -> None:
    header = f"{HEADER},group_id,source,sha256,view,ward"
    full, bare = listed(
        tmp_path, "a.png,ill,p1,val,g7,clinic,ab12,AP,3", "b.png,ill,p2,val,,,,,", header=header
    )
    assert (full.split, full.group_id, full.source, full.sha256) == ("val", "g7", "clinic", "ab12")
    assert full.details == {"view": "AP", "ward": "3"}
    assert (bare.group_id, bare.source, bare.sha256) == ("", "unknown", "")
    assert full.path == tmp_path / "a.png"


def test_findings_are_read_with_what_is_unknown(tmp_path: Path) -> None:
    header = "path,finding:Edema,finding:Mass,finding:Nodule,patient_id,split"
    (film,) = listed(tmp_path, "a.png,1,0,,p1,train", header=header)
    assert film.targets == {"finding:Edema": "1", "finding:Mass": "0", "finding:Nodule": ""}
    assert film.positives == ("Edema",)


def test_without_a_split_it_is_left_to_us(tmp_path: Path) -> None:
    (film,) = listed(tmp_path, "a.png,ill,p1", header="path,label,patient_id")
    assert film.split is None


def test_a_table_saved_by_excel_is_read(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(f"{HEADER}\r\na.png,ill,p1,train\r\n", encoding="utf-8-sig")
    assert read_own_manifest(manifest).films[0].patient_id == "p1"


@pytest.mark.parametrize(
    ("header", "row", "fault"),
    [
        (HEADER, "a.png,,p1,train", r"line 2 of .*manifest\.csv: column 'label' must not be"),
        (HEADER, "a.png,ill,,train", "line 2 of .*: column 'patient_id' must not be empty"),
        (HEADER, "a.png,ill,p1,training", "line 2 of .*: split must be .*'training'"),
        ("path,patient_id", "a.png,p1", "line 2 of .*: there must be a column label, or"),
        ("path,label,finding:A,patient_id", "a,ill,1,p1", "line 2 of .*: there must be a"),
        ("path,finding:A,patient_id", "a.png,-1,p1", "line 2 of .*: finding:A must be .*'-1'"),
        ("path,label", "a.png,ill", r"lacks the columns \['patient_id'\]"),
    ],
)
def test_a_faulty_row_is_refused_with_file_line_and_rule(
    tmp_path: Path, header: str, row: str, fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        listed(tmp_path, row, header=header)


def test_a_film_listed_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"line 3 of .*: a\.png is listed twice"):
        listed(tmp_path, "a.png,ill,p1,train", "a.png,ill,p1,train")


def test_films_with_and_without_a_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 of 2 films have no split; all or none"):
        listed(tmp_path, "a.png,ill,p1,train", "b.png,ill,p2,")
