"""Measure what each part of looking only at the lungs is worth: one row for each part added.

    python benchmarks/ablation.py CONFIG --marked FOLDER -o JSON [--manifest FILE] [--few 130]
        [--seeds 1] [--folder artifacts/ablation] [--weights FILE --mean R G B --std R G B]

CONFIG is a recipe that sees the whole film. Every row is measured on origins that its networks
never saw, as `cxr leave-out --fast` does, and as a difference to the first row over the same films.
Where a recipe has a feature cache, a logistic regression on the frozen features takes the place of
the training, its penalty chosen on val films of the other origins.
Then it is trained once on all origins and exported, and its maps are measured on val films: share
of the evidence inside lungs, hit rate and energy on boxes, deletion, and likeness to the maps of
the same network with a random head, beside that of unrelated films. The time of a film is a median
over rounds in which the rows take turns. What was computed before is found in the folder.
"""

import argparse
import csv
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.card import Record
from training.commands.leave_out import recipe_sentences
from training.commands.train import add_start_arguments, with_arguments
from training.config import Config, read_config
from training.data.manifest import of_split, read_manifest, spread
from training.evaluation.leave_out import RecipeFilms, fast, left_out_scores, seeds_of
from training.evaluation.leave_out_figures import SeedScores, recipe_differences, recipe_figures
from training.evaluation.leave_out_films import OriginFilms
from training.evaluation.leave_out_result import LeaveOutRecipe, LeaveOutResult, RecipeDifference
from training.export.export import export
from training.fitting.run_folder import RunFolder
from training.fitting.start import checked_films
from training.fitting.subset import Films
from training.fitting.train import train
from training.maps.annotations import read_annotations
from training.maps.faithfulness import faithfulness_report
from training.maps.localisation import localisation_report
from training.maps.localised import MODEL, localised, marked_films
from training.maps.trust import TrustSettings, measured
from training.statistics.metrics import mean_auroc, one_hot
from xai.explainer import Explainer
from xai.measures.trust import Figure

Changes = Mapping[str, Any]
SIDE, SEEN = 320, 224
"""Pixels of a side of the film, and of the lungs' box cut from it."""
PARTS: Mapping[str, Changes] = {
    "crop to the lungs": {
        "network": {
            "crop_pct": 1.0,
            "image_size": [SIDE, SIDE],
            "lungs": {
                "size": [SEEN, SEEN],
                "blank": False,
                "standardise": "none",
                "inside": False,
            },
        },
        "augmentation": {"outline": 0.015},
    },
    "blank": {"network": {"lungs": {"blank": True}}},
    "standardise": {"network": {"local_contrast": None, "lungs": {"standardise": "ranks"}}},
    "masked pooling": {"network": {"lungs": {"inside": True}}},
    "local": {"network": {}},
}
"""The parts in the order in which they are added, and the fields of a config that they change."""
DROPPED = ("standardise",)
"""Parts that later rows do without: they lost. Ranks take the place of local contrast there."""
LOCAL: Mapping[str, Changes] = {
    "chest_cnn": {"network": {"receptive_field": "local"}},
    "vgg16": {"network": {"read_layer": "conv4_3"}},
}
"""What makes each network's evidence local."""
HEAD_ONLY: Changes = {
    "training": {
        "epochs": 8,
        "optimiser": {"learning_rate": 1e-3},
        "unfreeze": {"layers": [[0, "head"]]},
    }
}
"""What is frozen of a pretrained network: all but its head. Training it is for the maps alone."""
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
"""Of the logistic regression on such features: scikit-learn's C, the inverse of the penalty."""
LUNG_FILMS, VAL_FILMS, CURVES, TRUST_FILMS, TRUST_SEEDS, ROUNDS = 60, 100, 12, 40, 3, 40


class MapFigures(Record):
    """Figures of one row's maps on val films; None where no film could be asked.

    Attributes:
        row: Its name.
        inside: Share of the evidence inside the lungs, over films whose lungs were outlined.
        hit_rate: Share of films with boxes whose hottest pixel lies in one.
        energy: Share of the heat in the boxes over their share of the film.
        deletion: Area under the class's probability while the hottest pixels are removed.
        deletion_random: The same with random maps as smooth.
        random_head: Rank correlation with maps of the network with a random head.
        unrelated: The same with maps of other patients.
        milliseconds: Of a film, with all maps, on two threads.
    """

    row: str
    inside: Figure | None
    hit_rate: Figure
    energy: Figure | None
    deletion: Figure
    deletion_random: Figure
    random_head: Figure
    unrelated: Figure
    milliseconds: float


class Ablation(Record):
    """All rows.

    Attributes:
        network: Its architecture.
        films: Of the train split.
        left_out: On origins never seen; differences are to the first row.
        maps: Of the networks trained on all origins; empty if only the former were asked for.
    """

    network: str
    films: int
    left_out: LeaveOutResult
    maps: tuple[MapFigures, ...]


