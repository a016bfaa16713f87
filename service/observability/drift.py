"""Measure drift: how far the latest films are from those in a model's card."""

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence

import numpy as np

from models.card import Histogram, ModelCard

LATEST_FILMS = 1000
"""Number of the latest films that are compared with the card's."""
FEWEST_FILMS = 100
"""With fewer there is no figure: chance alone might look like a change."""
SMALLEST_SHARE = 0.05
"""Neighbouring bins are merged until they hold this share of the card's films."""

Buckets = list[tuple[str, float]]
"""Upper edge of each bin, and the number of films below it, as Prometheus counts them."""


def population_stability_index(expected: Sequence[int], found: Sequence[int]) -> float:
    """Return the population stability index: how far two histograms of the same bins are apart.

    By custom, below 0.1 is little change and above 0.25 a change to act on. By chance alone it is
    (bins - 1) (1/n + 1/m) on average for n and m films.

    Args:
        expected: Films per bin.
        found: Films per bin. Half a film more in each bin of both keeps the logarithm finite.

    Returns:
        0 for the same shares in each bin; there is no upper limit.

    Source:
        Siddiqi 2006, Credit Risk Scorecards, Wiley; Yurdakul and Naranjo 2020, Statistical
        properties of the population stability index, Journal of Risk Model Validation 14 (4).
    """
    counts = np.array([expected, found]) + 0.5
    before, now = counts / counts.sum(axis=1, keepdims=True)
    return float(((now - before) * np.log(now / before)).sum())


class Tally:
    """Count the values of one figure in the bins of its histogram in the card.

    The outermost bins are open: a value beyond those of all the card's films falls into the last.
    """

    def __init__(self, card_histogram: Histogram) -> None:
        self._expected = card_histogram.counts
        self._edges = card_histogram.edges[1:-1]
        self._first_bins = _first_bins(self._expected)
        self._counts = [0] * len(self._expected)
        self._latest: deque[int] = deque(maxlen=LATEST_FILMS)
        self._lock = threading.Lock()
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count a film."""
        place = bisect_right(self._edges, value)
        with self._lock:
            self._counts[place] += 1
            self._latest.append(place)
            self._sum += value

    def films(self) -> tuple[Buckets, float]:
        """Return the buckets of all films since the start, and the sum of their values."""
        with self._lock:
            return self._buckets(self._counts), self._sum

    def expected_films(self) -> Buckets:
        """Return the buckets of the card's films."""
        return self._buckets(self._expected)

    def stability_index(self) -> float | None:
        """Return the population stability index of the latest films; None while they are few."""
        with self._lock:
            latest = list(self._latest)
        if len(latest) < FEWEST_FILMS:
            return None
        found = np.bincount(latest, minlength=len(self._expected))
        expected, now = (
            np.add.reduceat(counts, self._first_bins).tolist() for counts in (self._expected, found)
        )
        return population_stability_index(expected, now)

    def _buckets(self, counts: Sequence[int]) -> Buckets:
        upper = [str(float(f"{edge:.6g}")) for edge in self._edges]
        return list(zip([*upper, "+Inf"], np.cumsum(counts).tolist(), strict=True))


class Drift:
    """Tallies of one model's scores, distances and novelties, to compare with those in its card.

    Attributes:
        scores: Probability of each class.
        distance: From the training films.
        novelty: Of the acquisition; None of a model without it.
    """

    def __init__(self, card: ModelCard) -> None:
        self.scores = {
            class_name: Tally(histogram)
            for class_name, histogram in zip(card.class_names, card.score_histograms, strict=True)
        }
        self.distance = Tally(card.distance_histogram)
        self.novelty = Tally(card.novelty_histogram) if card.novelty_histogram else None

    def add(self, probabilities: dict[str, float], distance: float, novelty: float | None) -> None:
        """Count a film."""
        for class_name, probability in probabilities.items():
            self.scores[class_name].add(probability)
        self.distance.add(distance)
        if self.novelty and novelty is not None:
            self.novelty.add(novelty)


def _first_bins(counts: Sequence[int]) -> list[int]:
    """Return the first bin of each group of neighbours that holds `SMALLEST_SHARE` of films."""
    least = SMALLEST_SHARE * sum(counts)
    first_bins, held = [0], 0
    for place, count in enumerate(counts):
        if held >= least and sum(counts[place:]) >= least:
            first_bins.append(place)
            held = 0
        held += count
    return first_bins
