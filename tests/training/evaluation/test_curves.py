"""Curves' points, by hand."""

import numpy as np
import pytest
from matplotlib.axes import Axes

from tests.support.drawn_answers import evaluation, films
from training.evaluation.curves import (
    PROBABILITY_THRESHOLDS,
    Curve,
    curves,
    net_benefit,
    reliability,
    risk_coverage,
)
from training.report import plots
from training.statistics.metrics import area_under_risk_coverage

SCORES = np.array([0.9, 0.6, 0.3, 0.1])
IS_POSITIVE = np.array([True, False, True, False])
ONCE = np.ones((1, 4), int)


def at(threshold: float) -> int:
    return int(np.argmin(abs(PROBABILITY_THRESHOLDS - threshold)))


def test_net_benefit_of_four_films() -> None:
    benefit = net_benefit(SCORES, IS_POSITIVE, ONCE)[0]
    assert benefit[at(0.2)] == pytest.approx(2 / 4 - 1 / 4 * 0.2 / 0.8)
    assert benefit[at(0.5)] == pytest.approx(1 / 4 - 1 / 4 * 1)
    assert benefit[at(0.75)] == pytest.approx(1 / 4)
    assert benefit[at(0.95)] == 0


def test_a_film_at_the_threshold_is_treated() -> None:
    assert net_benefit(np.array([0.6]), np.array([True]), np.ones((1, 1), int))[0, at(0.6)] == 1


def test_treating_all_is_worth_nothing_at_the_prevalence() -> None:
    everyone = net_benefit(np.ones(4), IS_POSITIVE, ONCE)[0]
    assert everyone[at(0.5)] == pytest.approx(0)
    assert everyone[at(0.1)] == pytest.approx(0.5 - 0.5 / 9)


def test_reliability_bins_hold_equally_many_films_and_say_how_many_are_right() -> None:
    asked = evaluation(films(150))
    confidence, band = reliability(asked, asked.probabilities)
    is_right = asked.probabilities.argmax(axis=1) == asked.targets
    surest = np.argsort(asked.probabilities.max(axis=1))[-10:]
    assert len(confidence) == 15
    assert confidence[-1] == pytest.approx(asked.probabilities.max(axis=1)[surest].mean())
    assert band.estimate[-1] == is_right[surest].mean()
    assert (np.diff(confidence) > 0).all()


def test_the_area_is_that_under_the_curve() -> None:
    scores, is_wrong = np.arange(6.0), np.array([False, False, True, False, True, True])
    coverage, risk = risk_coverage(scores, is_wrong)
    assert (coverage[-1], risk[-1]) == (1, 0.5)
    area = area_under_risk_coverage(scores, is_wrong, np.ones((1, 6), int))
    assert area == pytest.approx([risk.mean()])


def test_every_class_and_score_has_its_curves() -> None:
    found = {(curve.kind, curve.class_name) for curve in curves(evaluation(films(30)))}
    assert ("net_benefit", "effusion") in found
    assert ("roc", "normal") in found
    assert ("risk_by_distance", None) in found
    assert len(found) == 3 * 4 + 4


def test_no_model_is_left_out_of_a_picture_for_want_of_colours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[str] = []
    draw = plots._draw

    def noted(panel: Axes, curve: Curve, colour: str, label: str) -> None:
        drawn.append(label)
        draw(panel, curve, colour, label)

    monkeypatch.setattr(plots, "_draw", noted)
    names = [f"model {number}" for number in range(len(plots.COLOURS) + 1)]
    corners = {"x": (0.0, 1.0), "y": (0.0, 1.0)}
    lines = [Curve(model=name, kind="roc", class_name="opacity", **corners) for name in names]
    plots.draw_by_class(lines, "roc", plots.RATES)
    assert drawn == names
