"""`cxr prepare`: from published films to a manifest that can be trained on, or a refusal."""

import csv
import hashlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import ImageEnhance

from cxr import main
from tests.support import published
from training.data.manifest import read_manifest, task_of
from training.data.split import check_classes, check_split

pytestmark = pytest.mark.slow

TREES: dict[str, Callable[[Path], Path]] = {
    "chestxray14": published.chestxray14,
    "chexpert": published.chexpert,
    "rsna-pneumonia": published.rsna_pneumonia,
    "image-folder": published.image_folder,
}


def rows_of(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(newline="") as file:
        return list(csv.DictReader(file))


def prepared(folder: Path, layout: str, *flags: str) -> list[dict[str, str]]:
    assert main(["prepare", layout, str(folder), "-o", str(folder / "m.csv"), *flags]) == 0
    return rows_of(folder / "m.csv")


def refusal(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main(["prepare", *map(str, words)]) == 1
    return capsys.readouterr().err


def brighter_copy(film: Path, copy: Path) -> None:
    image = published.Image.open(film)
    published.save(ImageEnhance.Brightness(image).enhance(1.15).resize((120, 120)), copy)


def split_tree(folder: Path) -> Path:
    """Train and test folders of 12 patients, and a test film's copy among the train films."""
    for number in range(12):
        part = ("train", "test")[number % 3 == 0]
        name = f"{part}/{('NORMAL', 'OPACITY')[number % 2]}/person{number}.png"
        published.save(published.drawn(number), folder / name)
    brighter_copy(folder / "test/OPACITY/person3.png", folder / "train/OPACITY/person99.png")
    return folder


@pytest.mark.parametrize("layout", TREES)
def test_every_layout_becomes_a_manifest_split_by_patient(tmp_path: Path, layout: str) -> None:
    rows = prepared(TREES[layout](tmp_path / "set"), layout)
    sides = defaultdict(set)
    for row in rows:
        sides[row["patient_id"]].add(row["split"])
        sides["group", row["group_id"]].add(row["split"])
        film = (tmp_path / "set" / row["path"]).read_bytes()
        assert row["sha256"] == hashlib.sha256(film).hexdigest()
    assert all(len(found) == 1 for found in sides.values())
    assert {row["split"] for row in rows} == {"train", "val", "test"}


@pytest.mark.parametrize("layout", ["rsna-pneumonia", "image-folder"])
def test_a_manifest_of_classes_can_be_trained_on(tmp_path: Path, layout: str) -> None:
    prepared(TREES[layout](tmp_path / "set"), layout)
    films = read_manifest(tmp_path / "set/m.csv")
    check_split(films)
    check_classes(films)


@pytest.mark.parametrize("layout", ["chestxray14", "chexpert"])
def test_a_manifest_of_findings_is_read_as_multi_label(tmp_path: Path, layout: str) -> None:
    rows = prepared(TREES[layout](tmp_path / "set"), layout)
    films = read_manifest(tmp_path / "set/m.csv")
    check_split(films)
    assert task_of(films) == "multilabel"
    cells = {"1": True, "0": False, "": None}
    for film, row in zip(films, rows, strict=True):
        assert all(cells[row[f"finding:{name}"]] is value for name, value in film.findings)


@pytest.mark.parametrize("layout", ["chestxray14", "chexpert"])
def test_findings_have_a_column_each_and_no_label(tmp_path: Path, layout: str) -> None:
    row = prepared(TREES[layout](tmp_path / "set"), layout)[0]
    findings = [column for column in row if column.startswith("finding:")]
    assert len(findings) == 14
    assert "label" not in row
    assert {row[column] for column in findings} <= {"1", "0", ""}


def test_official_splits_survive(tmp_path: Path) -> None:
    official = set((published.chestxray14(tmp_path) / "test_list.txt").read_text().split())
    rows = prepared(tmp_path, "chestxray14")
    assert {Path(row["path"]).name for row in rows if row["split"] == "test"} == official


def test_the_policies_reach_the_manifest(tmp_path: Path) -> None:
    published.chexpert(tmp_path)
    values = {
        policy: {
            row["finding:Cardiomegaly"]
            for row in prepared(tmp_path, "chexpert", "--uncertain", policy)
            if int(row["patient_id"][-5:]) % 4 == 2
        }
        for policy in ("zeros", "ones", "ignore")
    }
    assert values == {"zeros": {"0"}, "ones": {"1"}, "ignore": {""}}


def test_the_same_seed_writes_the_same_manifest(tmp_path: Path) -> None:
    published.image_folder(tmp_path)
    one, two, other = (prepared(tmp_path, "image-folder", "--seed", seed) for seed in "334")
    assert one == two != other


def test_copies_share_a_group_and_a_split(tmp_path: Path) -> None:
    published.image_folder(tmp_path)
    copy = tmp_path / "OPACITY/person77_view0.jpeg"
    brighter_copy(tmp_path / "OPACITY/person5_view1.jpeg", copy)
    rows = {Path(row["path"]).name: row for row in prepared(tmp_path, "image-folder")}
    pair = rows["person5_view1.jpeg"], rows["person77_view0.jpeg"]
    assert pair[0]["group_id"] == pair[1]["group_id"]
    assert pair[0]["split"] == pair[1]["split"]
    assert pair[0]["patient_id"] != pair[1]["patient_id"]


def test_a_copy_on_two_sides_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "m.csv"
    error = refusal(capsys, "image-folder", split_tree(tmp_path / "set"), "-o", output)
    assert "1 patients, groups or copies stand on two sides" in error
    assert "train/OPACITY/person99.png (train," in error
    assert "test/OPACITY/person3.png (test," in error
    assert "--drop-duplicates" in error
    assert not output.exists()


def test_the_train_sides_copy_is_dropped_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--drop-duplicates", "--val-fraction", "0.25")
    rows = prepared(split_tree(tmp_path), "image-folder", *flags)
    assert "left out: 1 (patients and copies of val or test, dropped)" in capsys.readouterr().out
    names = {Path(row["path"]).name for row in rows}
    assert len(rows) == 12
    assert "person3.png" in names
    assert "person99.png" not in names


def test_a_patient_on_two_sides_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published.save(published.drawn(1, 0), tmp_path / "train/ill/person1_a.png")
    published.save(published.drawn(1, 2), tmp_path / "test/ill/person1_b.png")
    error = refusal(capsys, "image-folder", tmp_path, "--patient", r"person\d+")
    assert "patient person1: " in error
    assert "person1_a.png (train)" in error
    assert "person1_b.png (test)" in error


def test_an_official_list_that_parts_a_patient_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = published.chestxray14(tmp_path, patients=6)
    moved = "00000001_001.png"
    names = (folder / "train_val_list.txt").read_text().split()
    published.write_lines(folder / "train_val_list.txt", [n for n in names if n != moved])
    with (folder / "test_list.txt").open("a") as file:
        file.write(f"{moved}\n")
    error = refusal(capsys, "chestxray14", folder)
    assert "patient 1: " in error
    assert f"{moved} (test)" in error


def test_missing_and_broken_films_are_named_or_left_out_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published.rsna_pneumonia(tmp_path / "set")
    images = tmp_path / "set/stage_2_train_images"
    (images / "0004cfab-0001.dcm").unlink()
    (images / "0004cfab-0002.dcm").write_bytes(b"text")
    error = refusal(capsys, "rsna-pneumonia", tmp_path / "set")
    assert "2 films cannot be read" in error
    assert "0004cfab-0001.dcm: The file does not exist." in error
    assert "0004cfab-0002.dcm" in error
    assert len(prepared(tmp_path / "set", "rsna-pneumonia", "--skip-unreadable")) == 22
    assert "left out: 1 (unreadable: The file does not exist.)" in capsys.readouterr().out


def test_a_checked_manifest_passes_again_and_a_changed_film_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = prepared(published.rsna_pneumonia(tmp_path / "set"), "rsna-pneumonia")
    manifest = tmp_path / "set/m.csv"
    again = tmp_path / "set/again.csv"
    assert main(["prepare", "manifest", str(manifest), "-o", str(again)]) == 0
    assert rows_of(again) == rows
    film = tmp_path / "set" / rows[0]["path"]
    film.write_bytes(published.dicom(published.drawn(50)))
    assert f"1 films are not as sha256 says: {film}" in refusal(capsys, "manifest", manifest)


def test_a_manifest_elsewhere_leads_to_the_films(tmp_path: Path) -> None:
    published.image_folder(tmp_path / "set")
    output = tmp_path / "lists/m.csv"
    output.parent.mkdir()
    assert main(["prepare", "image-folder", str(tmp_path / "set"), "-o", str(output)]) == 0
    assert len(read_manifest(output)) == 24


def test_without_an_output_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published.image_folder(tmp_path)
    before = set(tmp_path.rglob("*"))
    assert main(["prepare", "image-folder", str(tmp_path)]) == 0
    assert set(tmp_path.rglob("*")) == before
    assert "written: nothing" in capsys.readouterr().out


def test_it_says_what_is_in_each_split_and_what_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = prepared(published.chexpert(tmp_path), "chexpert")
    lines = capsys.readouterr().out.splitlines()
    counted = {line.rsplit(None, 3)[0]: line.split()[-3:] for line in lines[1:6]}
    splits = [row["split"] for row in rows]
    assert lines[0].split() == ["train", "val", "test"]
    assert counted["films"] == [str(splits.count(name)) for name in ("train", "val", "test")]
    assert "left out: 24 (lateral views)" in lines
    assert any(line.startswith("Cardiomegaly (unknown)") for line in lines)


def test_copies_with_two_labels_are_pointed_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published.image_folder(tmp_path)
    brighter_copy(tmp_path / "OPACITY/person5_view1.jpeg", tmp_path / "NORMAL/person77.jpeg")
    prepared(tmp_path, "image-folder", "--pairs", str(tmp_path / "pairs.csv"))
    assert "have two different labels, first" in capsys.readouterr().out
    pair = rows_of(tmp_path / "pairs.csv")[0]
    assert {Path(pair["first"]).name, Path(pair["second"]).name} == {
        "person77.jpeg",
        "person5_view1.jpeg",
    }
    assert pair["first_split"] == pair["second_split"]
