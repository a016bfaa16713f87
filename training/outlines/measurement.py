"""Measure how near a lung field's outline comes to masks: the Dice coefficient, by source.

It is measured on each film's own pixels, beside a baseline that shows every film the same outline:
the mean of the training masks of its convention, cut at one half.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from models.card import Grid, Record, Sha256
from models.checkpoint import LUNG_FIELD, WEIGHTS, lung_field
from models.lung_field import LungField
from models.radiograph import NetworkPixels
from training.config import MaskBy
from training.data.dataset import film_radiograph
from training.data.manifest import Split, manifest_sha256, of_split
from training.outlines.outlined_films import Convention, OutlinedFilm, read_outlined_films
from training.outlines.planes import mask_planes, read_mask, seen_whole, unknown_part
from training.statistics.bootstrap import Resamples, Statistic, Weights
from training.statistics.metrics import dice_coefficients
from xai.measures.trust import Figure

TENTH = 0.1
Shares = Float[np.ndarray, "rows columns"]
Coefficients = Float[np.ndarray, " films"]


class OutlineFigures(Record):
    """How near the outlines of some films are to their masks.

    Attributes:
        source: Of the films; None for all sources.
        mask_by: Who outlined the lungs.
        convention: Of the masks; None for both.
        films: How many.
        patients: Of how many patients; a bootstrap draws a patient's films together.
        dice: Mean Dice coefficient.
        tenth: Its tenth percentile.
        baseline: Mean Dice coefficient of the mean mask.
    """

    source: str | None
    mask_by: MaskBy
    convention: Convention | None
    films: int
    patients: int
    dice: Figure
    tenth: Figure
    baseline: Figure


class LungFieldReport(Record):
    """All figures of `cxr lung-field`.

    Attributes:
        weights_sha256: Of the lung field's weights file.
        manifest_sha256: Of the manifest.
        split: Of the measured films.
        figures: By human and network masks: all films, then by source and convention.
    """

    weights_sha256: Sha256
    manifest_sha256: Sha256
    split: Split
    figures: tuple[OutlineFigures, ...]


@dataclass(frozen=True)
class Measured:
    """The Dice coefficients of one film: of the network, and of the mean mask."""

    film: OutlinedFilm
    dice: float
    baseline: float


def lung_field_report(
    manifest: Path, *, split: Split, checkpoint: Path = LUNG_FIELD
) -> LungFieldReport:
    """Return how near a lung field's outlines are to the masks of one split.

    Args:
        manifest: Of outlined films; its human training masks make the baseline.
        split: Of the films to measure.
        checkpoint: Folder of the lung field.

    Raises:
        ValueError: The manifest or the checkpoint is unfit, or the split has no films.
    """
    network, spec = lung_field(checkpoint)
    films = read_outlined_films(manifest)
    means = mean_masks(films, spec.image_size)
    found = [
        measured(network, film, spec.image_size, means[film.convention])
        for film in tqdm(of_split(films, split), "outlines", unit="film", leave=False)
    ]
    return LungFieldReport(
        weights_sha256=hashlib.sha256((checkpoint / WEIGHTS).read_bytes()).hexdigest(),
        manifest_sha256=manifest_sha256(manifest),
        split=split,
        figures=tuple(_figures(found)),
    )


def mean_masks(films: Sequence[OutlinedFilm], image_size: Grid) -> Mapping[Convention, Shares]:
    """Return the mean human training mask of each convention, in network pixels.

    Where there is none of a convention, it is the mean of all.
    """
    taught = [film for film in films if film.split == "train" and film.mask_by == "human"]
    if not taught:
        raise ValueError("the manifest must have human masks in train, for the mean mask")
    planes = np.stack([mask_planes(film, image_size)[0] for film in taught]) / np.float32(255)
    own = np.array([film.convention for film in taught])
    return {
        convention: planes[own == convention if convention in own else slice(None)].mean(axis=0)
        for convention in ("whole", "fields")
    }


def measured(
    network: LungField, film: OutlinedFilm, image_size: Grid, mean_mask: Shares
) -> Measured:
    """Return the Dice coefficients of one film, on its own pixels."""
    radiograph = film_radiograph(film)
    view = seen_whole(radiograph, image_size)
    mask = read_mask(film.mask, radiograph)
    known = ~unknown_part(mask, film.convention)
    with torch.inference_mode():
        lungs = network(torch.from_numpy(view.pixels)[None, None]).sigmoid()[0, 0].numpy()
    dice = [
        dice_coefficients(on_film(shares, view, mask.shape)[None] > 0.5, mask[None], known[None])
        for shares in (lungs, mean_mask)
    ]
    return Measured(film, float(dice[0][0]), float(dice[1][0]))


def on_film(
    shares: Float[np.ndarray, "cell_rows cell_columns"], view: NetworkPixels, film_size: Grid
) -> Float[np.ndarray, "rows columns"]:
    """Return shares of lung on the film's own pixels; trimmed borders have none."""
    rows, columns = view.pixels.shape
    x_scale, _, left, _, y_scale, top = view.affine
    size = round(x_scale * columns), round(y_scale * rows)
    picture = Image.fromarray(shares.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    film = np.zeros(film_size, np.float32)
    start = round(top), round(left)
    film[start[0] : start[0] + size[1], start[1] : start[1] + size[0]] = np.asarray(picture)
    return film


def _figures(found: Sequence[Measured]) -> Iterator[OutlineFigures]:
    """Yield figures of all films with human masks and of each kind of them; then of the others."""
    for mask_by in ("human", "network"):
        own = [one for one in found if one.film.mask_by == mask_by]
        if not own:
            continue
        yield _of_films(own, None, None)
        for source, convention in sorted({(o.film.source, o.film.convention) for o in own}):
            kind = [o for o in own if (o.film.source, o.film.convention) == (source, convention)]
            yield _of_films(kind, source, convention)


def _of_films(
    found: Sequence[Measured], source: str | None, convention: Convention | None
) -> OutlineFigures:
    patients = [one.film.group_id for one in found]
    resamples = Resamples(patients)
    dice = np.array([one.dice for one in found])
    baseline = np.array([one.baseline for one in found])
    return OutlineFigures(
        source=source,
        mask_by=found[0].film.mask_by,
        convention=convention,
        films=len(found),
        patients=len(set(patients)),
        dice=_figure(resamples, partial(_means, dice)),
        tenth=_figure(resamples, partial(_tenths, dice)),
        baseline=_figure(resamples, partial(_means, baseline)),
    )


def _figure(resamples: Resamples, statistic: Statistic) -> Figure:
    found = resamples.estimate(statistic)
    return Figure(estimate=found.estimate, low=found.low, high=found.high)


def _means(values: Coefficients, weights: Weights) -> NDArray[np.floating]:
    return weights @ values / weights.sum(axis=1)


def _tenths(values: Coefficients, weights: Weights) -> NDArray[np.floating]:
    return np.array([np.quantile(np.repeat(values, times), TENTH) for times in weights])
