from pathlib import Path

import pytest

from service.batch.parts import ScoredParts
from service.batch.ray_workers import Worker
from service.batch.worker import Work
from tests.support.archive_films import write_archive
from tests.support.tiny_model import CLASS_NAMES, write_model
from xai.explainer import Explainer


@pytest.fixture
def work(tmp_path: Path) -> Work:
    model = write_model(tmp_path)
    parts = ScoredParts(tmp_path, CLASS_NAMES)
    return Work(model, Explainer(model).sha256, 1, 8, tmp_path, parts)


def test_a_worker_counts_the_films_and_errors_of_a_part(work: Work, tmp_path: Path):
    films = [film.encode() for film in write_archive(tmp_path)]
    part = Worker(work)({"number": 0, "films": films})
    assert part == {"films": 27, "errors": 2, "failure": ""}
    assert work.parts.file(0).exists()


def test_a_worker_says_that_its_model_is_another(work: Work):
    part = Worker(work._replace(model_sha256="0"))({"number": 0, "films": [b"film.png"]})
    assert part["failure"] == "the model's file is not the same on every machine"


def test_a_worker_says_that_it_cannot_write(work: Work, tmp_path: Path):
    lost = work._replace(parts=ScoredParts(tmp_path / "lost", CLASS_NAMES))
    assert "No such file" in Worker(lost)({"number": 0, "films": [b"film.png"]})["failure"]
