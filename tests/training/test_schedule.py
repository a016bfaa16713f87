"""The learning rate rises in a line and falls in a cosine."""

import pytest

from training.schedule import learning_rate_factor


def factors() -> list[float]:
    return [learning_rate_factor(step, warmup_steps=10, steps=110) for step in range(110)]


def test_it_reaches_the_peak_at_the_end_of_the_warm_up() -> None:
    assert factors()[10] == 1.0
    assert max(factors()) == 1.0


def test_it_rises_before_and_falls_after_the_peak() -> None:
    rates = factors()
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_it_is_half_the_peak_half_way_down() -> None:
    assert factors()[60] == pytest.approx(0.5)


def test_it_stays_positive_and_ends_near_zero() -> None:
    assert 0 < factors()[-1] < 0.001
