"""Ask whether answers about films from elsewhere are right more often where nothing is new.

Networks that never saw an origin score its films (`cxr leave-out`); a novelty that never saw it
either says which of them were acquired as none of the others. `risk_by_score` takes any films with
scores and right or wrong answers.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from training.config import Config
from training.data.manifest import Film
from training.evaluation.comparison import minus
from training.evaluation.curves import risk_coverage
from training.evaluation.evaluation import figure
from training.evaluation.leave_out_figures import SeedScores
from training.evaluation.leave_out_films import OriginFilms
from training.novelty.left_out import MeasuredFilms
from training.novelty.result import CoverageError, LeftOutRisk, RiskByScore
from training.statistics.bootstrap import Weights, averaged
from training.statistics.metrics import Values, area_under_risk_coverage, counts, ratio, share

COVERAGES = (1.0, 0.9, 0.75, 0.5, 0.25)
POINTS = 100
"""Points of a curve that are written down."""

Scores = Float[np.ndarray, "seeds films"]
Wrong = Bool[np.ndarray, "seeds films"]


def left_out_risk(
    config: Config, scores: SeedScores, films: OriginFilms, measured: MeasuredFilms
) -> LeftOutRisk:
    """Return how often networks are right about origins they never saw, by novelty.

    A film's novelty is divided by the limit of its fold, so that films of all origins compare.

    Args:
        config: The recipe of the networks.
        scores: Of the films of train, each by networks without its origin.
        films: Those of train, with their origins.
        measured: Acquisition statistics of films of train and val.
    """
    truth = films.is_class.argmax(axis=1)
    asked = np.flatnonzero(~np.isnan(scores[:, np.arange(len(truth)), truth]).any(axis=0))
    own_films = [films.films[row] for row in asked]
    probabilities = np.nan_to_num(scores[:, asked])
    wrong = probabilities.argmax(axis=2) != truth[asked]
    novelty = left_out_novelties(films, measured)[asked]
    by_score = {
        "novelty": np.stack([novelty] * len(scores)),
        "uncertainty": 1 - probabilities.max(axis=2),
    }
    is_known = novelty <= 1
    right = {
        "right_known": averaged([partial(share, ~one, is_known) for one in wrong]),
        "right_novel": averaged([partial(share, ~one, ~is_known) for one in wrong]),
    }
    right["difference"] = minus(right["right_known"], right["right_novel"])
    return LeftOutRisk(
        recipe=f"{config.name} {config.version}",
        seeds=len(scores),
        films=len(own_films),
        known=float(is_known.mean()),
        **{name: figure(name, statistic, own_films) for name, statistic in right.items()},
        by_score=tuple(
            risk_by_score(name, score, wrong, own_films) for name, score in by_score.items()
        ),
    )


def left_out_novelties(films: OriginFilms, measured: MeasuredFilms) -> Float[np.ndarray, " films"]:
    """Return each film's novelty without its origin, as a share of that fit's limit.

    It is NaN of films whose origin is not left out.
    """
    place = {film.path: row for row, film in enumerate(measured.films)}
    rows = np.array([place[film.path] for film in films.films])
    novelty = np.full(len(rows), np.nan)
    for origin in films.left_out:
        values, limit = measured.novelty_without(origin)
        own = films.rows(origin)
        novelty[own] = values[rows[own]] / limit
    return novelty


def risk_by_score(name: str, scores: Scores, wrong: Wrong, films: Sequence[Film]) -> RiskByScore:
    """Return the errors as films are refused, the largest score first; means over seeds.

    Args:
        name: Of the score.
        scores: The smaller, the sooner a film is accepted.
        wrong: Whether each answer is wrong.
        films: With their groups, by which the intervals are bootstrapped.
    """
    pairs = list(zip(scores, wrong, strict=True))
    area = averaged([partial(area_under_risk_coverage, *pair) for pair in pairs])
    grid = np.arange(1, POINTS + 1) / POINTS
    curves = [np.interp(grid, *risk_coverage(*pair)) for pair in pairs]
    return RiskByScore(
        score=name,
        area=figure("area_under_risk_coverage", area, films),
        errors=tuple(
            CoverageError(
                coverage=coverage,
                error=figure(
                    "error_rate",
                    averaged([partial(error_at, *pair, coverage=coverage) for pair in pairs]),
                    films,
                ),
            )
            for coverage in COVERAGES
        ),
        coverage=tuple(grid.tolist()),
        risk=tuple(np.mean(curves, axis=0).round(5).tolist()),
    )


def error_at(
    scores: Float[np.ndarray, " films"],
    is_wrong: Bool[np.ndarray, " films"],
    weights: Weights,
    *,
    coverage: float,
) -> Values:
    """Return the error rate among the share of films that is accepted first."""
    wrong, right = counts(-scores, is_wrong, weights)
    accepted = wrong + right
    wanted = coverage * accepted[:, -1:]
    first = (accepted >= wanted - 1e-9).argmax(axis=1)
    rows = np.arange(len(first))
    return ratio(wrong[rows, first], accepted[rows, first])


def draw_risk(found: LeftOutRisk, file: Path) -> None:
    """Write a PNG of the error rate by the share of films that is accepted, for each score."""
    picture = Figure(figsize=(6, 4), layout="constrained")
    panel = picture.subplots()
    for one in found.by_score:
        panel.plot(one.coverage, one.risk, label=f"by {one.score}")
    panel.axhline(found.by_score[0].risk[-1], color="0.6", linewidth=0.8, label="at random")
    panel.set_xlabel("share of films accepted")
    panel.set_ylabel("share of these classified wrongly")
    panel.set_title(f"{found.recipe}, origins that it never saw", fontsize=9)
    panel.legend(fontsize=8)
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(file, dpi=100)
