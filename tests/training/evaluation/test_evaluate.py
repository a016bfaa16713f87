"""An evaluation gives figures with intervals, beside trivial baselines."""

import json
from pathlib import Path

import pytest

import cxr
from tests.support.bright_spot import write_set
from training.data.manifest import of_split, read_manifest
from training.evaluation.evaluation import Evaluation, evaluated
from training.evaluation.figures import Figures, baseline_figures
from xai.explainer import Explainer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def evaluation(spot_model: Path, spot_manifest: Path) -> Evaluation:
    return evaluated(Explainer(spot_model), of_split(read_manifest(spot_manifest), "test"))


def test_what_was_learnt_shows_in_the_figures(evaluation: Evaluation) -> None:
    figures = {metric.name: metric for metric in evaluation.metrics}
    assert figures["macro_auroc"].estimate > 0.99
    assert figures["balanced_accuracy"].estimate > 0.9
    assert all(metric.low <= metric.estimate <= metric.high for metric in figures.values())


def test_the_card_and_the_evaluation_agree(evaluation: Evaluation) -> None:
    assert evaluation.metrics == evaluation.card.metrics


def test_confusion_is_counted_over_all_and_per_source(evaluation: Evaluation) -> None:
    matrices = evaluation.confusion_by_source()
    assert set(matrices) == {"all", "drawn"}
    assert sum(map(sum, matrices["all"])) == 24


def test_baselines_that_see_nothing_are_at_chance(
    evaluation: Evaluation, spot_manifest: Path
) -> None:
    train = of_split(read_manifest(spot_manifest), "train")
    figures = baseline_figures(train, evaluation)
    assert set(figures) == {"source only", "view only", "nine file statistics", "32x32 pixels"}
    assert figures["source only"][0].estimate == figures["view only"][0].estimate == 0.5


def test_the_verb_prints_figures_baselines_and_a_warning(
    spot_model: Path, spot_manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cxr.main(["evaluate", str(spot_model), "--manifest", str(spot_manifest)]) == 0
    printed = capsys.readouterr().out
    assert "baseline: nine file statistics" in printed
    assert "auroc, spot" in printed
    assert "within drawn: auroc of spot against normal" in printed
    assert "Research use only" in printed
    assert "Mind:" not in printed


def test_the_report_is_a_page_with_its_figures_beside_it(
    spot_model: Path, spot_manifest: Path, tmp_path: Path
) -> None:
    words = ["--manifest", str(spot_manifest), "--no-baselines", "--report", str(tmp_path)]
    assert cxr.main(["evaluate", str(spot_model), *words]) == 0
    figures = Figures.model_validate_json((tmp_path / "evaluation.json").read_text())
    assert (figures.films, figures.groups, len(figures.models)) == (24, 24, 1)
    assert "spot_cnn 0.1.0" in (tmp_path / "report.html").read_text()
    assert json.loads((tmp_path / "curves.json").read_text())["curves"]


def test_films_from_elsewhere_need_neither_train_nor_val(
    spot_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_set(tmp_path, films=40)
    lines = [line for line in manifest.read_text().splitlines() if ",train," not in line]
    manifest.write_text("\n".join(line.replace(",val,", ",test,") for line in lines))
    words = ["--manifest", str(manifest), "--report", str(tmp_path / "report")]
    assert cxr.main(["evaluate", str(spot_model), *words]) == 0
    assert "Mind: these are not the films" in capsys.readouterr().out
    figures = Figures.model_validate_json((tmp_path / "report/evaluation.json").read_text())
    assert figures.baselines == {}
    assert {p.criterion for p in figures.models[0].operating_points} == {
        "largest Youden index on val"
    }


def test_films_of_another_task_are_refused(evaluation: Evaluation, spot_model: Path) -> None:
    film = evaluation.films[0]
    other = type(film)(**{**vars(film), "label": "gout"})
    with pytest.raises(ValueError, match="gout"):
        evaluated(Explainer(spot_model), [other])


def test_films_of_one_class_tell_nothing_apart(evaluation: Evaluation, spot_model: Path) -> None:
    alike = [film for film in evaluation.films if film.label == "spot"]
    with pytest.raises(ValueError, match="not all spot"):
        evaluated(Explainer(spot_model), alike)
