"""Score a network's maps on marked films, beside baseline maps that ignore the film."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32
from tqdm import tqdm

from models.card import CellCentres
from models.radiograph import NetworkPixels, Radiograph
from training.data.dataset import radiograph_at, seen_by
from training.data.lung_regions import LUNG_ELLIPSES
from training.data.manifest import spread
from training.maps.annotations import LUNGS, Annotation, class_of
from training.maps.mean_maps import MeanMaps
from xai.explainer import Answers, Explainer
from xai.measures.faithfulness import smooth_alike
from xai.measures.localisation import Scores, map_on_film, scores, share_inside
from xai.outline import Outline, film_outline

MODEL, CENTRE, MEAN, RANDOM = "model", "lungs' centres", "mean map", "random map"
UNCUT = "model, uncut"
"""The map of a model that sees only the lungs without the outline that it is drawn within."""
RANDOM_MAPS = 5
"""Smooth random maps per film; their scores are averaged."""

CENTRE_GRID = (28, 28)

Map = Float[np.ndarray, "grid_rows grid_columns"]
Heat = Float32[np.ndarray, "rows columns"]


@dataclass(frozen=True)
class Marked:
    """All that was marked for one class on one film.

    Attributes:
        annotations: At least one, of one film.
        class_name: The class whose map is measured.
        is_lungs: Whether the lungs were marked, instead of a finding.
    """

    annotations: tuple[Annotation, ...]
    class_name: str
    is_lungs: bool

    @property
    def film(self) -> Path:
        """The film's file."""
        return self.annotations[0].film

    @property
    def patient_id(self) -> str:
        """The film's patient."""
        return self.annotations[0].patient_id

    @property
    def split(self) -> str:
        """The film's split: `val`, `test` or another."""
        return self.annotations[0].split

    def region(self, rows: int, columns: int) -> Bool[np.ndarray, "rows columns"]:
        """Return all marked pixels of a film of this size."""
        regions = [annotation.region(rows, columns) for annotation in self.annotations]
        return np.logical_or.reduce(regions)


def marked_films(
    annotations: Sequence[Annotation], class_names: tuple[str, ...]
) -> tuple[list[Marked], list[str]]:
    """Return marked films for which the model has a class, and findings for which it has none."""
    by_place: dict[tuple[Path, str, bool], list[Annotation]] = {}
    without: dict[str, None] = {}
    for annotation in annotations:
        is_lungs = annotation.finding == LUNGS
        asked = annotation.label if is_lungs else annotation.finding
        name = class_of(asked, class_names)
        if name is None:
            without[asked] = None
        else:
            by_place.setdefault((annotation.film, name, is_lungs), []).append(annotation)
    found = [
        Marked(tuple(marked), name, is_lungs) for (_, name, is_lungs), marked in by_place.items()
    ]
    return found, list(without)


def chosen_films(marked: Sequence[Marked], split: str, most: int | None = None) -> list[Marked]:
    """Return the films of a split, and with test films the validation films that tune for them.

    Args:
        marked: All films.
        split: `val` or `test`. Test films are not looked at where validation films are measured.
        most: Most films with lungs marked, and most with findings, evenly spread; None is all.
    """
    splits = ("val",) if split == "val" else ("val", "test")
    chosen = [one for one in marked if one.split in splits]
    if most is None:
        return chosen
    lungs, findings = (
        [one for one in chosen if one.is_lungs == is_lungs] for is_lungs in (True, False)
    )
    return [*spread(lungs, most), *spread(findings, most)]


