"""An evaluation says its figures with intervals, beside what needs no lungs."""

import json
from pathlib import Path

import pytest

import cxr
from tests.bright_spot import write_set
from training.evaluate import baseline_figures, sentences, write_report
from training.evaluation import Evaluation, evaluated
from training.manifest import of_split, read_manifest
from xai.explainer import Explainer


@pytest.fixture(scope="module")
def evaluation(spot_model: Path, spot_manifest: Path) -> Evaluation:
    return evaluated(Explainer(spot_model), of_split(read_manifest(spot_manifest), "test"))


def test_what_was_learnt_shows_in_the_figures(evaluation: Evaluation) -> None:
    figures = {metric.name: metric for metric in evaluation.metrics}
    assert figures["macro_auroc"].estimate > 0.99
    assert figures["balanced_accuracy"].estimate > 0.9
    assert all(metric.low <= metric.estimate <= metric.high for metric in figures.values())


def test_the_card_and_the_evaluation_agree(evaluation: Evaluation) -> None:
    from_card = {metric.name: metric.estimate for metric in evaluation.card.metrics}
    measured = {metric.name: metric.estimate for metric in evaluation.metrics}
    assert measured == from_card


def test_confusion_is_counted_over_all_and_per_source(evaluation: Evaluation) -> None:
    matrices = evaluation.confusion_by_source()
    assert set(matrices) == {"all", "drawn"}
    assert sum(map(sum, matrices["all"])) == 24


def test_baselines_that_see_nothing_are_at_chance(
    evaluation: Evaluation, spot_manifest: Path
) -> None:
    figures = baseline_figures(read_manifest(spot_manifest), evaluation)
    assert set(figures) == {"source only", "nine file statistics", "32x32 pixels"}
    assert figures["source only"][0].estimate == 0.5


def test_the_text_names_every_class(evaluation: Evaluation) -> None:
    text = "\n".join(sentences(evaluation))
    assert "auroc, spot" in text
    assert "expected calibration error unscaled" in text


def test_the_report_holds_json_and_picture(evaluation: Evaluation, tmp_path: Path) -> None:
    write_report(tmp_path / "report", evaluation, {}, model_sha256="0")
    report = json.loads((tmp_path / "report/evaluation.json").read_text())
    assert report["films"] == 24
    assert (tmp_path / "report/confusion.png").read_bytes().startswith(b"\x89PNG")


def test_the_verb_prints_figures_baselines_and_a_warning(
    spot_model: Path, spot_manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cxr.main(["evaluate", str(spot_model), "--manifest", str(spot_manifest)]) == 0
    printed = capsys.readouterr().out
    assert "baseline: nine file statistics" in printed
    assert "Research use only" in printed
    assert "Mind:" not in printed


def test_other_splits_than_the_models_are_pointed_out(
    spot_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_set(tmp_path, films=40)
    cxr.main(["evaluate", str(spot_model), "--manifest", str(manifest), "--no-baselines"])
    assert "Mind: these are not the films" in capsys.readouterr().out


def test_films_of_another_task_are_refused(evaluation: Evaluation, spot_model: Path) -> None:
    film = evaluation.films[0]
    other = type(film)(**{**vars(film), "label": "gout"})
    with pytest.raises(ValueError, match="gout"):
        evaluated(Explainer(spot_model), [other])
