"""Measure how often a model refuses out-of-distribution images.

It is shown films of a split, unchanged and spoiled on purpose, drawings, and the images of a folder
if one is given.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from models.card import Record, Refusal, Sha256
from models.film_files.errors import RadiographError
from models.radiograph import Radiograph, read_radiograph
from training.data.dataset import film_radiograph, seen_by
from training.data.manifest import Film, Split
from training.data.phantom import FINDINGS, draw_film
from training.statistics.bootstrap import Resamples
from training.statistics.metrics import share
from xai.explainer import Explainer

DRAWINGS = 30
"""Number of drawings; the findings that `cxr phantom` draws come in turn."""
Pixels = Float[np.ndarray, "rows columns"]
Outcome = Literal["answered", "refused", "undecided", "unreadable"]


def _detail(pixels: Pixels) -> Float[np.ndarray, "fewer_rows fewer_columns"]:
    """Return a quarter of the film, from its middle."""
    rows, columns = pixels.shape
    return pixels[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]


SPOILED: Mapping[str, Callable[[Pixels], Pixels]] = {
    "films as they are": lambda pixels: pixels,
    "films upside down": lambda pixels: pixels[::-1, ::-1],
    "films on their side": np.rot90,
    "inverted films": lambda pixels: 1 - pixels,
    "details of films": _detail,
    "nearly black films": lambda pixels: np.round(25 * pixels) / 255,  # as an 8-bit file holds it
}


class Reaction(Record):
    """A model's reaction to one image.

    Attributes:
        image: Name of its file.
        outcome: `refused`, or `undecided` because more than one class is left, or none is likely
            enough; `unreadable` images are refused before they reach a model.
        refusals: Why it is refused.
        distance: From the training films.
        novelty: Of its acquisition; None of a file without that output.
        predicted_class: The class with the largest probability, of a multi-class model.
    """

    image: str
    outcome: Outcome
    refusals: tuple[Refusal, ...] = ()
    distance: float | None = None
    novelty: float | None = None
    predicted_class: str | None = None


class KindShare(Record):
    """Share of images of one kind that get no decision.

    Attributes:
        kind: Its name.
        images: How many.
        silent: Share refused or undecided.
        low: Lower end of its 95 % interval, bootstrapped by group.
        high: Upper end.
        refused: Share refused.
        without_lungs: Share refused because no plausible lungs were found.
        distant: Share refused for their distance from the training films.
        novel: Share refused for the way in which they were acquired.
    """

    kind: str
    images: int
    silent: float
    low: float
    high: float
    refused: float
    without_lungs: float = 0.0
    distant: float = 0.0
    novel: float = 0.0


class RefusalReport(Record):
    """The reactions of one model to all images.

    Attributes:
        model: Name.
        version: Of its weights.
        sha256: Of its file.
        split: Of the films.
        kinds: Films as they are, films spoiled, and drawings.
        images: Of the folder, one by one.
    """

    model: str
    version: str
    sha256: Sha256
    split: Split
    kinds: tuple[KindShare, ...]
    images: tuple[Reaction, ...] = ()


def refusal_report(
    explainer: Explainer, films: Sequence[Film], unlike: Sequence[Path]
) -> RefusalReport:
    """Return how often a model refuses images of each kind.

    Args:
        explainer: The model.
        films: Of one split.
        unlike: Files that should be refused; those without the suffix of an image are skipped.
    """
    suffixes = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm"}
    images = [file for file in unlike if file.suffix.lower() in suffixes]
    return RefusalReport(
        model=explainer.card.name,
        version=explainer.card.version,
        sha256=explainer.sha256,
        split=films[0].split,
        kinds=(*_film_kinds(explainer, films), _drawings(explainer)),
        images=tuple(_file_reaction(explainer, file) for file in tqdm(images, leave=False)),
    )


def _film_kinds(explainer: Explainer, films: Sequence[Film]) -> Iterator[KindShare]:
    found: dict[str, list[Reaction]] = {kind: [] for kind in SPOILED}
    for film in tqdm(films, "films", unit="film", leave=False):
        radiograph = film_radiograph(film)
        for kind, spoil in SPOILED.items():
            pixels = np.ascontiguousarray(spoil(radiograph.pixels), np.float32)
            found[kind].append(reaction(explainer, replace(radiograph, pixels=pixels), kind))
    groups = [film.group_id for film in films]
    for kind, reactions in found.items():
        yield kind_share(kind, reactions, groups)


def _drawings(explainer: Explainer) -> KindShare:
    drawn = (
        draw_film(FINDINGS[seed % len(FINDINGS)], seed=seed).pixels for seed in range(DRAWINGS)
    )
    reactions = [
        reaction(explainer, Radiograph((pixels / 255).astype(np.float32), "png"), "drawing")
        for pixels in tqdm(drawn, "drawings", total=DRAWINGS, leave=False)
    ]
    return kind_share("drawings", reactions, list(map(str, range(DRAWINGS))))


def kind_share(kind: str, reactions: Sequence[Reaction], groups: Sequence[str]) -> KindShare:
    """Return the share of images of a kind that got no decision."""
    is_silent = np.array([found.outcome != "answered" for found in reactions])
    everyone = np.full(len(is_silent), True)

    def refused_for(reason: Refusal) -> float:
        return float(np.mean([reason in found.refusals for found in reactions]))

    silent = Resamples(groups).estimate(lambda weights: share(is_silent, everyone, weights))
    return KindShare(
        kind=kind,
        images=len(reactions),
        silent=silent.estimate,
        low=silent.low,
        high=silent.high,
        refused=float(np.mean([found.outcome == "refused" for found in reactions])),
        without_lungs=refused_for("lungs"),
        distant=refused_for("distance"),
        novel=refused_for("novelty"),
    )


def _file_reaction(explainer: Explainer, file: Path) -> Reaction:
    try:
        radiograph = read_radiograph(file.read_bytes())
    except RadiographError:
        return Reaction(image=file.name, outcome="unreadable")
    return reaction(explainer, radiograph, file.name)


def reaction(explainer: Explainer, radiograph: Radiograph, image: str) -> Reaction:
    """Return a model's reaction to one image."""
    card = explainer.card
    seen = seen_by(card, radiograph)
    answers = explainer(seen.pixels[None, None])
    [refusals], probabilities = answers.refusals(card), answers.probabilities[0]
    outcome: Outcome = "answered"
    if refusals:
        outcome = "refused"
    elif not card.is_decided(probabilities.tolist(), refusals):
        outcome = "undecided"
    return Reaction(
        image=image,
        outcome=outcome,
        refusals=refusals,
        distance=float(answers.distance[0]),
        novelty=answers.novelty_of(0),
        predicted_class=None
        if card.task == "multilabel"
        else card.class_names[int(probabilities.argmax())],
    )
