"""Figures equal scikit-learn's or what can be worked out by hand, for weighted films too."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    roc_auc_score,
    roc_curve,
)

from training.statistics.bootstrap import Resamples
from training.statistics.metrics import (
    area_under_risk_coverage,
    auroc,
    average_precision,
    balanced_accuracy,
    brier_score,
    calibration_error_by_chance,
    confusion,
    expected_calibration_error,
    finding_auroc,
    macro_auroc,
    macro_finding_auroc,
    mean_average_precision,
    mean_finding_auroc,
    mean_recall,
    one_hot,
    sensitivity_at,
    share,
    specificity_at,
)

PROBABILITIES = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
TARGETS = np.array([0, 0, 1, 1])
ONCE = np.ones((1, 4), int)


def tied_scores(films: int = 300) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.integers(20, size=films) / 20, random.random(films) < 0.3


def weights(films: int = 300) -> np.ndarray:
    return np.random.default_rng(1).integers(3, size=(5, films))


def test_auroc_is_the_share_of_pairs_in_the_right_order() -> None:
    assert auroc(PROBABILITIES[:, 1], TARGETS == 1, ONCE).tolist() == [3 / 4]
    assert macro_auroc(PROBABILITIES, TARGETS) == 3 / 4


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(auroc, roc_auc_score), (average_precision, average_precision_score)],
)
def test_ranking_equals_scikit_learns_ties_and_weights_included(
    ours: Callable[..., np.ndarray], theirs: Callable[..., float]
) -> None:
    scores, is_positive = tied_scores()
    expected = [theirs(is_positive, scores, sample_weight=row) for row in weights()]
    assert ours(scores, is_positive, weights()) == pytest.approx(expected)


def test_brier_scores_equal_scikit_learns() -> None:
    scores, is_positive = tied_scores()
    expected = [brier_score_loss(is_positive, scores, sample_weight=row) for row in weights()]
    found = brier_score(scores[:, None], is_positive[:, None], weights())
    assert found == pytest.approx(expected)
    both = np.stack([1 - scores, scores], axis=1)
    summed = brier_score(both, one_hot(is_positive.astype(int), 2), weights())
    assert summed == pytest.approx(2 * np.array(expected))


def test_a_film_of_weight_two_counts_as_two_films() -> None:
    scores, is_positive = tied_scores(40)
    row = weights(40)[:1]
    twice = np.repeat(np.arange(40), row[0])
    once = np.ones((1, len(twice)), int)
    for statistic in (auroc, average_precision, partial(sensitivity_at, specificity=0.9)):
        assert statistic(scores, is_positive, row) == pytest.approx(
            statistic(scores[twice], is_positive[twice], once)
        )


def test_sensitivity_is_read_off_where_specificity_suffices() -> None:
    scores, is_positive = tied_scores()
    false_positive_rate, sensitivity, _ = roc_curve(is_positive, scores, drop_intermediate=False)
    once = np.ones((1, 300), int)
    expected = sensitivity[false_positive_rate <= 0.1].max()
    assert sensitivity_at(scores, is_positive, once, specificity=0.9) == pytest.approx([expected])
    mirrored = 1 - false_positive_rate[sensitivity >= 0.9].min()
    assert specificity_at(scores, is_positive, once, sensitivity=0.9) == pytest.approx([mirrored])


def test_a_class_without_films_has_no_auroc() -> None:
    assert np.isnan(auroc(PROBABILITIES[:, 1], TARGETS == 7, ONCE)).all()


def drawn_findings(films: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and findings of which a third is unknown; the last is known to be nowhere."""
    random = np.random.default_rng(0)
    findings = random.choice([0, 1, np.nan], (films, 3))
    findings[:, 2] = np.where(findings[:, 2] == 1, 0, findings[:, 2])
    return 0.3 * np.nan_to_num(findings, nan=5) + random.random((films, 3)), findings


def test_aurocs_of_findings_are_those_of_the_films_where_they_are_known() -> None:
    scores, findings = drawn_findings()
    expected = []
    for number in (0, 1):
        known = ~np.isnan(findings[:, number])
        of_finding = findings[known, number], scores[known, number]
        expected.append(
            [roc_auc_score(*of_finding, sample_weight=row[known]) for row in weights(200)]
        )
        found = finding_auroc(scores[:, number], findings[:, number], weights(200))
        assert found == pytest.approx(expected[-1])
    found = mean_finding_auroc(scores, findings, weights(200))
    assert found == pytest.approx(np.mean(expected, axis=0))


def test_without_a_finding_that_differs_there_is_no_macro_auroc() -> None:
    scores, findings = drawn_findings()
    with pytest.raises(ValueError, match="both 0 and 1"):
        macro_finding_auroc(scores[:, 2:], findings[:, 2:])


