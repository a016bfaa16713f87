"""Measure whether a network uses what its maps mark: masking, deletion, insertion and ROAD.

Only films that it decides, and decides rightly, are used: where a network is wrong, it is not clear
what its map should show.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from tqdm import tqdm

from models.card import CellCentres, Record, Sha256
from training.data.dataset import class_numbers, film_radiograph, seen_by
from training.data.manifest import Film, Split, spread
from training.maps.road import road
from training.statistics.bootstrap import Resamples
from training.statistics.metrics import ratio
from xai.explainer import Explainer
from xai.measures.faithfulness import (
    TenthTest,
    confidence_drop,
    deletion_insertion,
    explanation_film,
    on_pixels,
    smooth_alike,
    tenth_films,
    tenth_test,
)
from xai.measures.trust import Figure

LEAST_SHARE = 0.8
"""Share of films on which masking the hottest tenth should cost more than masking elsewhere."""
FILMS_AT_ONCE = 32
Pixels = Float32[np.ndarray, "rows columns"]
Evidence = Float[np.ndarray, "grid_rows grid_columns"]


class NamedFigure(Figure):
    """A figure with its name and number of films."""

    name: str
    films: int


class FilmTest(Record):
    """Masking test of one film's map, the same as in the server.

    Attributes:
        film: Name of its file.
        class_name: Predicted, and correct.
        probability: Of the class.
        masked: With the hottest tenth masked.
        elsewhere: Mean with a random tenth masked.
        verdict: See `xai.measures.faithfulness.TenthTest`.
    """

    film: str
    class_name: str
    probability: float
    masked: float
    elsewhere: float
    verdict: str


class FaithfulnessReport(Record):
    """All figures of `cxr faithfulness`.

    Attributes:
        model: Name.
        version: Of its weights.
        sha256: Of its file.
        split: Of the films.
        asked: Number of films shown to the model.
        figures: Over the films that were rightly decided.
        films: Those films, one by one.
    """

    model: str
    version: str
    sha256: Sha256
    split: Split
    asked: int
    figures: tuple[NamedFigure, ...]
    films: tuple[FilmTest, ...]


@dataclass(frozen=True)
class RightFilm:
    """A film that the network decides, and decides rightly.

    Attributes:
        film: The film.
        number: Its class.
        pixels: Network pixels in [0, 1].
        evidence: For the class.
        cells: Centres of the evidence's cells in the network's input.
        probability: Of the class.
    """

    film: Film
    number: int
    pixels: Pixels
    evidence: Evidence
    cells: CellCentres | None
    probability: float


def faithfulness_report(
    explainer: Explainer, films: Sequence[Film], *, curves: int
) -> FaithfulnessReport:
    """Return how much a model's answers depend on what its maps mark.

    Args:
        explainer: The model.
        films: Of one split, with labels.
        curves: Number of films for deletion, insertion and ROAD too, which take six times as long.

    Raises:
        ValueError: A label is none of the model's classes, or no film is rightly decided.
    """
    right = list(right_films(explainer, films))
    if not right:
        raise ValueError("the model decides none of the films rightly")
    tests = [_tested(explainer, one) for one in tqdm(right, "tenths", unit="film", leave=False)]
    followed = spread(right, curves)
    values = [_followed(explainer, one) for one in tqdm(followed, "curves", leave=False)]
    return FaithfulnessReport(
        model=explainer.card.name,
        version=explainer.card.version,
        sha256=explainer.sha256,
        split=films[0].split,
        asked=len(films),
        figures=(*_test_figures(tests, right), *_curve_figures(values, followed)),
        films=tuple(
            _film_test(explainer, one, test) for one, test in zip(right, tests, strict=True)
        ),
    )


def right_films(explainer: Explainer, films: Sequence[Film]) -> Iterator[RightFilm]:
    """Yield the films that are decided, and decided rightly."""
    card = explainer.card
    numbers = class_numbers(films, card.class_names)
    for film, number in zip(tqdm(films, "films", unit="film", leave=False), numbers, strict=True):
        seen = seen_by(card, film_radiograph(film))
        answers = explainer(seen.pixels[None, None])
        probabilities = answers.probabilities[0]
        [refusals] = answers.refusals(card)
        is_decided = card.is_decided(probabilities.tolist(), refusals)
        if is_decided and probabilities.argmax() == number:
            evidence, probability = answers.evidence[0, number], float(probabilities[number])
            cells = card.cells_on(answers.region_of(0))
            yield RightFilm(film, number, seen.pixels, evidence, cells, probability)


def probabilities_of(explainer: Explainer) -> Callable[[np.ndarray], np.ndarray]:
    """Return the model as a function from films [n, 1, rows, columns] to probabilities."""

    def answer(films: np.ndarray) -> np.ndarray:
        batches = np.array_split(films, -(-len(films) // FILMS_AT_ONCE))
        return np.concatenate([explainer(batch).probabilities for batch in batches])

    return answer


def _tested(explainer: Explainer, one: RightFilm) -> TenthTest:
    films = tenth_films(one.pixels, one.evidence, one.cells)
    return tenth_test(one.probability, probabilities_of(explainer)(films)[:, one.number])


def _followed(explainer: Explainer, one: RightFilm) -> dict[str, float]:
    """Return a film's figures by name, for its map and for a random map."""
    random = np.random.default_rng(int(1e6 * one.pixels.mean()))
    other = smooth_alike(one.evidence, random)
    own, beside = (_figures(explainer, one, map_) for map_ in (one.evidence, other))
    return own | {f"{name}, random map": value for name, value in beside.items()}


