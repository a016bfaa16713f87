"""Measure whether a network learns a planted corner marker, or the finding that comes with it.

    PYTHONPATH=. python benchmarks/corner_marker.py FOLDER -o docs/results/corner_marker.json

Every drawn film with an opacity bears a letter in its upper right corner, and no other film does,
so that either tells the class. Two recipes learn from such films: `phantom.toml` sees the whole
film, `phantom_lungs.toml` only the lungs. Then lungs are swapped: each unseen patient has the lungs
of the healthy and of the ill film under the frame of the marked and of the unmarked one, four films
that differ in nothing else. Which of them does the network call opacity: those with the opacity, or
those with the letter?
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32
from pydantic import TypeAdapter
from tqdm import tqdm

from docs.scripts.insert_results import head, row
from models.card import Record
from models.radiograph import Radiograph
from training.config import read_config
from training.data.dataset import seen_by
from training.data.drawn_chest import Finding
from training.data.phantom import PhantomFilm, draw_film, write_phantom_set
from training.export.export import export
from training.fitting.run_folder import RunFolder
from training.fitting.train import train
from training.statistics.bootstrap import Estimate, Resamples
from training.statistics.metrics import auroc
from xai.explainer import Explainer
from xai.measures.localisation import is_hit, map_on_film

CONFIGS = Path(__file__).parents[1] / "training/configs"
RECIPES = {"the whole film": "phantom.toml", "the lungs": "phantom_lungs.toml"}
FINDINGS: tuple[Finding, Finding] = ("normal", "opacity")
COLUMNS = 160
"""Width of the films in pixels."""
SEEN = (96, 96)
"""Input of the network that sees the whole film: as many pixels as the other sees of the lungs."""
UNSEEN = 90_000
"""Number of the first patient that no set holds."""


class SwappedLungs(Record):
    """What a network answers where marker and opacity no longer come together.

    Attributes:
        patients: Each on four films.
        marker: AUROC of the logit of opacity less that of normal, for films with the marker.
        opacity: AUROC of the same scores for films with the opacity.
        marker_shift: Mean absolute change of that score by the marker.
        opacity_shift: Mean absolute change of it by the opacity.
        hits: Share of films with the opacity on which the map's maximum lies in it.
        middle_hits: Share of them on which the middle of the larger lung does.
    """

    patients: int
    marker: Estimate
    opacity: Estimate
    marker_shift: float
    opacity_shift: float
    hits: Estimate
    middle_hits: Estimate


class Learnt(Record):
    """One training on films in which marker and opacity come together, and what it learnt."""

    sees: str
    recipe: str
    seed: int
    found: SwappedLungs


def write_marked_films(folder: Path, *, patients: int) -> Path:
    """Draw a set in which the marker comes with every opacity, and return its manifest."""
    return write_phantom_set(
        folder, patients=patients, findings=FINDINGS, marker_class="opacity", columns=COLUMNS
    )


def trained(recipe: str, manifest: Path, folder: Path, *, seed: int, epochs: int) -> Path:
    """Train and export a recipe on a manifest, and return the ONNX file."""
    config = read_config(CONFIGS / recipe)
    data = config.data.model_copy(update={"manifest": manifest, "cache": folder / "films"})
    training = config.training.model_copy(update={"seed": seed, "epochs": epochs})
    size = config.network.image_size if config.network.lungs else SEEN
    network = config.network.model_copy(update={"image_size": size})
    run, tables = RunFolder(folder / "run"), {"data": data, "training": training}
    train(config.model_copy(update=tables | {"network": network}), run)
    export(run, folder / "model.onnx")
    return folder / "model.onnx"


def swapped_lungs(model: Path, patients: Sequence[int]) -> SwappedLungs:
    """Return what an exported network answers for the four films of each patient."""
    explainer = Explainer(model)
    of_films = np.indices((len(patients), 2, 2))
    is_ill, is_marked = of_films[1:] == 1
    scores, hits, middle_hits = np.zeros((3, *is_ill.shape))
    for place in tqdm(list(np.ndindex(is_ill.shape)), "swapped lungs", unit="film", leave=False):
        finding = FINDINGS[place[1]]
        film = draw_film(finding, seed=patients[place[0]], columns=COLUMNS, marker=bool(place[2]))
        scores[place], heat = answered(explainer, film)
        if film.mask.any():
            hits[place] = is_hit(heat, film.mask)
            middle_hits[place] = film.mask[larger_lungs_middle(film.lungs)]
    resamples = Resamples([str(patient) for patient in of_films[0].ravel()])

    def of_ill(values: Float[np.ndarray, "patients 2 2"]) -> Estimate:
        return resamples.estimate(lambda films: films @ values.ravel() / (films @ is_ill.ravel()))

    return SwappedLungs(
        patients=len(patients),
        marker=resamples.estimate(partial(auroc, scores.ravel(), is_marked.ravel())),
        opacity=resamples.estimate(partial(auroc, scores.ravel(), is_ill.ravel())),
        marker_shift=float(np.abs(np.diff(scores, axis=2)).mean()),
        opacity_shift=float(np.abs(np.diff(scores, axis=1)).mean()),
        hits=of_ill(hits),
        middle_hits=of_ill(middle_hits),
    )


def answered(
    explainer: Explainer, film: PhantomFilm
) -> tuple[float, Float32[np.ndarray, "rows columns"]]:
    """Return the logit of opacity less that of normal, and the map of opacity on the film."""
    card, (rows, columns) = explainer.card, film.pixels.shape
    seen = seen_by(card, Radiograph((film.pixels / 255).astype(np.float32), "png"))
    answers = explainer(seen.pixels[None, None])
    normal, opacity = (card.class_names.index(name) for name in FINDINGS)
    place = seen.grid_place(card.activation_grid, card.cells_on(answers.region_of(0)))
    heat = map_on_film(answers.evidence[0, opacity], place, rows=rows, columns=columns)
    return float(answers.logits[0, opacity] - answers.logits[0, normal]), heat


def larger_lungs_middle(lungs: Bool[np.ndarray, "rows columns"]) -> tuple[int, int]:
    """Return row and column of the middle of the larger of two lungs."""
    left, right = lungs.copy(), lungs.copy()
    left[:, lungs.shape[1] // 2 :] = False
    right[:, : lungs.shape[1] // 2] = False
    rows, columns = np.nonzero(max(left, right, key=np.sum))
    return int(rows.mean()), int(columns.mean())


def table(learnt: Sequence[Learnt]) -> Iterator[str]:
    """Yield the lines of a table in Markdown, one for each training."""
    yield from head(
        "sees",
        "seed",
        "AUROC of the marker",
        "AUROC of the opacity",
        "logit moved by the marker",
        "by the opacity",
        "hottest pixel in the opacity",
        "middle of the larger lung in it",
    )
    for one in learnt:
        found = one.found
        figures = (found.marker, found.opacity, found.marker_shift, found.opacity_shift)
        shown = (f"{one:.3f}" if isinstance(one, float) else str(one) for one in figures)
        yield row(one.sees, str(one.seed), *shown, str(found.hits), str(found.middle_hits))


def main() -> int:
    """Draw, train each recipe with each seed, swap lungs, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="for films and runs; empty or new")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--patients", type=int, default=40, help="to learn from (default 40)")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each recipe (default 1)")
    options = parser.parse_args()
    manifest = write_marked_films(options.folder / "drawn", patients=options.patients)
    learnt = []
    for (sees, recipe), seed in product(RECIPES.items(), range(options.seeds)):
        folder = options.folder / f"{recipe}-{seed}"
        model = trained(recipe, manifest, folder, seed=seed, epochs=options.epochs)
        found = swapped_lungs(model, range(UNSEEN, UNSEEN + 100))
        learnt.append(Learnt(sees=sees, recipe=recipe, seed=seed, found=found))
    written = TypeAdapter(list[Learnt]).dump_json(learnt, indent=2).decode()
    options.output.write_text(written + "\n", encoding="utf-8")
    print("\n".join(table(learnt)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
