"""Groups of classes are measured as classes are: the film has one of them, or none."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from models.card import ClassGroup, DecisionThreshold, Metric
from tests.support.drawn_answers import evaluation, films
from training.evaluation.evaluation import Evaluation
from training.evaluation.operating_points import operating_points
from training.evaluation.subgroups import subgroup_figures

CUT = 0.7
ABNORMAL = ClassGroup(
    name="abnormal",
    class_names=("pneumonia", "effusion"),
    threshold=DecisionThreshold(value=CUT, sensitivity=1, specificity=1),
    evidence_scale=1,
)


def grouped(evaluation: Evaluation) -> Evaluation:
    return replace(evaluation, card=evaluation.card.model_copy(update={"groups": (ABNORMAL,)}))


@pytest.fixture(scope="module")
def asked() -> Evaluation:
    return grouped(evaluation(films(120), skill=1))


@pytest.fixture(scope="module")
def metrics(asked: Evaluation) -> dict[str, Metric]:
    return {one.name: one for one in asked.metrics if one.class_name == "abnormal"}


def test_its_figures_are_those_of_the_summed_probability(asked, metrics) -> None:
    scores, truth = asked.probabilities[:, 1:].sum(axis=1), ~asked.is_class[:, 0]
    expected = {
        "auroc": roc_auc_score(truth, scores),
        "sensitivity": (scores[truth] >= CUT).mean(),
        "specificity": (scores[~truth] < CUT).mean(),
        "brier_score_scaled": brier_score_loss(truth, scores),
    }
    assert {name: metrics[name].estimate for name in expected} == pytest.approx(expected)
    for one in metrics.values():
        assert one.low <= one.high
    assert 0 <= metrics["expected_calibration_error_scaled"].estimate < 0.5


def test_a_sum_of_probabilities_that_rounding_took_over_1_is_1(asked) -> None:
    over = replace(asked, probabilities=np.full((120, 3), 0.7))
    assert over.all_probabilities[:, 3].max() == 1


def test_a_model_without_groups_has_no_such_figures(asked) -> None:
    alone = evaluation(films(120), skill=1)
    assert {one.class_name for one in asked.metrics} - {
        one.class_name for one in alone.metrics
    } == {"abnormal"}


def test_it_is_measured_within_each_origin_where_it_has_films_and_others(asked) -> None:
    alone = replace(evaluation(films(120)), card=asked.card.model_copy(update={"name": "alone"}))
    alone = replace(alone, card=alone.card.model_copy(update={"groups": ()}))
    found = {(s.value, s.class_name): s for s in subgroup_figures([asked, alone])}
    subgroup = found["clinic", "abnormal"]
    rows = np.array([film.source == "clinic" for film in asked.films])
    scores, truth = asked.all_probabilities[rows, 3], asked.is_positive[rows, 3]
    assert set(subgroup.auroc) == {"tiny 1.2.3"}
    assert subgroup.auroc["tiny 1.2.3"].estimate == pytest.approx(roc_auc_score(truth, scores))
    assert subgroup.recall["tiny 1.2.3"].estimate == pytest.approx((scores[truth] >= CUT).mean())
    assert subgroup.positives == truth.sum()


def test_its_operating_points_are_chosen_on_val_as_those_of_classes(asked) -> None:
    val = grouped(evaluation(films(120, "val"), skill=1))
    points = [one for one in operating_points(asked, val) if one.class_name == "abnormal"]
    assert len(points) == 3
    assert points[-1].threshold == CUT