def _figures(explainer: Explainer, one: RightFilm, evidence: Evidence) -> dict[str, float]:
    answer = probabilities_of(explainer)
    drawn = on_pixels(evidence, one.pixels.shape, one.cells)
    deletion, insertion = deletion_insertion(answer, one.pixels, drawn, one.number)
    explained = float(answer(explanation_film(one.pixels, drawn))[0, one.number])
    return {
        "deletion, area": deletion.area,
        "insertion, area": insertion.area,
        "ROAD": road(answer, one.pixels, drawn, one.number),
        "average drop": confidence_drop(one.probability, explained),
        "increase in confidence": float(explained > one.probability),
    }


def _test_figures(tests: Sequence[TenthTest], right: Sequence[RightFilm]) -> Iterator[NamedFigure]:
    shares = {
        "films that lose more from the hottest tenth": [test.gap > 0 for test in tests],
        "faithful": [test.verdict == "faithful" for test in tests],
        "unfaithful": [test.verdict == "unfaithful" for test in tests],
    }
    for name, holds in shares.items():
        yield _figure(name, [float(one) for one in holds], right)
    yield _figure("probability", [t.probability for t in tests], right)
    yield _figure("probability, hottest tenth masked", [t.masked for t in tests], right)
    yield _figure("probability, random tenth masked", [t.mean_elsewhere for t in tests], right)
    yield _figure("gap", [t.gap for t in tests], right)


def _curve_figures(
    values: Sequence[dict[str, float]], followed: Sequence[RightFilm]
) -> Iterator[NamedFigure]:
    for name in values[0] if values else ():
        yield _figure(name, [of_film[name] for of_film in values], followed)


def _figure(name: str, values: Sequence[float], right: Sequence[RightFilm]) -> NamedFigure:
    numbers = np.asarray(values, np.float64)
    found = Resamples([one.film.group_id for one in right]).estimate(
        lambda weights: ratio(weights @ numbers, weights.sum(axis=1))
    )
    return NamedFigure(
        name=name,
        films=len(values),
        estimate=found.estimate,
        low=found.low,
        high=found.high,
    )


def _film_test(explainer: Explainer, one: RightFilm, test: TenthTest) -> FilmTest:
    return FilmTest(
        film=one.film.path.name,
        class_name=explainer.card.class_names[one.number],
        probability=test.probability,
        masked=test.masked,
        elsewhere=test.mean_elsewhere,
        verdict=test.verdict,
    )
