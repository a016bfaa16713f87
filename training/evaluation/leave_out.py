"""Train a recipe without each origin in turn, and score the origin: `cxr leave-out`.

For every origin the recipe is trained without it, on the other films of the train split, and
scores that origin's films of the train split. Recipes are chosen by this, so neither val nor test
films are scored. The origin takes part in nothing: films of val, less the origin's, choose the
epoch. Scores have no temperature; prediction sets have one, and quantiles, of the same val films.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax
from tqdm import tqdm

import models
from models.checkpoint import LUNG_FIELD, WEIGHTS
from training.config import AugmentationConfig, Config
from training.data.dataset import FilmDataset
from training.data.manifest import Film, manifest_sha256, of_split
from training.data.whole_file import whole_file
from training.evaluation.leave_out_figures import SeedScores, SeedSets
from training.evaluation.leave_out_films import OriginFilms
from training.fitting.feature_cache import feature_cache
from training.fitting.loop import TrainingRun
from training.fitting.start import checked_films, datasets, starting_network
from training.fitting.subset import Films, Subset
from training.statistics.calibration import calibrated, fitted_temperature
from training.statistics.conformal import Sets, conformal_quantiles, prediction_sets

Scores = Float[np.ndarray, "films classes"]
"""Probabilities; NaN for a class that the model never saw."""
FAST_SIDE, FAST_EPOCHS = 128, 8
"""Most pixels of a side, and most epochs, of the fast form that recipes are chosen by."""
FAST_FILM_SIDE = 192
"""Most pixels of a side of films that are then cropped to the lungs."""
STATISTICS = Path(__file__).parents[1] / "statistics"
LEARNING = (
    STATISTICS / "calibration.py",
    STATISTICS / "conformal.py",
    Path(models.__path__[0]),
    *(Path(__file__).parents[1] / name for name in ("data", "fitting", "outlines", "step")),
)
"""Files, and folders of files, that scores follow from, beside this one."""
WITHOUT: Mapping[str, Mapping[str, Any]] = {
    "crop and local contrast": {"network": {"crop_pct": 1.0, "local_contrast": None}},
    "augmentation": {
        "augmentation": AugmentationConfig.off().model_dump(),
        "training": {"unfreeze": {"feature_cache": {"copies": 1}}},
    },
}
"""The measures against shortcuts, and the fields of a config that switch them off."""


def measures_added(config: Config) -> dict[str, Config]:
    """Return the recipe without its measures against shortcuts, then with one more at a time.

    A measure that the recipe does not take is skipped; the last entry is the recipe itself.
    """
    measures = list(WITHOUT)
    recipes: dict[str, Config] = {}
    for number in range(len(measures) + 1):
        recipe = without(config, measures[number:])
        if recipe not in recipes.values():
            recipes["plain" if number == 0 else f"+ {measures[number - 1]}"] = recipe
    return recipes


def without(config: Config, measures: Sequence[str]) -> Config:
    """Return the config with these measures switched off."""
    fields = config.model_dump()
    for measure in measures:
        fields = _changed(fields, WITHOUT[measure])
    return Config.model_validate(fields)


def _changed(fields: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested fields with changes; a table that the config lacks stays absent."""
    changed = dict(fields)
    for name, change in changes.items():
        if not isinstance(change, Mapping):
            changed[name] = change
        elif fields[name] is not None:
            changed[name] = _changed(fields[name], change)
    return changed


def fast(config: Config) -> Config:
    """Return the recipe at a small size and for few epochs, to choose by in minutes."""
    fields = config.model_dump()
    network, lungs = fields["network"], fields["network"]["lungs"]
    if lungs:
        lungs["size"] = [min(side, FAST_SIDE) for side in lungs["size"]]
    side_limit = FAST_FILM_SIDE if lungs else FAST_SIDE
    network["image_size"] = [min(side, side_limit) for side in network["image_size"]]
    fields["training"]["epochs"] = min(config.training.epochs, FAST_EPOCHS)
    return Config.model_validate(fields)


def seeds_of(config: Config, number: int) -> tuple[int, ...]:
    """Return the seeds of a recipe's trainings: its own, and those that follow."""
    return tuple(config.training.seed + step for step in range(number))


