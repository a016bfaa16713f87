"""Choose from val films beyond which limits a film has no plausible lungs."""

import numpy as np
from jaxtyping import Float

from models.card import LungLimits

QUANTILE = 0.005
"""Share of val films beyond each limit, before its margin is added."""
MARGIN = 0.1
"""Margin of area and balance, as a share of them. It lets few films, or films that are all alike,
not refuse each other."""
STRAY_MARGIN = 0.01
"""Margin of the stray share, of which most films have none."""


def lung_limits(figures: Float[np.ndarray, "films 3"]) -> LungLimits:
    """Return limits of area, balance and stray share that refuse about 1 % of val films.

        least area       = 0.9 * 0.5th percentile        largest area  = 1.1 * 99.5th percentile
        least balance    = 0.9 * 0.5th percentile        largest stray = 99.5th percentile + 0.01

    Args:
        figures: Area, balance and stray share of each val film, as the graph's `lung_figures`.
    """
    least_area, least_balance, _ = (1 - MARGIN) * np.quantile(figures, QUANTILE, axis=0)
    area, _, stray = np.quantile(figures, 1 - QUANTILE, axis=0)
    return LungLimits(
        area=(float(least_area), min(1.0, float((1 + MARGIN) * area))),
        balance=float(least_balance),
        stray=min(1.0, float(stray + STRAY_MARGIN)),
    )
