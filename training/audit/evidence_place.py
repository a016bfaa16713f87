"""Measure how much evidence lies outside the lungs, and how often it peaks in the same cell."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from models.card import CellCentres, Grid, ModelCard
from training.audit.rows import AuditRow, over_films, row_at_most, row_without_answer
from training.data.lung_regions import SeenFilms
from training.maps.localisation import OUTLINE_NOTE
from xai.explainer import Answers
from xai.measures.faithfulness import on_pixels

Evidence = Float[np.ndarray, "films grid_rows grid_columns"]
Targets = Int[np.ndarray, " films"]

LARGEST_PEAK_SHARE = 0.25
"""Largest allowed share of a class's films whose evidence peaks in the same border cell."""

FEWEST_FILMS = 12
"""Fewest films of a class for its rows: 0 of 12 is at most 0.25 at 95 % (rule of three: 3 / 12)."""


def evidence_rows(
    card: ModelCard, answers: Answers, seen: SeenFilms, targets: Targets
) -> Iterator[AuditRow]:
    """Yield for each class a row on evidence outside the lungs, and one on peaks in one cell.

    Only positive evidence for the true class counts, over the films of that class.

    Args:
        card: The model's.
        answers: Its answers about the films.
        seen: The films.
        targets: Their true classes.
    """
    of_true_class = np.maximum(answers.evidence[np.arange(len(targets)), targets], 0)
    cells = cells_of(card, answers)
    for number, name in enumerate(card.class_names):
        films = np.flatnonzero((targets == number) & (of_true_class.max(axis=(1, 2)) > 0))
        if len(films) < FEWEST_FILMS:
            because = f"fewer than {FEWEST_FILMS} of its films have evidence"
            yield row_without_answer(f"evidence for {name}", because=because)
            continue
        groups = [seen.groups[film] for film in films]
        lungs, origin = _lungs(seen, films)
        origin += f"; {OUTLINE_NOTE}" if card.lungs else ""
        size = lungs.shape[1:]
        maps = np.stack([on_pixels(of_true_class[n], size, cells[n]) for n in films.tolist()])
        yield outside_row(name, maps, lungs, origin=origin, groups=groups)
        yield peak_row(name, of_true_class[films], groups=groups)


def cells_of(card: ModelCard, answers: Answers) -> list[CellCentres | None]:
    """Return the centres of the evidence's cells in the network's input, film by film."""
    return [card.cells_on(answers.region_of(film)) for film in range(len(answers.evidence))]


def _lungs(
    seen: SeenFilms, films: Int[np.ndarray, " chosen"]
) -> tuple[Bool[np.ndarray, "chosen rows columns"], str]:
    own = [seen.lungs.own[film] for film in films]
    masks = [seen.lungs.typical if mask is None else mask for mask in own]
    drawn = sum(mask is not None for mask in own)
    if drawn == len(own):
        return np.stack(masks), "each film's own mask"
    return np.stack(masks), f"{drawn} of {len(own)} own masks, else {seen.lungs.origin}"


def outside_row(
    name: str,
    maps: Float[np.ndarray, "films rows columns"],
    lungs: Bool[np.ndarray, "films rows columns"],
    *,
    origin: str,
    groups: list[str],
) -> AuditRow:
    """Return the row of the density of a class's evidence outside the lungs.

    It is relative to the density over the whole film: an even map, without information, gets 1; a
    map that avoids the lungs gets more.

    Source:
        DeGrave, Janizek and Lee 2021, Nature Machine Intelligence 3: attributions outside the lung
        fields.
    """
    outside = (maps * ~lungs).sum(axis=(1, 2))
    columns = np.stack([outside, maps.sum(axis=(1, 2)), (~lungs).mean(axis=(1, 2))], axis=1)
    return row_at_most(
        1.0,
        f"density of evidence for {name} outside the lungs",
        over_films(_density, columns, groups),
        why="as an even map has; less is better",
        note=f"{outside.sum() / maps.sum():.0%} of the evidence on {columns[:, 2].mean():.0%} of "
        f"the area; lungs: {origin}",
    )


def _density(columns: Float[np.ndarray, "films 3"]) -> float:
    """Return the share of evidence outside over the share of the area outside."""
    outside, everywhere, area = columns.mean(axis=0)
    return float(outside / everywhere / area)


def peak_row(name: str, positive: Evidence, *, groups: list[str]) -> AuditRow:
    """Return the row of the share of a class's films whose evidence peaks in the same border cell.

    A constant peak at the border is a letter or an artefact of the network. Further inside it may
    be anatomy, such as the heart: the note gives it, for the reader to judge.

    Source:
        Adebayo et al. 2018, arXiv:1810.03292: a map that does not depend on what it should explain
        explains nothing.
    """
    grid = positive.shape[1:]
    cells = positive.reshape(len(positive), -1)
    peaks = cells.argmax(axis=1)
    counts = np.bincount(peaks, minlength=cells.shape[1])
    of_border = int(np.where(border(grid).ravel(), counts, -1).argmax())
    commonest, of_mean = int(counts.argmax()), int(cells.mean(axis=0).argmax())
    return row_at_most(
        LARGEST_PEAK_SHARE,
        f"share of {name} films with the peak in one border cell",
        over_films(_mean, (peaks == of_border)[:, None].astype(float), groups),
        why="disease is seldom at the border, and not in one place",
        note=f"commonest border cell: {in_words(of_border, grid)}; of all cells "
        f"{in_words(commonest, grid)} in {counts[commonest] / len(peaks):.0%} of the films; "
        f"the mean map peaks in {in_words(of_mean, grid)}",
    )


def _mean(values: Float[np.ndarray, "films 1"]) -> float:
    return float(values.mean())


def border(grid: Grid) -> Bool[np.ndarray, "rows columns"]:
    """Return the outermost cells of a grid."""
    outermost = np.full(grid, True)
    outermost[1:-1, 1:-1] = False
    return outermost


def in_words(cell: int, grid: Grid) -> str:
    """Return a cell's row and column, counted from 1."""
    row, column = divmod(cell, grid[1])
    return f"row {row + 1} column {column + 1} of {grid[0]}x{grid[1]}"
