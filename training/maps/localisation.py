"""Measure how well a network's maps fall on marked findings and inside the lungs.

Marks are used for no choice except the threshold that is tuned on validation films; maps are the
model's own, unchanged.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from jaxtyping import Float

from models.card import Record, Sha256
from training.maps.localised import CENTRE, MEAN, MODEL, RANDOM, UNCUT, Localised
from training.maps.mean_maps import MeanMaps
from training.statistics.bootstrap import Resamples, Weights
from training.statistics.metrics import ratio
from xai.explainer import Explainer
from xai.measures.localisation import THRESHOLDS, best_threshold
from xai.measures.trust import Figure

KINDS = (MODEL, UNCUT, CENTRE, MEAN, RANDOM)
LEAST_INSIDE = 0.75
"""Share of the evidence that should lie inside the lungs."""
OUTLINE_NOTE = (
    "the model looks only inside an outline that it finds itself, so the share inside the lungs "
    "measures the outline, hardly the network; hit rate, energy against the lungs' centres, "
    "deletion and the sanity checks carry the weight"
)


class MapFigures(Record):
    """Agreement of one kind of map with the marks of one class.

    Attributes:
        class_name: The class whose map was measured.
        map: The model's, or a baseline.
        films: How many.
        hit_rate: Share of films whose hottest pixel was marked.
        iou_otsu: Mean intersection over union at Otsu's threshold.
        iou_tuned: At `threshold`; None if there were no films to tune it on.
        threshold: Share of a map's range with the largest mean IoU on validation films.
        energy_ratio: Share of the heat in the marks over their share of the film. A network whose
            input is the middle of films alone starts above 1, as its random maps show.
    """

    class_name: str
    map: str
    films: int
    hit_rate: Figure
    iou_otsu: Figure
    iou_tuned: Figure | None
    threshold: float | None
    energy_ratio: Figure | None


class LungFigures(Record):
    """Share of one kind of map inside the lungs, over films of one class.

    Attributes:
        class_name: The films' class, whose map was measured.
        map: The model's, or a baseline.
        films: How many had any evidence for it.
        inside: Mean share.
        more_than_map: The model's share less this map's, on the same films.
    """

    class_name: str
    map: str
    films: int
    inside: Figure
    more_than_map: Figure


class FilmRow(Record):
    """Scores of the model's own map on one film."""

    film: str
    class_name: str
    split: str
    predicted_class: str
    probability: float
    refused: bool
    hit: float | None = None
    iou_otsu: float | None = None
    inside_lungs: float | None = None


class LocalisationReport(Record):
    """All figures of `cxr localise`.

    Attributes:
        model: Name.
        version: Of its weights.
        sha256: Of its file.
        data: Layout of the annotations.
        split: Of the measured films.
        marks: By class and kind of map.
        lungs: Likewise.
        mean_map_films: Training films of each class behind the mean map.
        notes: What else to know.
        films: One by one.
    """

    model: str
    version: str
    sha256: Sha256
    data: str
    split: str
    marks: tuple[MapFigures, ...]
    lungs: tuple[LungFigures, ...]
    mean_map_films: dict[str, int]
    notes: tuple[str, ...]
    films: tuple[FilmRow, ...]


def localisation_report(
    explainer: Explainer,
    found: Sequence[Localised],
    *,
    layout: str,
    split: str,
    threshold: float | None = None,
    mean: MeanMaps | None = None,
    notes: Sequence[str] = (),
) -> LocalisationReport:
    """Return the figures of maps on marked films.

    Args:
        explainer: The model.
        found: Scores of its maps, film by film.
        layout: Of the annotations.
        split: Films that are measured.
        threshold: Of the tuned IoU, if it was tuned before.
        mean: The mean maps that were measured beside the model's.
        notes: What else to know.
    """
    lungs = tuple(_lungs([one for one in found if one.inside]))
    return LocalisationReport(
        model=explainer.card.name,
        version=explainer.card.version,
        sha256=explainer.sha256,
        data=layout,
        split=split,
        marks=tuple(_marks([one for one in found if one.scores], split, threshold)),
        lungs=lungs,
        mean_map_films=mean.films if mean else {},
        notes=(OUTLINE_NOTE, *notes) if lungs and explainer.card.lungs else tuple(notes),
        films=tuple(_film_row(one) for one in found),
    )


