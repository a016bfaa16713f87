from pathlib import Path

import pyarrow.parquet as pq
import pytest

from service.batch.parts import Run, ScoredParts, open_parts

FILMS = ("a.png", "b.png")
RUN = Run.of("model", FILMS, part_size=1)
ROWS = [{"path": "a.png", "probability:normal": 0.5}, {"path": "b.png", "error_status": 415}]


@pytest.fixture
def parts(tmp_path: Path) -> ScoredParts:
    return ScoredParts(tmp_path, ("normal",))


def test_parts_become_one_file_in_their_order(parts: ScoredParts, tmp_path: Path):
    parts.write(1, ROWS[1:])
    parts.write(0, ROWS[:1])
    parts.join(2, tmp_path / "results.parquet")
    rows = pq.read_table(tmp_path / "results.parquet").to_pylist()
    assert [row["path"] for row in rows] == ["a.png", "b.png"]
    assert [row["error_status"] for row in rows] == [None, 415]
    assert [row["probability:normal"] for row in rows] == [0.5, None]
    assert {row["sha256"] for row in rows} == {None}


def test_a_folder_that_looks_like_a_column_becomes_none(tmp_path: Path):
    folder = tmp_path / "year=2024"
    folder.mkdir()
    ScoredParts(folder, ("normal",)).write(0, ROWS)
    ScoredParts(folder, ("normal",)).join(1, tmp_path / "results.parquet")
    assert "year" not in pq.read_schema(tmp_path / "results.parquet").names


def test_a_part_that_cannot_be_written_is_absent(parts: ScoredParts, monkeypatch):
    def full(table, file):
        file.write(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        parts.write(0, ROWS)
    assert list(parts.folder.iterdir()) == []


def test_the_same_run_finds_its_parts_again(tmp_path: Path):
    for _ in range(2):
        with open_parts(tmp_path / "parts", RUN, ("normal",)) as parts:
            parts.write(0, ROWS[:1])
    assert parts.file(0).exists()


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (Run.of("another", FILMS, 1), "model_sha256 model, now another"),
        (Run.of("model", FILMS[:1], 1), "films_sha256"),
        (Run.of("model", FILMS, 2), "part_size 1, now 2"),
    ],
)
def test_another_run_is_refused_with_what_differs(tmp_path: Path, other: Run, named: str):
    with open_parts(tmp_path / "parts", RUN, ("normal",)):
        pass
    with (
        pytest.raises(ValueError, match=f"{named}.*remove the folder"),
        open_parts(tmp_path / "parts", other, ("normal",)),
    ):
        pass


def test_two_processes_never_write_one_result(tmp_path: Path):
    with (
        open_parts(tmp_path / "parts", RUN, ("normal",)),
        pytest.raises(ValueError, match="being written by another"),
        open_parts(tmp_path / "parts", RUN, ("normal",)),
    ):
        pass


def test_lists_of_films_differ_wherever_a_path_ends():
    assert Run.of("model", ("a", "b"), 1) != Run.of("model", ("ab",), 1)