class LeftOut(NamedTuple):
    """What networks say of films of origins that they never saw.

    Attributes:
        scores: Probabilities; NaN for a class that a network never saw.
        sets: Prediction sets; no class that a network never saw is in one.
    """

    scores: SeedScores
    sets: SeedSets


def left_out_scores(
    config: Config, films: OriginFilms, folder: Path, *, seeds: int, device: str
) -> LeftOut:
    """Train a recipe once per seed and origin left out, and return what it says of that origin.

    Args:
        config: The recipe.
        films: All films of train.
        folder: Holds scores and cached features; scores found there are not computed again.
        seeds: How many.
        device: Where it is trained.

    Raises:
        ValueError: The data is unfit, its films or origins are others than `films`, or the recipe
            would show an origin that is left out.
    """
    _check_sees_nothing(config)
    read = checked_films(config)
    compared = len(films.left_out) < len(set(films.origins))
    if OriginFilms.of(config.data, read, compared=compared) != films:
        raise ValueError(f"{config.name} must have the films and origins of the other recipes")
    scores = np.full((seeds, len(films.films), len(films.class_names)), np.nan)
    sets = np.full(scores.shape, False)
    folds = seeds * len(films.left_out)
    with tqdm(total=folds, desc="left out", unit="fold", leave=False) as progress:
        for number, seed in enumerate(seeds_of(config, seeds)):
            run = SeedRun(_with_seed(config, seed), read, films, folder, device)
            for origin in films.left_out:
                found, rows = run.left_out(origin), films.rows(origin)
                scores[number, rows], sets[number, rows] = found
                progress.update()
    return LeftOut(scores, sets)


def _check_sees_nothing(config: Config) -> None:
    """Refuse a recipe through which a network would learn of the origin that is left out."""
    if config.augmentation.histogram_matching or config.augmentation.style_mixing:
        raise ValueError(
            "histogram_matching and style_mixing must be 0: they would show grey levels of films "
            "of the origin that is left out"
        )
    if config.training.distillation:
        raise ValueError("distillation must be off: a teacher has learnt of the origin left out")
    network = config.network
    has_own_mean = not (network.pretrained or network.weights or network.local_contrast)
    if config.training.feature_cache and has_own_mean:
        raise ValueError(
            "feature_cache needs pretrained weights or local_contrast: mean and std of all films, "
            "of the origin left out too, would be in the cached features"
        )


def _with_seed(config: Config, seed: int) -> Config:
    fields = config.model_dump()
    fields["training"]["seed"] = seed
    return Config.model_validate(fields)


@dataclass(frozen=True)
class SeedRun:
    """The trainings of a recipe with one seed.

    Attributes:
        config: The recipe with this seed.
        read: Films of all splits.
        films: Those of train, with their origins.
        folder: Of scores and cached features.
        device: Where it is trained.
    """

    config: Config
    read: tuple[Film, ...]
    films: OriginFilms
    folder: Path
    device: str

    @cached_property
    def recipe_films(self) -> "RecipeFilms":
        """The films, decoded only if scores are missing."""
        folder = self.folder / "features"
        return RecipeFilms.read(self.config, self.read, folder, device=self.device)

    def left_out(self, origin: str) -> tuple[Scores, Sets]:
        """Return probabilities and sets of an origin's films by a network that never saw it."""

        def write(path: Path) -> None:
            scores = np.full(
                (self.films.origins.count(origin), len(self.films.class_names)), np.nan
            )
            sets = np.full(scores.shape, False)
            found = fold(self.recipe_films, self.films.origins, origin)
            scores[:, found.classes] = softmax(found.logits, axis=1)
            sets[:, found.classes] = found.sets()
            with path.open("wb") as file:
                np.savez(file, scores=scores, sets=sets)

        with np.load(whole_file(self.folder / f"{self._key(origin)}.npz", write)) as kept:
            return kept["scores"], kept["sets"]

    def _key(self, origin: str) -> str:
        """Return a hash of all that the scores follow from, so that a file is never out of date."""
        settings = (self.config.model_dump_json(), manifest_sha256(self.config.data.manifest))
        digest = hashlib.sha256(repr((settings, origin)).encode())
        for file in _sources():
            digest.update(file.read_bytes())
        return digest.hexdigest()[:32]


