"""Measure the faithfulness of a heat map: mask what it shows, and see if the probability falls.

Masking any region may lower the probability, so each map is compared with random maps that are as
smooth. Pixels here are a network's input, [image rows, image columns] in [0, 1]. Maps are signed
evidence at each of those pixels, which `on_pixels` makes of a grid.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.card import CellCentres
from models.radiograph import grid_place
from xai.heatmap import evidence_at

Floats = NDArray[np.floating]
Pixels = NDArray[np.float32]
Probabilities = Callable[[Pixels], NDArray[np.float32]]
"""Films [batch, 1, rows, columns] to probabilities [batch, classes]."""

SHARE = 0.1
"""Share of the film that is masked in the test of one answer."""

RANDOM_MAPS = 24
"""Number of random maps; by chance, the hottest tenth is the lowest of all 25 in 4 % of cases."""

STEPS = 16
"""Number of steps of a deletion or insertion curve."""

BLUR = 0.1
"""Standard deviation of the blur from which insertion starts, as a share of the film's side.

Ten times that of Petsiuk et al., which blurs the edges of a photograph but would leave an opacity.
"""

Verdict = Literal["faithful", "unclear", "unfaithful"]


@dataclass(frozen=True)
class TenthTest:
    """Masking test: probabilities with the hottest tenth of a film masked, and with random tenths.

    Attributes:
        probability: Probability of the class, for the whole film.
        masked: With the hottest tenth masked.
        elsewhere: With each of the random smooth tenths masked.
    """

    probability: float
    masked: float
    elsewhere: tuple[float, ...]

    @property
    def mean_elsewhere(self) -> float:
        """Mean over the random tenths."""
        return float(np.mean(self.elsewhere))

    @property
    def gap(self) -> float:
        """Mean probability with a random tenth masked, minus that with the hottest; -1 to 1."""
        return self.mean_elsewhere - self.masked

    @property
    def verdict(self) -> Verdict:
        """Verdict: the effect of masking the hottest tenth, compared with random tenths.

        `faithful` if it lowers the probability more than each random tenth does, `unfaithful` if
        not more than their mean, else `unclear`.

        Source:
            A permutation test: Phipson and Smyth 2010, arXiv:1603.05766, at 1 in 25.
        """
        if self.gap <= 0:
            return "unfaithful"
        return "faithful" if self.masked < min(self.elsewhere) else "unclear"


def tenth_films(pixels: Pixels, evidence: Floats, cells: CellCentres | None) -> Pixels:
    """Return the 25 films of a masking test, [25, 1, rows, columns], the hottest tenth first.

    The film is the seed of the random maps, so that they are the same in the server and offline.

    Args:
        pixels: Network input of one film.
        evidence: The map to test, on its grid.
        cells: The grid's cell centres, as `on_pixels` takes them.
    """
    random = np.random.default_rng(_seed(pixels))
    maps = [evidence, *(smooth_alike(evidence, random) for _ in range(RANDOM_MAPS))]
    return masked(pixels, [hottest(on_pixels(one, pixels.shape, cells), SHARE) for one in maps])


def tenth_test(probability: float, of_films: Floats) -> TenthTest:
    """Return the masking test for the probabilities of the films of `tenth_films`.

    Args:
        probability: Probability of the class, for the whole film.
        of_films: [25], its probability for each of those films.
    """
    hot, *elsewhere = map(float, of_films)
    return TenthTest(float(probability), hot, tuple(elsewhere))


def _seed(pixels: Pixels) -> int:
    levels = np.rint(255 * pixels).astype(np.uint8)
    return int.from_bytes(hashlib.sha256(levels.tobytes()).digest()[:8], "big")


def smooth_alike(evidence: Floats, random: np.random.Generator) -> NDArray[np.float64]:
    """Return a random map with the same values and nearly the same smoothness.

    Its spectrum has the amplitudes of the map and random phases. (The map is mirrored first, so
    that opposite edges do not meet.) Its values are then replaced, by rank, by those of the map.

    Source:
        Theiler et al. 1992, Physica D 58, section 2.4.3 (amplitude-adjusted surrogates).
    """
    rows, columns = evidence.shape
    mirrored = np.pad(evidence, ((0, rows), (0, columns)), mode="symmetric")
    phases = np.fft.rfft2(random.standard_normal(mirrored.shape))
    amplitudes = np.abs(np.fft.rfft2(mirrored - mirrored.mean()))
    drawn = np.fft.irfft2(amplitudes * np.exp(1j * np.angle(phases)), mirrored.shape)
    order = drawn[:rows, :columns].ravel().argsort(kind="stable")
    values = np.empty(evidence.size)
    values[order] = np.sort(evidence, axis=None)
    return values.reshape(rows, columns)


def on_pixels(evidence: Floats, image_size: tuple[int, ...], cells: CellCentres | None) -> Floats:
    """Return a map at each network pixel, bilinear between the centres of its cells.

    Args:
        evidence: [grid rows, grid columns], signed.
        image_size: Rows and columns of the network's input.
        cells: The grid's cell centres in it; None for cells that fill it evenly.
    """
    (rows, columns), (grid_rows, grid_columns) = image_size, evidence.shape
    place = grid_place((grid_rows, grid_columns), (rows, columns), cells)
    x, y = np.arange(columns) + 0.5, np.arange(rows) + 0.5
    return evidence_at(evidence.astype(np.float64), place, x, y)


def hottest(evidence: Floats, share: float) -> NDArray[np.bool_]:
    """Return the hottest share of the pixels as a mask, exact to the pixel; of equals the first."""
    return _order(evidence) < round(share * evidence.size)


def _order(evidence: Floats) -> NDArray[np.intp]:
    """Return each pixel's rank by falling evidence, from 0."""
    order = np.argsort(-evidence.ravel(), kind="stable")
    places = np.empty_like(order)
    places[order] = np.arange(order.size)
    return places.reshape(evidence.shape)


