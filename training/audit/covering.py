"""Measure a network's answers with lungs, edges or corners of the film covered (occlusion)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from tqdm import tqdm

from training.audit.rows import AuditRow, over_films, row_at_most, row_without_answer
from training.data.lung_regions import SeenFilms
from training.statistics.bootstrap import Estimate, Resamples
from training.statistics.metrics import auroc
from xai.explainer import Answers, Explainer

Pixels = Float32[np.ndarray, "films 1 rows columns"]
Probabilities = Float[np.ndarray, "films classes"]
Targets = Int[np.ndarray, " films"]

CORNER = 0.2
"""Side of a corner, as a share of the film's: where letters and burnt-in text are."""

STRIP = 0.1
"""Depth of a strip along the border."""

LARGEST_CHANGE = 0.1
"""Largest allowed change of a probability when one corner or strip is covered."""

CORNERS = ("top left", "top right", "bottom left", "bottom right")
STRIPS = ("top", "bottom", "left", "right")


def answered(explainer: Explainer, pixels: Pixels, what: str) -> Answers:
    """Return the answers for all films, with a progress bar titled `what`."""
    batches = np.array_split(pixels, -(-len(pixels) // 16))
    progress = tqdm(batches, what, unit="batch", leave=False)
    return Answers.joined([explainer(batch) for batch in progress])


def covered(
    pixels: Pixels,
    region: Bool[np.ndarray, "films rows columns"],
    greys: Float[np.ndarray, " films"],
) -> Pixels:
    """Return the films with a region of each filled with one grey level."""
    return np.where(region[:, None], greys[:, None, None, None], pixels).astype(np.float32)


def region_medians(
    pixels: Pixels, region: Bool[np.ndarray, "films rows columns"]
) -> Float[np.ndarray, " films"]:
    """Return the median grey of a region of each film; where it is empty, 0."""
    inside = (film[0][mask] for film, mask in zip(pixels, region, strict=True))
    return np.array([np.median(greys) if greys.size else 0.0 for greys in inside])


def lung_rows(
    explainer: Explainer, seen: SeenFilms, whole: Probabilities, targets: Targets
) -> Iterator[AuditRow]:
    """Yield for each class the AUROC with the lungs filled with the median grey of the rest.

    Of the rest, because a bright lung raises the median of the whole film, and so would still show.
    Without lungs there is no lung disease to see: the discrimination that remains comes from
    elsewhere, and must be below half of what whole films give beyond chance. Class by class,
    because the mean over classes would hide a single class with a shortcut.

    Source:
        Maguolo and Nanni 2021, Information Fusion 76: COVID-19 told with the lungs blacked out as
        well as with them.
    """
    lungs = seen.lungs.for_blanking()
    without, alone = (
        answered(explainer, pixels, what).probabilities
        for pixels, what in (
            (covered(seen.pixels, lungs, region_medians(seen.pixels, ~lungs)), "lungs blanked"),
            (covered(seen.pixels, ~lungs, region_medians(seen.pixels, lungs)), "lungs alone"),
        )
    )
    for number, name in enumerate(explainer.card.class_names):
        yield _lung_row(
            name, targets == number, whole[:, number], without[:, number], alone[:, number], seen
        )


def _lung_row(
    name: str,
    is_class: Bool[np.ndarray, " films"],
    whole: Float[np.ndarray, " films"],
    without: Float[np.ndarray, " films"],
    alone: Float[np.ndarray, " films"],
    seen: SeenFilms,
) -> AuditRow:
    question = f"AUROC of {name} with the lungs blanked"
    if is_class.all() or not is_class.any():
        return row_without_answer(question, because="no film of the class, or of any other")
    on_whole, left, on_alone = (
        _auroc(scores, is_class, seen.groups) for scores in (whole, without, alone)
    )
    if on_whole.low <= 0.5:
        because = f"on whole films it is {on_whole}: nothing that could be lost"
        return row_without_answer(question, because=because)
    return row_at_most(
        (0.5 + on_whole.estimate) / 2,
        question,
        left,
        why="half of what whole films give beyond chance",
        note=f"whole films {on_whole}; all but the lungs blanked {on_alone}; "
        f"lungs: {seen.lungs.blanking_origin}",
    )


def _auroc(
    scores: Float[np.ndarray, " films"], is_class: Bool[np.ndarray, " films"], groups: list[str]
) -> Estimate:
    return Resamples(groups).estimate(partial(auroc, scores, is_class))


@dataclass(frozen=True)
class EdgeChanges:
    """Change of the probability of a film's true class when an edge of the film is covered.

    Attributes:
        by_region: New less old probability of each film, by the region's name.
        targets: The true class numbers.
    """

    by_region: dict[str, Float[np.ndarray, " films"]]
    targets: Targets

    def mean(self, region: str, number: int) -> float:
        """Return the mean change over the films of a class."""
        return float(self.by_region[region][self.targets == number].mean())

    def mean_absolute(self, region: str, number: int) -> float:
        """Return the mean absolute change over the films of a class."""
        return float(np.abs(self.by_region[region][self.targets == number]).mean())


def edge_changes(
    explainer: Explainer, seen: SeenFilms, whole: Probabilities, targets: Targets
) -> EdgeChanges:
    """Cover each corner and each border strip in turn, except for the lungs, and return changes.

    Each is filled with its own median grey: a letter fills less than half of it and disappears. The
    median of the whole film would put a bright square into dark air, much like a letter.
    """
    films = np.arange(len(targets))
    lungs = seen.lungs.for_blanking()
    changes = {}
    for name, region in edges(seen.pixels.shape[2], seen.pixels.shape[3]).items():
        chosen = region & ~lungs
        pixels = covered(seen.pixels, chosen, region_medians(seen.pixels, chosen))
        probabilities = answered(explainer, pixels, f"{name} covered").probabilities
        changes[name] = (probabilities - whole)[films, targets]
    return EdgeChanges(changes, targets)


def edges(rows: int, columns: int) -> dict[str, Bool[np.ndarray, "rows columns"]]:
    """Return the four corners and the four strips along the border by name."""
    y = (np.arange(rows)[:, None] + 0.5) / rows
    x = (np.arange(columns)[None] + 0.5) / columns
    sides = {"top": y, "bottom": 1 - y, "left": x, "right": 1 - x}
    corners = {
        name: np.logical_and(*(sides[side] < CORNER for side in name.split())) for name in CORNERS
    }
    strips = {name: np.broadcast_to(sides[name] < STRIP, (rows, columns)) for name in STRIPS}
    return corners | strips


def edge_rows(
    changes: EdgeChanges, seen: SeenFilms, class_names: tuple[str, ...]
) -> Iterator[AuditRow]:
    """Yield a row each for the corner and the strip with the largest change of a probability.

    No lung is covered, so that the probability should hardly change; letters, arrows and burnt-in
    dates are here. A mean change of up to 0.1 passes.

    Source:
        DeGrave, Janizek and Lee 2021, Nature Machine Intelligence 3: laterality markers and the
        edges of the film as shortcuts to COVID-19.
    """
    for kind, names in (("corner", CORNERS), ("strip along the border", STRIPS)):
        _, region, number = max(
            (changes.mean_absolute(name, number), name, number)
            for name in names
            for number in np.unique(changes.targets).tolist()
        )
        of_class = np.flatnonzero(changes.targets == number)
        yield row_at_most(
            LARGEST_CHANGE,
            f"change of probability when a {kind} is covered",
            over_films(
                lambda values: float(values.mean()),
                np.abs(changes.by_region[region])[of_class, None],
                [seen.groups[film] for film in of_class],
            ),
            why="mean absolute change of the true class; no lung is covered",
            note=f"largest of all classes and places: {class_names[number]}, {region}, "
            f"where the mean change is {changes.mean(region, number):+.3f}",
        )
