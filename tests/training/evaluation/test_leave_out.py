import csv
from pathlib import Path

import numpy as np
import pytest

from tests.support.bright_spot import config, write_set
from training.config import AugmentationConfig, Config
from training.data.manifest import Film, of_split, read_manifest
from training.evaluation.leave_out import (
    RecipeFilms,
    figures,
    fold,
    leave_out_recipe,
    measures_added,
    pooled_scores,
    without,
)
from training.fitting.subset import Subset

SOURCES = ("east", "east_copies", "west")


def recipe(manifest: Path, **training: object) -> Config:
    fields = config(manifest, epochs=1).model_dump()
    fields["data"] |= {"origins": {"eastern": ("east", "east_copies")}}
    fields["network"] |= {"crop_pct": 0.9, "local_contrast": 0.2}
    fields["augmentation"] |= {"gamma": 0.1}
    fields["training"] |= training
    return Config.model_validate(fields)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films of three sources; those with a ring are all of the east."""
    manifest = write_set(tmp_path_factory.mktemp("origins"), films=96)
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    random = np.random.default_rng(0)
    for row in rows:
        row["source"] = str(random.choice(SOURCES))
        if row["source"] != "west" and random.random() < 0.3:
            row["label"] = "ring"
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return manifest


@pytest.fixture(scope="module")
def split(manifest: Path) -> RecipeFilms:
    return RecipeFilms.read(
        recipe(manifest), read_manifest(manifest), manifest.parent, device="cpu"
    )


def train_films(manifest: Path) -> tuple[Film, ...]:
    return of_split(read_manifest(manifest), "train")


def origins(manifest: Path) -> list[str]:
    films = train_films(manifest)
    return [recipe(manifest).data.origin(film.source) for film in films]


def test_sources_of_one_origin_are_left_out_together(manifest: Path) -> None:
    assert set(origins(manifest)) == {"eastern", "west"}


def test_a_model_knows_no_class_that_only_the_origin_left_out_has(
    split: RecipeFilms, manifest: Path
) -> None:
    classes, logits = fold(split, origins(manifest), "eastern")
    assert [split.class_names[number] for number in classes] == ["normal", "spot"]
    assert logits.shape == (origins(manifest).count("eastern"), 2)


def test_every_film_is_scored_and_only_by_a_model_without_its_origin(
    split: RecipeFilms, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    def noted(split: RecipeFilms, own: list[str], origin: str) -> tuple[list[int], np.ndarray]:
        out = [film for film, name in enumerate(own) if name == origin]
        seen[origin] = out
        return [0, 1], np.full((len(out), 2), len(seen))

    monkeypatch.setattr("training.evaluation.leave_out.fold", noted)
    scores = pooled_scores(split, origins(manifest))
    assert sorted(film for films in seen.values() for film in films) == list(range(len(scores)))
    assert not np.isnan(scores[:, :2]).any()
    assert np.isnan(scores[:, 2]).all()


def test_the_training_part_holds_no_film_of_the_origin(
    split: RecipeFilms, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subsets = []

    class Noted(Subset):
        def __init__(self, *arguments) -> None:  # type: ignore[no-untyped-def]
            super().__init__(*arguments)
            subsets.append(self)

    monkeypatch.setattr("training.evaluation.leave_out.Subset", Noted)
    fold(split, origins(manifest), "west")
    learnt_from, chosen_on, scored = subsets
    assert set(learnt_from.sources) == {"east", "east_copies"}
    assert len(chosen_on) == sum(origin != "west" for origin in split.val_origins)
    assert set(scored.sources) == {"west"}


def test_a_class_of_one_origin_drops_out_with_its_reason(manifest: Path) -> None:
    films = train_films(manifest)
    scores = np.random.default_rng(0).random((len(films), 3))
    scores[0, 1] = np.nan  # a model without the rings scored it
    found = figures("plain", scores, ("normal", "ring", "spot"), films, origins(manifest))
    assert found.kept_classes == ("normal", "spot")
    assert found.dropped_classes == {"ring": "all its films are of one origin"}
    assert sum(found.films_by_origin.values()) == sum(film.label != "ring" for film in films)
    assert [metric.class_name for metric in found.aurocs] == ["normal", "spot"]
    mean = np.mean([metric.estimate for metric in found.aurocs])
    assert found.macro_auroc.estimate == pytest.approx(mean)


def test_measures_are_added_one_by_one_until_it_is_the_recipe(manifest: Path) -> None:
    whole = recipe(manifest)
    recipes = measures_added(whole)
    assert list(recipes) == ["plain", "+ crop and local contrast", "+ augmentation"]
    assert recipes["plain"].network.crop_pct == 1.0
    assert recipes["plain"].augmentation == AugmentationConfig.off()
    assert recipes["+ crop and local contrast"].network == whole.network
    assert recipes["+ augmentation"] == whole


def test_a_measure_that_is_not_taken_is_passed_over(manifest: Path) -> None:
    as_it_is = without(recipe(manifest), ["crop and local contrast"])
    assert list(measures_added(as_it_is)) == ["plain", "+ augmentation"]


def test_grey_levels_of_the_origin_left_out_are_not_shown(manifest: Path, tmp_path: Path) -> None:
    fields = recipe(manifest).model_dump()
    fields["augmentation"]["style_mixing"] = 0.5
    with pytest.raises(ValueError, match="style_mixing must be 0"):
        leave_out_recipe("plain", Config.model_validate(fields), tmp_path, device="cpu")


def test_scores_found_in_the_folder_are_not_computed_again(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = without(recipe(manifest), ["augmentation", "crop and local contrast"])
    first = leave_out_recipe("plain", plain, tmp_path, device="cpu")
    monkeypatch.delattr("training.evaluation.leave_out.pooled_scores")
    assert leave_out_recipe("plain", plain, tmp_path, device="cpu") == first
    with pytest.raises(NameError, match="pooled_scores"):  # those of another recipe are
        leave_out_recipe("plain", recipe(manifest), tmp_path, device="cpu")


def test_cached_features_serve_all_origins(manifest: Path, tmp_path: Path) -> None:
    unfreeze = {"layers": [[0, "stages.3"]], "feature_cache": {"copies": 2}}
    cached = recipe(manifest, unfreeze=unfreeze)
    split = RecipeFilms.read(cached, read_manifest(manifest), tmp_path, device="cpu")
    files = set(tmp_path.iterdir())
    fold(split, origins(manifest), "west")
    assert len(files) == 4  # two copies to learn from; the films as they are; val
    assert set(tmp_path.iterdir()) == files


def test_one_origin_alone_is_refused(manifest: Path, tmp_path: Path) -> None:
    fields = recipe(manifest).model_dump()
    fields["data"]["origins"] = {"all": SOURCES}
    with pytest.raises(ValueError, match="of two origins or more"):
        leave_out_recipe("plain", Config.model_validate(fields), tmp_path, device="cpu")


def test_a_copy_of_a_film_in_a_subset_is_a_copy_of_it_in_the_whole(split: RecipeFilms) -> None:
    some = Subset(split.train, [3, 5], [0, 1])
    some.epoch = 0
    for index, whole in ((0, 3), (1, 5), (2, len(split.train) + 3)):
        assert (some[index][0] == split.train[whole][0]).all()
    assert [some[index][1] for index in range(4)] == [0, 1, 0, 1]
