"""A report on findings measures each where it is known, and nothing that needs one class."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models.card import TrainingData
from tests.support.origin_films import film
from tests.support.tiny_model import CLASS_NAMES, card
from training.commands.evaluate import sentences
from training.data.manifest import Film
from training.data.split import split_sha256
from training.evaluation.evaluation import Evaluation
from training.evaluation.figures import Figures, figures
from training.report.page import write_report
from training.statistics.calibration import calibrated

FILMS = 60
KNOWN = (True, False, None)


def drawn_films() -> tuple[Film, ...]:
    """Return films of which a third of the findings is unknown; nobody has the last one."""
    random = np.random.default_rng(0)
    drawn = [[KNOWN[number] for number in random.integers(3, size=3)] for _ in range(FILMS)]
    return tuple(
        film(
            number,
            label=None,
            source="clinic",
            split="test",
            findings=tuple(zip(CLASS_NAMES, (one, other, False), strict=True)),
        )
        for number, (one, other, _) in enumerate(drawn)
    )


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    films = drawn_films()
    logits = np.random.default_rng(1).normal(size=(FILMS, 3))
    logits += [[value is True for _, value in film.findings] for film in films]
    data = TrainingData(
        manifest_sha256="0", split_sha256=split_sha256(films), films={}, description="drawn"
    )
    return Evaluation(
        card=card(task="multilabel", training_data=data),
        model_sha256="0" * 64,
        films=films,
        logits=logits,
        probabilities=calibrated(logits, 1.0, task="multilabel"),
        distance=np.zeros(FILMS),
    )


@pytest.fixture(scope="module")
def found(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Figures:
    manifest = tmp_path_factory.mktemp("films") / "manifest.csv"
    manifest.write_text("any")
    return figures([evaluation], [None], manifest=manifest, films=evaluation.films)


def test_findings_are_measured_where_they_are_known(evaluation: Evaluation) -> None:
    macro, *aurocs = evaluation.metrics
    assert [metric.class_name for metric in aurocs] == ["normal", "pneumonia"]
    for number, metric in enumerate(aurocs):
        known = ~np.isnan(evaluation.targets[:, number])
        columns = evaluation.targets[known, number], evaluation.logits[known, number]
        assert metric.estimate == pytest.approx(roc_auc_score(*columns))
        assert metric.low < metric.estimate < metric.high
    assert macro.estimate == pytest.approx(np.mean([metric.estimate for metric in aurocs]))


def test_films_are_counted_by_what_they_show(found: Figures) -> None:
    counts = {mix.value: mix.films for mix in found.case_mix if mix.attribute == "finding"}
    there = sum(("pneumonia", True) in film.findings for film in drawn_films())
    assert counts == {"normal": counts["normal"], "pneumonia": {"test": there}, "effusion": {}}
    assert "label" not in {mix.attribute for mix in found.case_mix}


def test_nothing_is_said_that_needs_one_class(found: Figures) -> None:
    text = "\n".join(sentences(found))
    assert "auroc, pneumonia" in text
    assert not any(word in text for word in ("confusion", "accuracy", "calibration", "baseline"))


def test_the_report_is_the_json_alone(
    found: Figures, evaluation: Evaluation, tmp_path: Path
) -> None:
    assert write_report(tmp_path, found, [evaluation]) == [tmp_path / "evaluation.json"]
    assert Figures.model_validate_json((tmp_path / "evaluation.json").read_text()) == found
