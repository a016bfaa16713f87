"""Bootstrap 95 % intervals: whole groups of films are resampled, the same for every figure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

Weights = Int[np.ndarray, "resamples films"]
"""How often each film is in each resample; all films of a group are in it equally often."""

Statistic = Callable[[Weights], NDArray[np.floating]]
"""From weights to [resamples, ...]; nan where a resample lacks what the statistic needs."""

QUANTILES = (0.025, 0.975)
LARGEST_BLOCK = 4_000_000
"""Most weights in memory at a time, so that a large split does not fill it."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Band:
    """A curve with its 95 % interval, point by point."""

    estimate: Float[np.ndarray, " points"]
    low: Float[np.ndarray, " points"]
    high: Float[np.ndarray, " points"]


class Resamples:
    """Resamples of whole groups with replacement, drawn once for all figures.

    Figures of several models on the same resamples are paired: the interval of a difference is the
    interval of `first(weights) - second(weights)`.

    Source:
        Efron and Tibshirani 1993, chapter 13 (percentiles); the cluster bootstrap of Field and
        Welsh 2007, JRSS B 69(3).
    """

    def __init__(self, groups: Sequence[str], *, resamples: int = 1000, seed: int = 0) -> None:
        """Draw the resamples.

        Args:
            groups: Of each film; films of a group are drawn together.
            resamples: How many.
            seed: Of the draws.
        """
        _, self._group_of_film = np.unique(np.asarray(groups), return_inverse=True)
        number = int(self._group_of_film.max()) + 1
        draws = np.random.default_rng(seed).integers(number, size=(resamples, number))
        self._counts = np.stack(
            [np.bincount(drawn, minlength=number).astype(np.int32) for drawn in draws]
        )

    def values(self, statistic: Statistic) -> NDArray[np.floating]:
        """Return the statistic of each resample."""
        rows = max(1, LARGEST_BLOCK // len(self._group_of_film))
        blocks = (self._counts[start : start + rows] for start in range(0, len(self._counts), rows))
        return np.concatenate([statistic(block[:, self._group_of_film]) for block in blocks])

    def estimate(self, statistic: Statistic, *, bias_corrected: bool = False) -> Estimate:
        """Return the statistic of the films with its percentile interval.

        Resamples for which it is not defined, because a class is absent, are left out.

        Args:
            statistic: The figure.
            bias_corrected: Shift the interval down by the bias of resampling: films that are drawn
                twice enlarge the calibration error.

        Raises:
            ValueError: It is not defined for the films themselves.

        Source:
            Efron and Tibshirani 1993, chapter 10, for the bias.
        """
        estimate = float(self._of_films(statistic)[0])
        if np.isnan(estimate):
            raise ValueError("statistic must be defined for the films: a class has none, or all")
        values = self.values(statistic)
        low, high = np.nanquantile(values, QUANTILES)
        if bias_corrected:
            bias = np.nanmean(values) - estimate
            low, high = max(0.0, low - bias), max(0.0, high - bias)
        return Estimate(estimate, float(low), float(high))

    def band(self, statistic: Statistic) -> Band:
        """Return a statistic of several points with the percentile interval of each."""
        low, high = np.nanquantile(self.values(statistic), QUANTILES, axis=0)
        return Band(self._of_films(statistic)[0], low, high)

    def _of_films(self, statistic: Statistic) -> NDArray[np.floating]:
        return statistic(np.ones((1, len(self._group_of_film)), np.int64))


def averaged(statistics: Sequence[Statistic]) -> Statistic:
    """Return the mean of statistics on the same resamples; nan where one of them is."""

    def mean(weights: Weights) -> NDArray[np.floating]:
        return np.mean([statistic(weights) for statistic in statistics], axis=0)

    return mean