def masked(pixels: Pixels, regions: Sequence[NDArray[np.bool_]]) -> Pixels:
    """Return films, [n, 1, rows, columns], each with a region at the median, as with `?mask=`."""
    films = np.where(np.stack(regions), np.median(pixels), pixels)
    return films[:, None].astype(np.float32)


@dataclass(frozen=True)
class Curve:
    """Deletion or insertion curve: a class's probability as the film changes step by step.

    Attributes:
        shares: [steps + 1], share of the pixels changed, from 0 to 1.
        probabilities: [steps + 1].
    """

    shares: NDArray[np.float64]
    probabilities: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Area under the curve, by trapezoids; 0 to 1."""
        return float(np.trapezoid(self.probabilities, self.shares))


def deletion_films(pixels: Pixels, evidence: Floats, steps: int = STEPS) -> Pixels:
    """Return the films of a deletion curve, [steps + 1, 1, ...]: hottest pixels set to the median.

    Source:
        Petsiuk, Das and Saenko 2018, arXiv:1806.07421, algorithm 1. They set pixels to 0, which in
        their normalised photographs is the mean grey.
    """
    return masked(pixels, _hottest_first(evidence, steps))


def insertion_films(pixels: Pixels, evidence: Floats, steps: int = STEPS) -> Pixels:
    """Return the films of an insertion curve, [steps + 1, 1, ...]: a blurred film is restored.

    Source:
        Petsiuk, Das and Saenko 2018, arXiv:1806.07421, algorithm 2.
    """
    shown = np.stack(_hottest_first(evidence, steps))
    return np.where(shown, pixels, blurred(pixels))[:, None].astype(np.float32)


def _hottest_first(evidence: Floats, steps: int) -> list[NDArray[np.bool_]]:
    order = _order(evidence)
    return [order < round(share * order.size) for share in np.linspace(0, 1, steps + 1)]


def curve(of_films: Floats) -> Curve:
    """Return the curve of one class's probability for the films of a deletion or an insertion."""
    values = np.asarray(of_films, np.float64)
    return Curve(np.linspace(0, 1, len(values)), values)


def deletion_insertion(
    answer: Probabilities,
    pixels: Pixels,
    evidence: Floats,
    class_index: int,
    *,
    steps: int = STEPS,
) -> tuple[Curve, Curve]:
    """Return deletion and insertion curve of one class; a low and a high area are good.

    Args:
        answer: The model; it is called once, with all films.
        pixels: Network input of one film.
        evidence: The map to test, by any method, at each of those pixels.
        class_index: Index of the class.
        steps: Number of steps of each curve.
    """
    films = [make(pixels, evidence, steps) for make in (deletion_films, insertion_films)]
    found = answer(np.concatenate(films))[:, class_index]
    return curve(found[: steps + 1]), curve(found[steps + 1 :])


def blurred(pixels: Pixels, blur: float = BLUR) -> NDArray[np.float64]:
    """Return a film blurred by a Gaussian of `blur` times each side; edge pixels are repeated."""
    rows, columns = pixels.shape
    return _gaussian(rows, blur * rows) @ pixels @ _gaussian(columns, blur * columns).T


def _gaussian(length: int, deviation: float) -> NDArray[np.float64]:
    """Return the weights of a blur along one side, [length, length]; each row sums to 1."""
    reach = int(np.ceil(4 * deviation))
    places = np.arange(-reach, length + reach)
    weights = np.exp(-0.5 * ((places - np.arange(length)[:, None]) / deviation) ** 2)
    sources = np.clip(places, 0, length - 1)
    gathered = weights @ (sources[:, None] == np.arange(length))
    return gathered / gathered.sum(axis=1, keepdims=True)


def explanation_film(pixels: Pixels, evidence: Floats) -> Pixels:
    """Return the explanation film, [1, 1, ...]: pixels times heat, whose maximum is scaled to 1.

    Source:
        Chattopadhay et al. 2018, arXiv:1710.11063, section 3.2 (the explanation map E = L * I).
    """
    heat = np.maximum(evidence, 0)
    return (pixels * heat / (heat.max() or 1))[None, None].astype(np.float32)


def confidence_drop(probability: float, explained: float) -> float:
    """Return the share of a film's probability that its explanation film loses, 0 to 1.

    Its mean over films is the average drop; the share of films with `explained > probability` is
    the increase in confidence.

    Source:
        Chattopadhay et al. 2018, arXiv:1710.11063, section 3.2, (i) and (ii).
    """
    return max(probability - explained, 0.0) / probability
