from pathlib import Path

import pyarrow.parquet as pq
import pytest

from service.batch.parts import Run, ScoredParts, open_parts
from service.batch.worker import PartScorer, Work
from tests.support.tiny_model import CLASS_NAMES, FILM, write_model
from xai.explainer import Explainer

FILMS = ("a.png", "b.png", "c.png")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    for film in FILMS:
        (tmp_path / film).write_bytes(FILM)
    model = write_model(tmp_path)
    parts = ScoredParts(tmp_path, CLASS_NAMES)
    return Work(model, Explainer(model).sha256, 1, 8, tmp_path, parts)


class Killed(BaseException):
    """Stands for a process that ends where it is."""


@pytest.fixture
def deadly(monkeypatch) -> list[str]:
    """Films that end the process that reads them, and what was read."""
    films: list[str] = []
    read = Path.open

    def opened(path: Path, *arguments, **more):
        if path.name in films:
            raise Killed
        return read(path, *arguments, **more)

    monkeypatch.setattr(Path, "open", opened)
    return films


def test_a_part_is_written_and_returned(work: Work):
    rows = PartScorer(work)(3, FILMS)
    written = pq.read_table(work.parts.file(3)).to_pylist()
    assert [row["path"] for row in rows] == [row["path"] for row in written] == list(FILMS)


def test_a_model_that_differs_between_machines_is_refused(work: Work):
    with pytest.raises(ValueError, match="not the same on every machine"):
        PartScorer(work._replace(model_sha256="0"))


def test_a_worker_killed_by_chance_costs_no_film(work: Work, deadly: list[str]):
    deadly.append("b.png")
    with pytest.raises(Killed):
        PartScorer(work)(0, FILMS)
    deadly.clear()
    assert [row["predicted_class"] for row in PartScorer(work)(0, FILMS)] == ["normal"] * 3


def test_films_that_kill_every_worker_get_rows_and_the_others_are_scored(
    work: Work, deadly: list[str]
):
    deadly += ["a.png", "c.png"]
    for _ in range(3):
        with pytest.raises(Killed):
            PartScorer(work)(0, FILMS)
    rows = PartScorer(work)(0, FILMS)
    assert [row.get("error_status") for row in rows] == [500, None, 500]


def test_a_run_that_was_killed_as_a_whole_holds_nothing_against_its_films(
    work: Work, deadly: list[str], tmp_path: Path
):
    run = Run.of("model", FILMS, 3)
    with open_parts(tmp_path / "parts", run, CLASS_NAMES) as parts:
        parts.begin(0, ["b.png"])
    with open_parts(tmp_path / "parts", run, CLASS_NAMES) as parts:
        assert parts.fatal_films(0) is None
