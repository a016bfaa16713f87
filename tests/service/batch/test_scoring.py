import hashlib
import os
from pathlib import Path

import pytest

from models.radiograph import MAX_FILM_BYTES
from service.answers.film_answer import answer_film
from service.batch.scoring import lost_row, score_films
from tests.support.archive_films import make_unreadable, write_archive
from tests.support.tiny_model import CLASS_NAMES, FILM, write_model
from xai.explainer import Explainer


@pytest.fixture(scope="module")
def explainer(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    return Explainer(write_model(tmp_path_factory.mktemp("model")))


def test_each_film_has_one_row_in_the_films_order(explainer: Explainer, tmp_path: Path):
    films = write_archive(tmp_path)
    rows = score_films(explainer, tmp_path, films, batch_size=4)
    assert [row["path"] for row in rows] == films
    formats = {"dicom": 2, "jpeg": 1, "png": 21, "tiff": 1, None: 2}
    found = [row.get("format") for row in rows]
    assert {name: found.count(name) for name in formats} == formats


def test_a_row_says_what_one_film_alone_is_told(explainer: Explainer, tmp_path: Path):
    (tmp_path / "film.png").write_bytes(FILM)
    row = score_films(explainer, tmp_path, ["film.png"], batch_size=8)[0]
    alone = answer_film(explainer, FILM).prediction()
    assert row["sha256"] == hashlib.sha256(FILM).hexdigest()
    assert (row["rows"], row["columns"], row["predicted_class"]) == (32, 48, "normal")
    assert (row["is_decided"], row["prediction_set"]) == (True, None)
    assert row["most_probable_class"] == "normal"
    assert (row["model_name"], row["model_sha256"]) == ("tiny", explainer.sha256)
    for finding in alone.findings:
        assert row[f"probability:{finding.class_name}"] == finding.probability
        assert row[f"logit:{finding.class_name}"] == finding.logit
        assert row[f"decision:{finding.class_name}"] == finding.decision


def test_a_refused_film_has_probabilities_and_no_decision(explainer: Explainer, tmp_path: Path):
    write_archive(tmp_path)
    row = score_films(explainer, tmp_path, ["refused.png"], batch_size=8)[0]
    assert row["in_distribution"] is False
    assert row["refusals"] == ["distance"]
    assert (row["is_decided"], row["predicted_class"]) == (False, None)
    assert [row[f"decision:{name}"] for name in CLASS_NAMES] == [None] * 3
    assert sum(row[f"probability:{name}"] for name in CLASS_NAMES) == pytest.approx(1)


def test_what_cannot_be_used_has_a_row_that_says_why(explainer: Explainer, tmp_path: Path):
    write_archive(tmp_path)
    make_unreadable(tmp_path / "gone.png")
    films = ["broken.PNG", "letter.dcm", "gone.png"]
    rows = score_films(explainer, tmp_path, films, batch_size=8)
    assert [row["error_status"] for row in rows] == [422, 415, 400]
    assert [row["error_type"].rpartition(":")[2] for row in rows] == [
        "unreadable-film",
        "not-an-image",
        "blank",
    ]
    assert rows[2]["error_detail"] == "No such file or directory"
    assert [("sha256" in row) for row in rows] == [True, True, False]


def test_a_file_longer_than_a_film_may_be_is_not_read_whole(explainer: Explainer, tmp_path: Path):
    with (tmp_path / "film.png").open("wb") as file:
        file.write(FILM)
        file.truncate(MAX_FILM_BYTES + 1000)
    row = score_films(explainer, tmp_path, ["film.png"], batch_size=8)[0]
    assert row["error_status"] == 413
    assert "sha256" not in row


def test_a_path_that_is_no_utf_8_can_be_written_down(explainer: Explainer, tmp_path: Path):
    film = os.fsdecode(b"M\xfcller.png")
    (tmp_path / film).write_bytes(FILM)
    row = score_films(explainer, tmp_path, [film], batch_size=8)[0]
    assert row["path"] == r"M\xfcller.png"
    assert row["predicted_class"] == "normal"


def test_a_film_that_ends_its_reader_has_a_row_too(explainer: Explainer):
    row = lost_row(explainer, "film.png")
    assert (row["path"], row["error_status"]) == ("film.png", 500)
