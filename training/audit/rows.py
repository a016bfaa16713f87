"""Rows of an audit: a question, a figure with its interval, a limit and a verdict."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float

from models.card import Record
from training.statistics.bootstrap import Estimate, Resamples, Weights

Columns = Float[np.ndarray, "films columns"]
Verdict = Literal["passes", "fails", "cannot tell"]


class AuditRow(Record):
    """One question about a model, and the verdict.

    Attributes:
        question: Named by its figure.
        rule: What the figure should be, and why, in a phrase.
        verdict: `passes` if the whole interval keeps the rule, `fails` if all of it breaks the
            rule, else `cannot tell`.
        figure: The answer; None if there is none.
        low: Lower end of its 95 % interval, bootstrapped by group.
        high: Upper end.
        limit: The largest figure that keeps the rule.
        note: What else to know.
    """

    question: str
    rule: str
    verdict: Verdict
    figure: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    note: str = ""


def row_at_most(
    limit: float, question: str, found: Estimate, *, why: str, note: str = ""
) -> AuditRow:
    """Return the row of a figure that should be at most `limit`; `why` explains the limit."""
    return AuditRow(
        question=question,
        rule=f"at most {limit:.2f}: {why}",
        verdict="passes"
        if found.high <= limit
        else "fails"
        if found.low > limit
        else "cannot tell",
        figure=found.estimate,
        low=found.low,
        high=found.high,
        limit=limit,
        note=note,
    )


def row_without_answer(question: str, *, because: str) -> AuditRow:
    """Return the row of a question that these films or this file cannot answer."""
    return AuditRow(question=question, rule="none", verdict="cannot tell", note=because)


def worst(rows: Sequence[AuditRow]) -> Verdict:
    """Return `fails` if any row fails, else `passes` if any passes, else `cannot tell`."""
    verdicts = {row.verdict for row in rows}
    order: tuple[Verdict, ...] = ("fails", "passes")
    return next((verdict for verdict in order if verdict in verdicts), "cannot tell")


def over_films(
    statistic: Callable[[Columns], float], values: Columns, groups: Sequence[str]
) -> Estimate:
    """Return a statistic of films, with its interval bootstrapped by group."""

    def of_resamples(weights: Weights) -> Float[np.ndarray, " resamples"]:
        return np.array([statistic(np.repeat(values, row, axis=0)) for row in weights])

    return Resamples(groups).estimate(of_resamples)
