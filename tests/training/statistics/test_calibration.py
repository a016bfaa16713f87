"""The temperature and the thresholds that are known beforehand are found."""

import numpy as np
import pytest

from training.statistics.calibration import (
    calibrated,
    fitted_temperature,
    largest_temperature,
    threshold_at_sensitivity,
    threshold_at_specificity,
    weights_by_origin,
    youden_threshold,
)


def test_the_temperature_that_was_put_in_is_found() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (20_000, 3))
    targets = np.array([random.choice(3, p=row) for row in calibrated(logits, 1.0)])
    assert fitted_temperature(logits * 2.5, targets) == pytest.approx(2.5, rel=0.05)


def test_the_temperature_of_findings_is_found_among_the_known_ones() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (20_000, 3))
    findings = (random.random(logits.shape) < calibrated(logits, 1.0, task="multilabel")) * 1.0
    findings[random.random(logits.shape) < 0.3] = np.nan
    assert fitted_temperature(logits * 2.5, findings) == pytest.approx(2.5, rel=0.05)


def test_probabilities_of_findings_are_sigmoids_each_for_itself() -> None:
    (probabilities,) = calibrated(np.array([[0.0, 2.0, -2.0]]), 2.0, task="multilabel")
    assert probabilities == pytest.approx([0.5, 0.731059, 0.268941], abs=1e-6)


def test_calibration_keeps_the_order_and_sums_to_one() -> None:
    logits = np.array([[3.0, 1.0, -2.0]])
    probabilities = calibrated(logits, 3.0)
    assert probabilities.sum() == pytest.approx(1)
    assert probabilities.argsort().tolist() == logits.argsort().tolist()


def test_the_threshold_separates_what_can_be_separated() -> None:
    threshold = youden_threshold(
        np.array([0.1, 0.2, 0.7, 0.9]), np.array([False, False, True, True])
    )
    assert threshold.value == pytest.approx(0.45)
    assert (threshold.sensitivity, threshold.specificity) == (1, 1)


def test_the_threshold_counts_as_the_server_does() -> None:
    random = np.random.default_rng(1)
    is_class = random.random(300) < 0.5
    scores = np.clip(0.3 * is_class + random.uniform(0, 0.7, 300), 0, 1)
    threshold = youden_threshold(scores, is_class)
    called = scores >= threshold.value
    assert called[is_class].mean() == pytest.approx(threshold.sensitivity)
    assert (~called)[~is_class].mean() == pytest.approx(threshold.specificity)


def test_the_threshold_is_finite_even_where_scores_are_upside_down() -> None:
    threshold = youden_threshold(np.array([0.9, 0.8, 0.1]), np.array([False, False, True]))
    assert 0 <= threshold.value <= 1


def overlapping(films: int = 300) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    is_class = random.random(films) < 0.5
    return np.clip(0.3 * is_class + random.uniform(0, 0.7, films), 0, 1), is_class


def test_the_threshold_of_a_specificity_reaches_it_and_no_lower_one_does() -> None:
    scores, is_class = overlapping()
    threshold = threshold_at_specificity(scores, is_class, 0.9)
    assert (scores < threshold.value)[~is_class].mean() == pytest.approx(threshold.specificity)
    assert 0.9 <= threshold.specificity < 0.91
    next_lower = scores[scores < threshold.value].max()
    assert (scores < next_lower)[~is_class].mean() < 0.9


def test_the_threshold_of_a_sensitivity_reaches_it_and_no_higher_one_does() -> None:
    scores, is_class = overlapping()
    threshold = threshold_at_sensitivity(scores, is_class, 0.9)
    assert (scores >= threshold.value)[is_class].mean() == pytest.approx(threshold.sensitivity)
    assert 0.9 <= threshold.sensitivity < 0.91
    lowest = scores[scores >= threshold.value].min()
    assert (scores > lowest)[is_class].mean() < 0.9


def test_a_specificity_that_only_calling_nobody_reaches_has_a_threshold_still() -> None:
    threshold = threshold_at_specificity(np.array([0.9, 0.1]), np.array([False, True]), 0.9)
    assert threshold.value > 0.9
    assert (threshold.sensitivity, threshold.specificity) == (0, 1)


ORIGINS = ["large"] * 900 + ["small"] * 300 + ["tiny"] * 20
FACTORS = np.array([1.0] * 900 + [4.0] * 320)


def two_origins() -> tuple[np.ndarray, np.ndarray]:
    """Return logits that are four times too large in the smaller origins, and true classes."""
    random = np.random.default_rng(3)
    logits = random.normal(0, 2, (len(ORIGINS), 3))
    targets = np.array([random.choice(3, p=row) for row in calibrated(logits, 1.0)])
    return logits * FACTORS[:, None], targets


def test_origins_that_count_alike_move_the_temperature_towards_the_small_one() -> None:
    logits, targets = two_origins()
    weights = weights_by_origin(ORIGINS)
    assert weights.mean() == pytest.approx(1)
    sums = [weights[np.array(ORIGINS) == origin].sum() for origin in ("large", "small", "tiny")]
    assert sums == pytest.approx([sums[0]] * 3)
    alike, films = (fitted_temperature(logits, targets, own) for own in (weights, None))
    assert films + 0.2 < alike < 4


def test_the_largest_temperature_is_that_of_the_origin_most_wrongly_sure() -> None:
    logits, targets = two_origins()
    assert largest_temperature(logits, targets, ORIGINS) == pytest.approx(4, rel=0.2)
    with pytest.raises(ValueError, match="none has 30 val films"):
        largest_temperature(logits[-20:], targets[-20:], ORIGINS[-20:])


def test_a_film_of_twice_the_weight_is_as_two_films() -> None:
    random = np.random.default_rng(5)
    is_class, weights = random.random(40) < 0.5, random.integers(1, 3, 40)
    scores = random.random(40).round(2)
    weighted = youden_threshold(scores, is_class, weights.astype(float))
    doubled = youden_threshold(np.repeat(scores, weights), np.repeat(is_class, weights))
    assert weighted.value == pytest.approx(doubled.value)
    assert weighted.sensitivity == pytest.approx(doubled.sensitivity)
    assert weighted.criterion == "largest Youden index on val, films weighted by origin"