def _sources() -> Iterator[Path]:
    """Yield the source files that scores follow from, and the weights that find the lungs."""
    yield Path(__file__)
    yield LUNG_FIELD / WEIGHTS
    for folder in LEARNING:
        yield from sorted(folder.rglob("*.py")) if folder.is_dir() else (folder,)


@dataclass(frozen=True)
class RecipeFilms:
    """The films of a recipe, decoded and, with a feature cache, computed once for all origins.

    Attributes:
        config: The recipe.
        class_names: Of all films.
        films: Of train, decoded.
        train: The same, or their features, augmented.
        scored: The same, not augmented.
        val: Films that choose the epoch.
        val_origins: The origin of each.
        device: Where it is trained.
    """

    config: Config
    class_names: tuple[str, ...]
    films: FilmDataset
    train: Films
    scored: Films
    val: Films
    val_origins: Sequence[str]
    device: str

    @classmethod
    def read(
        cls, config: Config, films: tuple[Film, ...], folder: Path, *, device: str
    ) -> "RecipeFilms":
        """Return the films of the manifest; `folder` is for cached features."""
        train, val, names = datasets(config, films)
        scored = FilmDataset(train.pixels, train.targets, sources=train.sources)
        origins = [config.data.origin(film.source) for film in of_split(films, "val")]
        cached = config.training.feature_cache
        if cached is None:
            return cls(config, names, train, train, scored, val, origins, device)
        network, _ = starting_network(config, train, names)
        cache = feature_cache(network.to(device), config.training, folder)
        return cls(
            config,
            names,
            train,
            cache.features(train, copies=cached.copies),
            cache.features(scored, copies=1),
            cache.features(val, copies=1),
            origins,
            device,
        )


class Fold(NamedTuple):
    """What a network says that was trained without an origin.

    Attributes:
        classes: Numbers of the classes that are left, in the order of its logits.
        logits: Of the origin's films.
        val_logits: Of the films of val that are not the origin's.
        val_targets: Their classes, as places in `classes`.
    """

    classes: list[int]
    logits: Float[np.ndarray, "films classes"]
    val_logits: Float[np.ndarray, "val_films classes"]
    val_targets: Int[np.ndarray, " val_films"]

    def sets(self) -> Sets:
        """Return the prediction sets of the origin's films: temperature and quantiles of val."""
        temperature = fitted_temperature(self.val_logits, self.val_targets)
        on_val = calibrated(self.val_logits, temperature)
        quantiles = conformal_quantiles(on_val, self.val_targets)
        return prediction_sets(calibrated(self.logits, temperature), quantiles)


def fold(recipe_films: RecipeFilms, origins: Sequence[str], origin: str) -> Fold:
    """Train without an origin; return the logits of its films, and of val without it."""
    learnt = [film for film, own in enumerate(origins) if own != origin]
    out = [film for film, own in enumerate(origins) if own == origin]
    classes = sorted({recipe_films.train.targets[film] for film in learnt})
    chosen_on = [
        film
        for film, own in enumerate(recipe_films.val_origins)
        if own != origin and recipe_films.val.targets[film] in classes
    ]
    names = tuple(recipe_films.class_names[number] for number in classes)
    shown = FilmDataset(recipe_films.films.pixels[learnt], [0] * len(learnt))
    network, _ = starting_network(recipe_films.config, shown, names)
    training = TrainingRun(
        network.to(recipe_films.device),
        recipe_films.config.training,
        subset(recipe_films.train, learnt, classes),
        subset(recipe_films.val, chosen_on, classes),
        recipe_films.config.data.confounded_origins,
    )
    scored = Subset(recipe_films.scored, out, [0] * len(out))
    for _ in training.epochs():
        if training.state.is_best:
            logits, val_logits = (
                training.predicted_logits(films).numpy() for films in (scored, training.val)
            )
    return Fold(classes, logits, val_logits, np.asarray(training.val.targets))


def subset(whole: Films, films: Sequence[int], classes: Sequence[int]) -> Subset:
    """Return some films, with the numbers of their classes among fewer classes."""
    return Subset(whole, films, [classes.index(whole.targets[film]) for film in films])
