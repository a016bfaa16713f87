"""Limits of plausible lungs, chosen on val films."""

import numpy as np
import pytest

from training.export.lung_limits import lung_limits


def figures(films: int) -> np.ndarray:
    """Return figures spread about as those of real films are."""
    random = np.random.default_rng(0)
    area = random.normal(0.33, 0.09, films).clip(0.1, 0.65)
    balance = 1 - random.gamma(1.2, 0.08, films).clip(0, 0.6)
    stray = np.where(random.random(films) < 0.01, random.uniform(0, 0.1, films), 0.0)
    return np.stack([area, balance, stray], axis=1)


def test_about_one_val_film_in_a_hundred_is_refused() -> None:
    val = figures(5000)
    limits = lung_limits(val)
    refused = np.mean([bool(limits.faults(film)) for film in val.tolist()])
    assert 0.003 < refused < 0.02


def test_films_that_are_all_alike_do_not_refuse_each_other() -> None:
    val = np.array([[0.3, 0.9, 0.0]] * 3) + np.random.default_rng(0).normal(0, 1e-6, (3, 3))
    limits = lung_limits(val)
    assert not any(limits.faults(film) for film in val.tolist())


def test_limits_are_shares() -> None:
    limits = lung_limits(np.ones((3, 3)))
    assert limits.area == pytest.approx((0.9, 1.0))
    assert (limits.balance, limits.stray) == (pytest.approx(0.9), 1.0)