@dataclass(frozen=True)
class ShownFilm:
    """A marked film with the network's answers.

    Attributes:
        marked: What was marked on it.
        number: The class whose map is measured.
        radiograph: The film.
        seen: Its network pixels.
        answers: The network's, even if it would refuse the film.
        cells: Centres of the cells of the network's grid, from its card.
    """

    marked: Marked
    number: int
    radiograph: Radiograph
    seen: NetworkPixels
    answers: Answers
    cells: CellCentres | None

    @classmethod
    def of(cls, explainer: Explainer, marked: Marked) -> "ShownFilm":
        """Decode a film and run the network on it."""
        card = explainer.card
        radiograph = radiograph_at(marked.film)
        seen = seen_by(card, radiograph)
        number = card.class_names.index(marked.class_name)
        answers = explainer(seen.pixels[None, None])
        cells = card.cells_on(answers.region_of(0))
        return cls(marked, number, radiograph, seen, answers, cells)

    @property
    def evidence(self) -> Map:
        """Signed evidence for the class."""
        return self.answers.evidence[0, self.number].astype(np.float64)

    @cached_property
    def region(self) -> Bool[np.ndarray, "rows columns"]:
        """The marked pixels."""
        return self.marked.region(self.radiograph.rows, self.radiograph.columns)

    @cached_property
    def outline(self) -> Outline | None:
        """Outline of the lungs, within which maps are drawn; None where the whole film is seen."""
        return film_outline(self.answers.lungs, self.seen)

    def heat(
        self, evidence: Map, cells: CellCentres | None, outline: Outline | None = None
    ) -> Heat:
        """Return a map resampled to the film's pixels.

        Args:
            evidence: On any grid.
            cells: The grid's cell centres; None for cells that fill the network's input evenly.
            outline: Of the lungs, outside which nothing is drawn; None cuts off nothing.
        """
        rows, columns = self.radiograph.rows, self.radiograph.columns
        place = self.seen.grid_place((evidence.shape[0], evidence.shape[1]), cells)
        return map_on_film(evidence, place, rows=rows, columns=columns, outline=outline)

    @property
    def drawn(self) -> Heat:
        """The network's map as it is drawn."""
        return self.heat(self.evidence, self.cells, self.outline)

    def heats(self, mean: MeanMaps | None) -> dict[str, list[Heat]]:
        """Return the network's map and the baseline maps, by kind.

        Those on the network's grid are cut off at the outline as its own map is.
        """
        random = np.random.default_rng(int(1e6 * self.seen.pixels.mean()))
        drawn = [smooth_alike(self.evidence, random) for _ in range(RANDOM_MAPS)]
        maps = {MODEL: [self.evidence], RANDOM: drawn}
        if mean and self.marked.class_name in mean.maps:
            maps[MEAN] = [mean.of(self.marked.class_name)]
        heats = {
            kind: [self.heat(one, self.cells, self.outline) for one in some]
            for kind, some in maps.items()
        }
        if self.outline is not None:
            heats[UNCUT] = [self.heat(self.evidence, self.cells)]
        return heats | {CENTRE: [self.heat(lung_centres(), None)]}


def lung_centres() -> Map:
    """Return a baseline map, the same for every film: hot at the centres of typical lungs."""
    rows, columns = CENTRE_GRID
    y, x = (np.arange(rows)[:, None] + 0.5) / rows, (np.arange(columns) + 0.5) / columns
    spots = [np.exp(-2 * (((x - a) / c) ** 2 + ((y - b) / d) ** 2)) for a, b, c, d in LUNG_ELLIPSES]
    return np.maximum(*spots)


@dataclass(frozen=True)
class Localised:
    """Scores of each kind of map on one marked film.

    Attributes:
        marked: What was marked.
        predicted_class: The class with the largest probability.
        probability: Of the class whose map was measured.
        is_refused: Whether the model refuses the film.
        scores: By the kind of map; empty where the lungs were marked.
        inside: Share of the heat inside the lungs, by the kind of map; empty where a finding was
            marked, NaN where nothing is hot.
    """

    marked: Marked
    predicted_class: str
    probability: float
    is_refused: bool
    scores: dict[str, Scores]
    inside: dict[str, float]


def localised(
    explainer: Explainer, films: Sequence[Marked], mean: MeanMaps | None
) -> Iterator[Localised]:
    """Yield the scores of the maps on each film, with a progress bar."""
    for marked in tqdm(films, "maps", unit="film", leave=False):
        yield _localised(explainer, ShownFilm.of(explainer, marked), mean)


def _localised(explainer: Explainer, shown: ShownFilm, mean: MeanMaps | None) -> Localised:
    card, answers = explainer.card, shown.answers
    heats, region, is_lungs = shown.heats(mean), shown.region, shown.marked.is_lungs
    return Localised(
        shown.marked,
        card.class_names[int(answers.probabilities[0].argmax())],
        float(answers.probabilities[0, shown.number]),
        bool(answers.refusals(card)[0]),
        {} if is_lungs else {kind: _mean_scores(some, region) for kind, some in heats.items()},
        {
            kind: float(np.mean([share_inside(one, region) for one in some]))
            for kind, some in heats.items()
        }
        if is_lungs
        else {},
    )


def _mean_scores(heats: Sequence[Heat], region: Bool[np.ndarray, "rows columns"]) -> Scores:
    found = [scores(heat, region) for heat in heats]
    hit, otsu, at, energy = zip(*found, strict=True)
    return Scores(
        float(np.mean(hit)),
        float(np.mean(otsu)),
        tuple(np.mean(at, axis=0).tolist()),
        float(np.mean(energy)),
    )
