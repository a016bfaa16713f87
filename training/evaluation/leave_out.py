"""Measure a recipe on films of origins left out of its training: `cxr leave-out`.

For every origin the recipe is trained without it, on the other films of the train split, and scores
that origin's films of the train split; the scores are then pooled. Recipes are chosen by this, so
neither val nor test films are scored. (Films of val, less the origin's, choose the epoch.)
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import softmax
from tqdm import tqdm

from training.config import AugmentationConfig, Config
from training.data.dataset import FilmDataset
from training.data.manifest import Film, class_names, manifest_sha256, of_split
from training.data.whole_file import whole_file
from training.evaluation.evaluation import class_discrimination, discrimination
from training.evaluation.leave_out_result import LeaveOutRecipe
from training.fitting.feature_cache import feature_cache
from training.fitting.loop import TrainingRun
from training.fitting.start import checked_films, datasets, starting_network
from training.fitting.subset import Films, Subset

Scores = Float[np.ndarray, "films classes"]
"""Probabilities; NaN for a class that the model never saw."""
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


def leave_out_recipe(name: str, config: Config, folder: Path, *, device: str) -> LeaveOutRecipe:
    """Train the recipe once per origin, and return its figures on the origins left out.

    Args:
        name: Of the recipe.
        config: The recipe.
        folder: Holds scores and cached features; scores found there are not computed again.
        device: Where it is trained.

    Raises:
        ValueError: There is only one origin, the data is unfit, or the augmentation shows films of
            the origin left out.
    """
    if config.augmentation.histogram_matching or config.augmentation.style_mixing:
        raise ValueError(
            "histogram_matching and style_mixing must be 0: they would show grey levels of films "
            "of the origin that is left out"
        )
    films = checked_films(config)
    origins = [config.data.origin(film.source) for film in of_split(films, "train")]
    if len(set(origins)) < 2:
        raise ValueError(f"films must be of two origins or more, not only of {set(origins)}")

    def write(path: Path) -> None:
        recipe_films = RecipeFilms.read(config, films, folder / "features", device=device)
        with path.open("wb") as file:
            np.save(file, pooled_scores(recipe_films, origins))

    scores = np.load(whole_file(folder / f"{_key(config)}.npy", write))
    return figures(name, scores, class_names(films), of_split(films, "train"), origins)


def _key(config: Config) -> str:
    """Return a hash of all that the scores follow from, so that a file is never out of date."""
    text = config.model_dump_json() + manifest_sha256(config.data.manifest)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


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


def pooled_scores(recipe_films: RecipeFilms, origins: Sequence[str]) -> Scores:
    """Return the probabilities of each train film, by a model trained without its origin."""
    scores = np.full((len(origins), len(recipe_films.class_names)), np.nan)
    for origin in tqdm(sorted(set(origins)), "left out", unit="origin", leave=False):
        films = [film for film, own in enumerate(origins) if own == origin]
        classes, logits = fold(recipe_films, origins, origin)
        scores[np.ix_(films, classes)] = softmax(logits, axis=1)
    return scores


def fold(
    recipe_films: RecipeFilms, origins: Sequence[str], origin: str
) -> tuple[list[int], Float[np.ndarray, "films classes"]]:
    """Train without an origin; return the classes that are left, and the logits of its films."""
    learnt = [film for film, own in enumerate(origins) if own != origin]
    out = [film for film, own in enumerate(origins) if own == origin]
    classes = sorted({recipe_films.train.targets[film] for film in learnt})
    chosen_on = [
        film
        for film, own in enumerate(recipe_films.val_origins)
        if own != origin and recipe_films.val.targets[film] in classes
    ]
    names = tuple(recipe_films.class_names[number] for number in classes)
    network, _ = starting_network(recipe_films.config, recipe_films.films, names)
    training = TrainingRun(
        network.to(recipe_films.device),
        recipe_films.config.training,
        subset(recipe_films.train, learnt, classes),
        subset(recipe_films.val, chosen_on, classes),
    )
    scored = Subset(recipe_films.scored, out, [0] * len(out))
    for _ in training.epochs():
        if training.state.is_best:
            logits = training.predicted_logits(scored).numpy()
    return classes, logits


def subset(whole: Films, films: Sequence[int], classes: Sequence[int]) -> Subset:
    """Return some films, with the numbers of their classes among fewer classes."""
    return Subset(whole, films, [classes.index(whole.targets[film]) for film in films])


def figures(
    name: str,
    scores: Scores,
    class_names: Sequence[str],
    films: Sequence[Film],
    origins: Sequence[str],
) -> LeaveOutRecipe:
    """Return a recipe's figures, without the films of classes that drop out."""
    is_kept = ~np.isnan(scores).any(axis=0)
    kept = [class_name for class_name, keeps in zip(class_names, is_kept, strict=True) if keeps]
    rows = [number for number, film in enumerate(films) if film.label in kept]
    pooled = scores[rows][:, is_kept]
    own = [films[row] for row in rows]
    macro_auroc, *_ = discrimination(pooled, own, kept)
    return LeaveOutRecipe(
        name=name,
        kept_classes=tuple(kept),
        dropped_classes={
            class_name: "all its films are of one origin"
            for class_name in class_names
            if class_name not in kept
        },
        aurocs=tuple(m for m in class_discrimination(pooled, own, kept) if m.name == "auroc"),
        macro_auroc=macro_auroc,
        films_by_origin=dict(Counter(origins[row] for row in rows)),
    )