def test_resamples_without_a_rare_finding_are_left_out_of_its_interval() -> None:
    scores, findings = drawn_findings(60)
    findings[:, 0] = 0
    findings[:2, 0] = 1
    statistic = partial(mean_finding_auroc, scores, findings)
    resamples = Resamples([str(film) for film in range(60)], resamples=200)
    assert np.isnan(resamples.values(statistic)).any()
    found = resamples.estimate(statistic)
    assert found.low < found.estimate < found.high
    assert found.estimate == pytest.approx(macro_finding_auroc(scores, findings))


def test_balanced_accuracy_is_the_mean_recall() -> None:
    assert balanced_accuracy(PROBABILITIES, TARGETS) == (1 + 0.5) / 2
    scores, is_positive = tied_scores()
    both, targets = np.stack([1 - scores, scores], axis=1), is_positive.astype(int)
    expected = [
        balanced_accuracy_score(targets, both.argmax(axis=1), sample_weight=row)
        for row in weights()
    ]
    assert mean_recall(both, one_hot(targets, 2), weights()) == pytest.approx(expected)


def test_the_mean_average_precision_is_over_classes() -> None:
    is_class = one_hot(TARGETS, 2)
    expected = average_precision_score(is_class, PROBABILITIES, average="macro")
    assert mean_average_precision(PROBABILITIES, is_class, ONCE) == pytest.approx([expected])


def test_classes_that_do_not_occur_are_left_out_of_means() -> None:
    three = np.pad(PROBABILITIES, ((0, 0), (0, 1)))
    assert macro_auroc(three, TARGETS) == macro_auroc(PROBABILITIES, TARGETS)
    assert balanced_accuracy(three, TARGETS) == balanced_accuracy(PROBABILITIES, TARGETS)


def test_a_share_is_among_the_films_asked_for() -> None:
    counted, among = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 1], bool)
    assert share(counted, among, np.array([[1, 1, 1, 1], [3, 9, 1, 0]])) == pytest.approx(
        [1 / 3, 3 / 4]
    )


def test_the_area_under_risk_coverage_by_hand() -> None:
    refused_last = np.array([0.1, 0.2, 0.3, 0.4])
    is_wrong = np.array([False, True, False, True])
    found = area_under_risk_coverage(refused_last, is_wrong, ONCE)
    assert found == pytest.approx([(0 + 1 / 2 + 1 / 3 + 2 / 4) / 4])


def test_refusing_at_random_gives_the_error_rate() -> None:
    same = np.zeros(4)
    is_wrong = np.array([False, True, False, False])
    assert area_under_risk_coverage(same, is_wrong, ONCE).tolist() == [1 / 4]


def test_confusion_has_true_classes_in_rows() -> None:
    assert confusion(PROBABILITIES, TARGETS).tolist() == [[2, 0], [1, 1]]


def test_confusion_keeps_classes_that_do_not_occur() -> None:
    assert confusion(PROBABILITIES[:2], TARGETS[:2]).shape == (2, 2)


def test_calibration_error_by_hand() -> None:
    gaps = [1 - 0.9, 1 - 0.6, 0 - 0.7, 1 - 0.8]  # a film each in the first bins, then empty ones
    found = expected_calibration_error(PROBABILITIES, TARGETS, ONCE)
    assert found == pytest.approx([np.abs(gaps).sum() / 4])


def test_overconfidence_is_a_calibration_error() -> None:
    certain = np.tile([1.0, 0.0], (100, 1))
    targets = np.array([0, 1] * 50)
    found = expected_calibration_error(certain, targets, np.ones((1, 100), int))
    assert found == pytest.approx([0.5], abs=0.05)


def calibrated_forecast(films: int = 700) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    scores = random.uniform(0.5, 1, films)
    targets = (random.random(films) > scores).astype(int)
    return np.stack([scores, 1 - scores], axis=1), targets


def test_the_calibration_errors_interval_is_not_shifted_by_resampling() -> None:
    probabilities, targets = calibrated_forecast()
    found = Resamples([str(film) for film in range(len(targets))], resamples=300).estimate(
        partial(expected_calibration_error, probabilities, targets), bias_corrected=True
    )
    assert (found.low + found.high) / 2 == pytest.approx(found.estimate, abs=0.005)


def test_a_calibrated_forecast_has_the_calibration_error_of_chance() -> None:
    probabilities, targets = calibrated_forecast()
    by_chance = calibration_error_by_chance(probabilities, resamples=200)
    found = expected_calibration_error(probabilities, targets, np.ones((1, len(targets)), int))
    assert found == pytest.approx([by_chance], abs=0.02)
    assert by_chance > 0.01


def test_with_very_many_films_chance_leaves_no_calibration_error() -> None:
    probabilities, _ = calibrated_forecast(100_000)
    assert calibration_error_by_chance(probabilities, resamples=2, seed=1) < 0.01
