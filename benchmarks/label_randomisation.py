"""Test whether maps depend on the labels that a network has learnt (data randomisation test).

    python benchmarks/label_randomisation.py FOLDER -o docs/results/label_randomisation.json

It needs a training run on random labels, so it uses synthetic films and the recipe of
`phantom_cnn`, which takes minutes: the result holds for the method and the recipe, not for a built-
in model. Three networks: one on the true labels, one on them with another seed, and one on labels
shuffled over the films. On val films, for the true class, maps of the first are compared with those
of the others, and with those of unrelated films.

Source:
    Adebayo et al. 2018, arXiv:1810.03292, section 4 (data randomisation test).
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from models.card import Record
from training.config import Config, read_config
from training.data.dataset import class_numbers
from training.data.manifest import Film, of_split, read_manifest
from training.data.phantom import write_phantom_set
from training.export.export import export
from training.fitting.run_folder import RunFolder
from training.fitting.train import train
from training.maps.randomisation import ExplainedFilms, floor, likeness, maps_of
from training.maps.trust import seen_film
from xai.explainer import Explainer
from xai.measures.sanity import rank_correlation, structural_similarity
from xai.measures.trust import Likeness

RECIPE = Path(__file__).parents[1] / "training/configs/phantom.toml"


class LabelRandomisation(Record):
    """Similarity of maps to those of a network that learnt the true labels."""

    recipe: str
    films: int
    other_seed: Likeness
    shuffled_labels: Likeness
    unrelated_films: Likeness


def with_shuffled_labels(manifest: Path, shuffled: Path) -> Path:
    """Write the manifest with the labels of each split shuffled over its films."""
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    random = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        own = [row for row in rows if row["split"] == split]
        drawn = random.permutation([row["label"] for row in own])
        for row, label in zip(own, drawn.tolist(), strict=True):
            row["label"] = label
    with shuffled.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return shuffled


def trained(config: Config, manifest: Path, folder: Path, *, seed: int, epochs: int) -> Path:
    """Train and export the recipe on a manifest, and return the ONNX file."""
    data = config.data.model_copy(update={"manifest": manifest, "cache": folder / "films"})
    training = config.training.model_copy(update={"seed": seed, "epochs": epochs})
    run = RunFolder(folder / "run")
    train(config.model_copy(update={"data": data, "training": training}), run)
    export(run, folder / "model.onnx")
    return folder / "model.onnx"


def films_with_maps(model: Path, films: Sequence[Film]) -> ExplainedFilms:
    """Return films with a model's maps for their true class."""
    explainer = Explainer(model)
    pixels = np.stack([seen_film(film, explainer).pixels[None] for film in films])
    classes = np.array(class_numbers(films, explainer.card.class_names))
    groups = tuple(film.group_id for film in films)
    return ExplainedFilms(pixels, classes, groups, maps_of(onnx.load(model), pixels, classes))


def compared(what: str, first: ExplainedFilms, second: ExplainedFilms) -> Likeness:
    """Return the similarity of two networks' maps of the same films."""
    pairs = [
        (abs(rank_correlation(one, other)), structural_similarity(one, other))
        for one, other in zip(first.maps, second.maps, strict=True)
    ]
    return likeness(what, np.array([pairs]), first.groups)


def main() -> int:
    """Draw, train three times, compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="for films and runs; empty or new")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    config, folder = read_config(RECIPE), options.folder
    manifest = write_phantom_set(folder / "drawn", patients=options.patients)
    shuffled = with_shuffled_labels(manifest, manifest.with_name("shuffled.csv"))
    films = of_split(read_manifest(manifest), "val")
    wanted = {"true": (manifest, 0), "seed": (manifest, 1), "shuffled": (shuffled, 0)}
    true, seed, random = (
        films_with_maps(
            trained(config, labels, folder / name, seed=draw, epochs=options.epochs), films
        )
        for name, (labels, draw) in wanted.items()
    )
    found = LabelRandomisation(
        recipe=RECIPE.name,
        films=len(films),
        other_seed=compared("another seed", true, seed),
        shuffled_labels=compared("shuffled labels", true, random),
        unrelated_films=floor(true, range(10)),
    )
    options.output.write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
    for one in (found.other_seed, found.shuffled_labels, found.unrelated_films):
        print(f"{one.what:22} rank correlation {one.rank_correlation}, SSIM {one.similarity}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