def compared(scores: Mapping[str, SeedScores], config: Config, films: OriginFilms) -> Ablation:
    """Return the figures of rows of one seed each, and their differences from the first."""
    first = next(iter(scores))
    figures = [recipe_figures(name, config, (0,), own, films) for name, own in scores.items()]
    differences = [
        one
        for name in list(scores)[1:]
        for one in recipe_differences({name: scores[name], first: scores[first]}, films)
    ]
    return Ablation(
        network=config.network.architecture,
        films=len(films.films),
        left_out=LeaveOutResult(recipes=tuple(figures), differences=tuple(differences)),
        maps=(),
    )


def rows(config: Config) -> dict[str, Config]:
    """Return the recipe as it is, then with one part more at a time."""
    fields = config.model_dump()
    if config.training.feature_cache:
        fields = merged(fields, HEAD_ONLY)
    recipes = {"as shipped": Config.model_validate(fields)}
    for name, changes in PARTS.items():
        own = LOCAL[config.network.architecture] if name == "local" else changes
        changed = merged(fields, own)
        recipes[f"+ {name}"] = Config.model_validate(changed)
        fields = fields if name in DROPPED else changed
    return {name: fast(recipe) for name, recipe in recipes.items()}


def merged(fields: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """Return nested fields with changes; a table that is absent is made."""
    own = dict(fields)
    for name, change in changes.items():
        below = own.get(name)
        if isinstance(change, Mapping) and isinstance(below, dict):
            own[name] = merged(below, change)
        else:
            own[name] = change
    return own


def few_films(manifest: Path, folder: Path, most: int) -> Path:
    """Write a manifest with at most so many films of each class, source and split; return it."""
    with manifest.open(newline="") as file:
        every = list(csv.DictReader(file))
    order = np.random.default_rng(0).permutation(len(every))
    taken: Counter[tuple[str, str, str]] = Counter()
    kept = []
    for place in order.tolist():
        key = (every[place]["label"], every[place]["source"], every[place]["split"])
        taken[key] += 1
        if taken[key] <= most:
            kept.append(place)
    chosen = folder / f"few_{most}.csv"
    folder.mkdir(parents=True, exist_ok=True)
    with chosen.open("w", newline="") as file:
        writer = csv.DictWriter(file, every[0].keys())
        writer.writeheader()
        for place in sorted(kept):
            path = str((manifest.parent / every[place]["path"]).resolve())
            writer.writerow(every[place] | {"path": path})
    return chosen


def probe_scores(recipe: Config, films: OriginFilms, folder: Path, device: str) -> SeedScores:
    """Return each origin's probabilities by a logistic regression on the others' frozen features.

    Its penalty is the one with the best macro AUROC on val films of the other origins.
    """
    shown = RecipeFilms.read(recipe, checked_films(recipe), folder / "features", device=device)
    train, scored, val = (features_of(own) for own in (shown.train, shown.scored, shown.val))
    classes, of_val = np.array(shown.train.targets), np.array(shown.val.targets)
    scores = np.full((1, len(classes), len(films.class_names)), np.nan)
    for origin in films.left_out:
        out = films.rows(origin)
        chosen_on = np.array([own != origin for own in shown.val_origins])
        chosen_on &= np.isin(of_val, classes[~out])
        is_class = one_hot(of_val[chosen_on], len(films.class_names))
        fits = [
            make_pipeline(
                StandardScaler(), LogisticRegression(C=c, class_weight="balanced", max_iter=500)
            ).fit(train[~out], classes[~out])
            for c in STRENGTHS
        ]
        learnt = fits[0].classes_
        best = max(
            fits,
            key=lambda fit: macro_auroc(fit.predict_proba(val[chosen_on]), is_class[:, learnt]),
        )
        scores[0, np.flatnonzero(out)[:, None], learnt] = best.predict_proba(scored[out])
    return scores


def features_of(films: Films) -> np.ndarray:
    """Return what reaches the head, a row for each film."""
    return np.stack([films[film][0].numpy() for film in range(len(films))])


def macro_auroc(probabilities: np.ndarray, is_class: np.ndarray) -> float:
    """Return the mean AUROC of the classes, each against the others."""
    return float(mean_auroc(probabilities, is_class, np.ones((1, len(is_class)), np.int64))[0])


def left_out(
    recipes: Mapping[str, Config], options: argparse.Namespace
) -> tuple[int, LeaveOutResult]:
    """Return the rows' figures on origins never seen, and differences to the first row."""
    first = next(iter(recipes.values()))
    films = OriginFilms.of(first.data, checked_films(first), compared=True)
    scores: dict[str, SeedScores] = {}
    figures: list[LeaveOutRecipe] = []
    differences: list[RecipeDifference] = []
    for name, recipe in recipes.items():
        folder = options.folder / "left_out"
        if recipe.training.feature_cache:
            scores[name] = probe_scores(recipe, films, folder, options.device)
        else:
            scores[name] = left_out_scores(
                recipe, films, folder, seeds=options.seeds, device=options.device
            ).scores
        seeds = seeds_of(recipe, len(scores[name]))
        figures.append(recipe_figures(name, recipe, seeds, scores[name], films))
        print("\n".join(recipe_sentences(figures[-1])), flush=True)
        if len(figures) > 1:
            base = figures[0].name
            pair = {name: scores[name], base: scores[base]}
            differences += recipe_differences(pair, films)
    return len(films.films), LeaveOutResult(recipes=tuple(figures), differences=tuple(differences))


def exported(name: str, recipe: Config, options: argparse.Namespace) -> Path:
    """Train a row on all origins and export it, unless that was done before; return the file."""
    folder = RunFolder(options.folder / "runs" / name.strip("+ ").replace(" ", "_"))
    model = folder.path / "model.onnx"
    if not model.is_file():
        train(recipe, folder, device=options.device)
        export(folder, model)
    return model


def map_figures(name: str, model: Path, recipe: Config, options: argparse.Namespace) -> MapFigures:
    """Return the figures of a row's maps; the time is filled in afterwards."""
    explainer, val = Explainer(model), of_split(read_manifest(recipe.data.manifest), "val")
    annotations = read_annotations("localisation", options.marked)
    marked, _ = marked_films(annotations, explainer.card.class_names)
    boxes = [one for one in marked if one.split == "val" and not one.is_lungs]
    lungs = [one for one in marked if one.is_lungs][:LUNG_FILMS]
    found = list(localised(explainer, [*boxes, *lungs], None))
    places = localisation_report(explainer, found, layout="localisation", split="val")
    faith = faithfulness_report(explainer, spread(val, VAL_FILMS), curves=CURVES)
    figures = {figure.name: plain(figure) for figure in faith.figures}
    settings = TrustSettings(films=TRUST_FILMS, seeds=TRUST_SEEDS, by_depth=False)
    trust = measured(model, recipe.data.manifest, settings)
    own = next(row for row in places.marks if row.map == MODEL)
    return MapFigures(
        row=name,
        inside=next((row.inside for row in places.lungs if row.map == MODEL), None),
        hit_rate=own.hit_rate,
        energy=own.energy_ratio,
        deletion=figures["deletion, area"],
        deletion_random=figures["deletion, area, random map"],
        random_head=trust.head.rank_correlation,
        unrelated=trust.floor.rank_correlation,
        milliseconds=0.0,
    )


def plain(figure: Figure) -> Figure:
    """Return a figure without its name."""
    return Figure(estimate=figure.estimate, low=figure.low, high=figure.high)


def milliseconds(models: Sequence[Path]) -> list[float]:
    """Return each model's median time for a film of noise; the models take turns."""
    explainers = [Explainer(model, threads=2) for model in models]
    random = np.random.default_rng(0)
    films = [random.random((1, 1, *e.card.image_size), np.float32) for e in explainers]
    seconds: list[list[float]] = [[] for _ in explainers]
    for _ in range(ROUNDS):
        for explainer, film, taken in zip(explainers, films, seconds, strict=True):
            start = time.perf_counter()
            explainer(film)
            taken.append(time.perf_counter() - start)
    return [1000 * statistics.median(taken) for taken in seconds]


def maps(recipes: Mapping[str, Config], options: argparse.Namespace) -> Iterator[MapFigures]:
    """Yield the figures of all rows' maps."""
    models = {name: exported(name, recipe, options) for name, recipe in recipes.items()}
    times = milliseconds(list(models.values()))
    for (name, model), taken in zip(models.items(), times, strict=True):
        own = map_figures(name, model, recipes[name], options)
        yield own.model_copy(update={"milliseconds": taken})


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_start_arguments(parser)
    parser.add_argument("--marked", type=Path, help="folder with boxes.csv; without it no maps")
    parser.add_argument("--few", type=int, help="most films of each class, source and split")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rows", nargs="+", help="only these")
    parser.add_argument("--folder", type=Path, default=Path("artifacts/ablation"))
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    config = with_arguments(read_config(options.config), options)
    if options.few:
        few = few_films(config.data.manifest, options.folder, options.few)
        config = Config.model_validate(merged(config.model_dump(), {"data": {"manifest": few}}))
    recipes = {k: v for k, v in rows(config).items() if not options.rows or k in options.rows}
    films, found = left_out(recipes, options)
    own = tuple(maps(recipes, options)) if options.marked else ()
    network = config.network.architecture
    ablation = Ablation(network=network, films=films, left_out=found, maps=own)
    options.output.write_text(ablation.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
