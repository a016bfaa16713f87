"""An evaluation says how many films are decided and right, and how good the prediction sets are."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.drawn_answers import evaluation, films
from tests.support.tiny_model import CLASS_NAMES
from training.evaluation.evaluation import Evaluation
from training.evaluation.figures import model_figures
from training.statistics.conformal import conformal_quantiles, prediction_sets


@pytest.fixture(scope="module")
def with_sets() -> Evaluation:
    """A model's answers with quantiles that were chosen on its answers for val."""
    val = evaluation(films(300, "val"), seed=1)
    quantiles = conformal_quantiles(val.probabilities, val.targets)
    made = evaluation(films(300))
    return replace(made, card=made.card.model_copy(update={"conformal_quantiles": quantiles}))


def test_decided_films_are_those_with_one_class_left_that_nothing_refuses(
    with_sets: Evaluation,
) -> None:
    quantiles = with_sets.card.conformal_quantiles
    assert quantiles is not None
    is_one = prediction_sets(with_sets.probabilities, quantiles).sum(axis=1) == 1
    assert with_sets.is_refused.any()
    np.testing.assert_array_equal(with_sets.is_decided, is_one & ~with_sets.is_refused)


def test_figures_of_decisions_are_those_counted_by_hand(with_sets: Evaluation) -> None:
    found = {(one.name, one.class_name): one for one in with_sets.decision_metrics()}
    right = with_sets.probabilities.argmax(axis=1) == with_sets.targets
    decided = with_sets.is_decided
    assert found["decided_share", None].estimate == pytest.approx(decided.mean())
    assert found["right_if_decided", None].estimate == pytest.approx(right[decided].mean())
    assert found["right_if_undecided", None].estimate == pytest.approx(right[~decided].mean())
    of_class = [found["set_coverage", name].estimate for name in CLASS_NAMES]
    assert found["set_coverage", None].estimate == pytest.approx(np.mean(of_class))
    assert min(of_class) > 0.8
    assert 1 <= found["mean_set_size", None].estimate < 2
    for one in found.values():
        assert one.low <= one.estimate <= one.high


def test_a_model_without_sets_has_figures_of_its_decisions_alone() -> None:
    made = evaluation(films(90))
    found = {one.name for one in made.decision_metrics()}
    assert found == {
        "decided_share",
        "right_if_decided",
        "right_if_undecided",
        "right_if_decided_minus_undecided",
    }


def test_films_that_are_neither_refused_nor_decided_are_counted(with_sets: Evaluation) -> None:
    found = model_figures(with_sets, None, "")
    decided = next(one for one in found.decisions if one.name == "decided_share")
    assert found.unsure_share > 0
    assert decided.estimate + found.refused_share + found.unsure_share == pytest.approx(1)