def _marks(found: Sequence[Localised], split: str, threshold: float | None) -> Iterator[MapFigures]:
    for name in _classes(found):
        of_class = [one for one in found if one.marked.class_name == name]
        yield from mark_figures(of_class, split, threshold)


def _classes(found: Sequence[Localised]) -> list[str]:
    return list(dict.fromkeys(one.marked.class_name for one in found))


def mark_figures(
    found: Sequence[Localised], split: str, threshold: float | None = None
) -> Iterator[MapFigures]:
    """Yield the figures of one class for each kind of map; each has a threshold of its own.

    Args:
        found: Films of the split, and validation films.
        split: Films that are measured; if these are `val`, the threshold is tuned on themselves.
        threshold: Tuned before; None tunes it on the validation films here, if any.
    """
    asked = [one for one in found if one.marked.split == split]
    val = [one for one in found if one.marked.split == "val"]
    groups = [one.marked.patient_id for one in asked]
    for kind in (kind for kind in KINDS if asked and kind in asked[0].scores):
        scores = [one.scores[kind] for one in asked]
        tuned = threshold
        if tuned is None and val:
            tuned = best_threshold([one.scores[kind] for one in val])
        place = None if tuned is None else THRESHOLDS.index(tuned)
        yield MapFigures(
            class_name=asked[0].marked.class_name,
            map=kind,
            films=len(asked),
            hit_rate=_mean([one.hit for one in scores], groups),
            iou_otsu=_mean([one.iou_otsu for one in scores], groups),
            iou_tuned=None
            if place is None
            else _mean([one.iou_at[place] for one in scores], groups),
            threshold=tuned,
            energy_ratio=_mean_of_defined([one.energy_ratio for one in scores], groups),
        )


def _lungs(found: Sequence[Localised]) -> Iterator[LungFigures]:
    """Yield the lung figures over films of all splits: no choice depends on them."""
    for name in _classes(found):
        films = [
            one
            for one in found
            if one.marked.class_name == name and not np.isnan(one.inside[MODEL])
        ]
        groups = [one.marked.patient_id for one in films]
        for kind in (kind for kind in KINDS if films and kind in films[0].inside):
            differences = [one.inside[MODEL] - one.inside[kind] for one in films]
            yield LungFigures(
                class_name=name,
                map=kind,
                films=len(films),
                inside=_mean([one.inside[kind] for one in films], groups),
                more_than_map=_mean(differences, groups),
            )


def _mean_of_defined(values: Sequence[float], groups: Sequence[str]) -> Figure | None:
    return None if np.all(np.isnan(values)) else _mean(values, groups)


def _mean(values: Sequence[float], groups: Sequence[str]) -> Figure:
    """Return the mean with its interval; NaN values are left out."""
    found = Resamples(groups).estimate(partial(_weighted_mean, np.asarray(values, np.float64)))
    return Figure(estimate=found.estimate, low=found.low, high=found.high)


def _weighted_mean(
    values: Float[np.ndarray, " films"], weights: Weights
) -> Float[np.ndarray, " resamples"]:
    is_defined = ~np.isnan(values)
    return ratio(weights @ np.where(is_defined, values, 0), weights @ is_defined.astype(np.int64))


def _film_row(one: Localised) -> FilmRow:
    scores, inside = one.scores.get(MODEL), one.inside.get(MODEL, np.nan)
    return FilmRow(
        film=one.marked.film.name,
        class_name=one.marked.class_name,
        split=one.marked.split,
        predicted_class=one.predicted_class,
        probability=one.probability,
        refused=one.is_refused,
        hit=scores.hit if scores else None,
        iou_otsu=scores.iou_otsu if scores else None,
        inside_lungs=None if np.isnan(inside) else inside,
    )
