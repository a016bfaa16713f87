"""Figures equal what can be worked out by hand, and intervals respect groups."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from training.metrics import (
    balanced_accuracy,
    calibration_error_by_chance,
    class_auroc,
    confusion,
    expected_calibration_error,
    finding_auroc,
    macro_auroc,
    macro_finding_auroc,
    with_interval,
)

PROBABILITIES = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
TARGETS = np.array([0, 0, 1, 1])


def test_auroc_is_the_share_of_pairs_in_the_right_order() -> None:
    assert class_auroc(PROBABILITIES, TARGETS, number=1) == 3 / 4
    assert macro_auroc(PROBABILITIES, TARGETS) == 3 / 4


def test_auroc_equals_scikit_learns_ties_included() -> None:
    random = np.random.default_rng(0)
    scores = random.integers(20, size=300) / 20
    targets = random.integers(2, size=300)
    probabilities = np.stack([1 - scores, scores], axis=1)
    expected = roc_auc_score(targets, scores)
    assert class_auroc(probabilities, targets, number=1) == pytest.approx(expected)


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
        expected.append(roc_auc_score(findings[known, number], scores[known, number]))
        assert finding_auroc(scores, findings, number=number) == pytest.approx(expected[-1])
    assert macro_finding_auroc(scores, findings) == pytest.approx(np.mean(expected))


def test_without_a_finding_that_differs_there_is_no_macro_auroc() -> None:
    scores, findings = drawn_findings()
    with pytest.raises(ValueError, match="both 0 and 1"):
        macro_finding_auroc(scores[:, 2:], findings[:, 2:])


def test_resamples_without_a_rare_finding_are_left_out_of_its_interval() -> None:
    scores, findings = drawn_findings(60)
    findings[:, 0] = 0
    findings[:2, 0] = 1
    found = with_interval(
        macro_finding_auroc,
        scores,
        findings,
        groups=[str(film) for film in range(60)],
        resamples=200,
    )
    assert found.low < found.estimate < found.high


def test_balanced_accuracy_is_the_mean_recall() -> None:
    assert balanced_accuracy(PROBABILITIES, TARGETS) == (1 + 0.5) / 2
    expected = balanced_accuracy_score(TARGETS, PROBABILITIES.argmax(axis=1))
    assert balanced_accuracy(PROBABILITIES, TARGETS) == expected


def test_confusion_has_true_classes_in_rows() -> None:
    assert confusion(PROBABILITIES, TARGETS).tolist() == [[2, 0], [1, 1]]


def test_confusion_keeps_classes_that_do_not_occur() -> None:
    assert confusion(PROBABILITIES[:2], TARGETS[:2]).shape == (2, 2)


def test_calibration_error_by_hand() -> None:
    right, confidence = 3, 0.9 + 0.6 + 0.7 + 0.8
    found = expected_calibration_error(PROBABILITIES, TARGETS, bins=1)
    assert found == pytest.approx(abs(right - confidence) / 4)


def test_overconfidence_is_a_calibration_error() -> None:
    certain = np.tile([1.0, 0.0], (100, 1))
    targets = np.array([0, 1] * 50)
    assert expected_calibration_error(certain, targets) == pytest.approx(0.5, abs=0.05)


def test_the_interval_holds_the_estimate() -> None:
    random = np.random.default_rng(0)
    targets = random.integers(2, size=200)
    scores = np.clip(0.5 + 0.2 * (targets - 0.5) + random.normal(0, 0.2, 200), 0, 1)
    probabilities = np.stack([1 - scores, scores], axis=1)
    groups = [str(film) for film in range(200)]
    found = with_interval(macro_auroc, probabilities, targets, groups=groups, resamples=200)
    assert found.low < found.estimate < found.high


def test_copies_of_a_film_in_one_group_do_not_narrow_the_interval() -> None:
    random = np.random.default_rng(0)
    targets = random.integers(2, size=60)
    scores = np.clip(random.uniform(size=60) * 0.7 + 0.3 * targets, 0, 1)
    probabilities = np.stack([1 - scores, scores], axis=1)
    once = with_interval(
        macro_auroc, probabilities, targets, groups=[str(n) for n in range(60)], resamples=300
    )
    tenfold = with_interval(
        macro_auroc,
        probabilities.repeat(10, axis=0),
        targets.repeat(10),
        groups=[str(n) for n in range(60) for _ in range(10)],
        resamples=300,
    )
    assert tenfold.high - tenfold.low == pytest.approx(once.high - once.low, rel=0.2)


def calibrated_forecast(films: int = 700) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    scores = random.uniform(0.5, 1, films)
    targets = (random.random(films) > scores).astype(int)
    return np.stack([scores, 1 - scores], axis=1), targets


def test_the_calibration_errors_interval_is_not_shifted_by_resampling() -> None:
    probabilities, targets = calibrated_forecast()
    found = with_interval(
        expected_calibration_error,
        probabilities,
        targets,
        groups=[str(film) for film in range(len(targets))],
        bias_corrected=True,
        resamples=300,
    )
    assert (found.low + found.high) / 2 == pytest.approx(found.estimate, abs=0.005)


def test_a_calibrated_forecast_has_the_calibration_error_of_chance() -> None:
    probabilities, targets = calibrated_forecast()
    by_chance = calibration_error_by_chance(probabilities, resamples=200)
    assert expected_calibration_error(probabilities, targets) == pytest.approx(by_chance, abs=0.02)
    assert by_chance > 0.01


def test_with_very_many_films_chance_leaves_no_calibration_error() -> None:
    probabilities, _ = calibrated_forecast(100_000)
    assert calibration_error_by_chance(probabilities, resamples=2, seed=1) < 0.01
