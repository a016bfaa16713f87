"""A recipe is trained without an origin, which takes part in nothing but being scored."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import cxr
from models.checkpoint import WEIGHTS
from tests.support.bright_spot import config, write_config, write_set
from training.config import AugmentationConfig, Config, read_config
from training.data.dataset import FilmDataset
from training.data.manifest import read_manifest
from training.evaluation import leave_out
from training.evaluation.leave_out import (
    Fold,
    RecipeFilms,
    fast,
    fold,
    left_out_scores,
    measures_added,
    without,
)
from training.evaluation.leave_out_films import OriginFilms
from training.evaluation.leave_out_result import read_leave_out
from training.fitting.loop import TrainingRun
from training.fitting.start import mean_and_std
from training.fitting.subset import Subset
from training.statistics.calibration import calibrated, fitted_temperature
from training.statistics.conformal import conformal_quantiles

pytestmark = pytest.mark.slow

SOURCES = ("east", "east_copies", "west")
SURE = (9 * np.repeat(np.eye(2), 10, axis=0), np.repeat([0, 1], 10))
"""Logits and classes of val films about which a network is sure, and right."""


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


@pytest.fixture(scope="module")
def films(manifest: Path) -> OriginFilms:
    return OriginFilms.of(recipe(manifest).data, read_manifest(manifest))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[TrainingRun]:
    """Collect the trainings of folds."""
    collected: list[TrainingRun] = []

    class Collected(TrainingRun):
        def __post_init__(self) -> None:
            super().__post_init__()
            collected.append(self)

    monkeypatch.setattr(leave_out, "TrainingRun", Collected)
    return collected


def test_sources_of_one_origin_are_left_out_together(films: OriginFilms) -> None:
    assert set(films.origins) == {"eastern", "west"}
    assert films.left_out == ("eastern", "west")


def test_a_model_knows_no_class_that_only_the_origin_left_out_has(
    split: RecipeFilms, films: OriginFilms
) -> None:
    found = fold(split, films.origins, "eastern")
    assert [split.class_names[number] for number in found.classes] == ["normal", "spot"]
    assert found.logits.shape == (films.origins.count("eastern"), 2)


def test_sets_have_their_quantiles_from_val_films_of_the_other_origins(
    split: RecipeFilms, films: OriginFilms
) -> None:
    found = fold(split, films.origins, "eastern")
    kept = [
        found.classes.index(target)
        for target, origin in zip(split.val.targets, split.val_origins, strict=True)
        if origin != "eastern" and target in found.classes
    ]
    assert found.val_targets.tolist() == kept
    assert found.val_logits.shape == (len(kept), 2)
    temperature = fitted_temperature(found.val_logits, found.val_targets)
    scores = calibrated(found.val_logits, temperature)
    quantiles = conformal_quantiles(scores, found.val_targets)
    probabilities = calibrated(found.logits, temperature)
    most = probabilities.argmax(axis=1)
    expected = 1 - probabilities <= quantiles
    expected[np.arange(len(most)), most] = True
    np.testing.assert_array_equal(found.sets(), expected)


def test_every_film_is_scored_once_per_seed_and_only_by_a_model_without_its_origin(
    films: OriginFilms, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, str]] = []

    def noted(own: RecipeFilms, origins: tuple[str, ...], origin: str) -> Fold:
        asked.append((own.config.training.seed, origin))
        logits = np.zeros((origins.count(origin), 2))
        logits[:, 0] = len(asked)
        return Fold([0, 2], logits, *SURE)

    monkeypatch.setattr(leave_out, "fold", noted)
    own = recipe(manifest, seed=5)
    scores, sets = left_out_scores(own, films, tmp_path, seeds=2, device="cpu")
    assert asked == [(5, "eastern"), (5, "west"), (6, "eastern"), (6, "west")]
    expected = torch.softmax(torch.tensor([[4.0, 0.0]], dtype=torch.float64), dim=1).numpy()
    assert scores[1, films.rows("west")][:, [0, 2]] == pytest.approx(
        expected.repeat(films.origins.count("west"), axis=0)
    )
    assert not np.isnan(scores[:, :, [0, 2]]).any()
    assert np.isnan(scores[:, :, 1]).all()
    assert sets[:, :, 0].all()
    assert not sets[:, :, 1].any()


def test_the_training_part_holds_no_film_of_the_origin(
    split: RecipeFilms, films: OriginFilms, monkeypatch: pytest.MonkeyPatch
) -> None:
    subsets = []

    class Noted(Subset):
        def __init__(self, *arguments) -> None:  # type: ignore[no-untyped-def]
            super().__init__(*arguments)
            subsets.append(self)

    monkeypatch.setattr(leave_out, "Subset", Noted)
    fold(split, films.origins, "west")
    learnt_from, chosen_on, scored = subsets
    assert set(learnt_from.sources) == {"east", "east_copies"}
    assert len(chosen_on) == sum(origin != "west" for origin in split.val_origins)
    assert set(scored.sources) == {"west"}


def with_other_films_of(origin: str, split: RecipeFilms, films: OriginFilms) -> RecipeFilms:
    """Return the films with noise in place of those of an origin, in train and in val."""

    def changed(whole: FilmDataset, rows: np.ndarray) -> FilmDataset:
        pixels = np.array(whole.pixels)
        pixels[rows] = np.random.default_rng(0).integers(150, 256, pixels[rows].shape)
        return FilmDataset(
            pixels, whole.targets, sources=whole.sources, augmentation=whole.augmentation
        )

    assert isinstance(split.val, FilmDataset)
    train = changed(split.films, films.rows(origin))
    scored = FilmDataset(train.pixels, train.targets, sources=train.sources)
    val = changed(split.val, np.array([own == origin for own in split.val_origins]))
    return replace(split, films=train, train=train, scored=scored, val=val)


def test_the_origin_left_out_takes_no_part_in_training_normalisation_or_choice(
    manifest: Path, films: OriginFilms, runs: list[TrainingRun]
) -> None:
    fields = recipe(manifest).model_dump()
    fields["network"] |= {"local_contrast": None}  # so that mean and std are those of films
    fields["training"] |= {"epochs": 2}
    config = Config.model_validate(fields)
    split = RecipeFilms.read(config, read_manifest(manifest), manifest.parent, device="cpu")
    scored = [
        fold(own, films.origins, "west").logits
        for own in (split, with_other_films_of("west", split, films))
    ]
    one, other = (run.state for run in runs)
    assert (scored[0] != scored[1]).any()
    assert one.history == other.history
    weights = other.averaged_network.state_dict()
    for name, value in one.averaged_network.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_mean_and_std_are_those_of_the_films_that_are_learnt_from(
    manifest: Path, films: OriginFilms, runs: list[TrainingRun]
) -> None:
    fields = recipe(manifest).model_dump()
    fields["network"] |= {"local_contrast": None}
    config = Config.model_validate(fields)
    split = RecipeFilms.read(config, read_manifest(manifest), manifest.parent, device="cpu")
    bright = with_other_films_of("west", split, films)
    fold(bright, films.origins, "west")
    mean, std = mean_and_std(split.films.pixels[~films.rows("west")])
    state = runs[0].network.state_dict()
    found = [
        float(value) for name, value in state.items() if name.split(".")[-1] in ("mean", "std")
    ]
    assert found == pytest.approx([mean, std], abs=1e-4)


def test_features_that_would_hold_the_mean_of_all_films_are_refused(
    manifest: Path, films: OriginFilms, tmp_path: Path
) -> None:
    unfreeze = {"layers": [[0, "stages.3"]], "feature_cache": {}}
    fields = recipe(manifest, unfreeze=unfreeze).model_dump()
    fields["network"] |= {"local_contrast": None}
    config = Config.model_validate(fields)
    with pytest.raises(ValueError, match="feature_cache needs pretrained weights or local_contr"):
        left_out_scores(config, films, tmp_path, seeds=1, device="cpu")


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


def test_the_fast_form_is_small_and_short_and_nothing_else(manifest: Path) -> None:
    fields = recipe(manifest, epochs=28).model_dump()
    fields["network"]["image_size"] = [224, 96]
    config = Config.model_validate(fields)
    quick = fast(config)
    assert quick.network.image_size == (128, 96)
    assert quick.training.epochs == 8
    quick_fields = quick.model_dump()
    quick_fields["network"]["image_size"] = (224, 96)
    quick_fields["training"]["epochs"] = 28
    assert Config.model_validate(quick_fields) == config


def test_grey_levels_of_the_origin_left_out_are_not_shown(
    manifest: Path, films: OriginFilms, tmp_path: Path
) -> None:
    fields = recipe(manifest).model_dump()
    fields["augmentation"]["style_mixing"] = 0.5
    with pytest.raises(ValueError, match="style_mixing must be 0"):
        left_out_scores(Config.model_validate(fields), films, tmp_path, seeds=1, device="cpu")


def test_a_teacher_that_saw_the_origin_left_out_is_refused(
    manifest: Path, films: OriginFilms, tmp_path: Path
) -> None:
    fields = recipe(manifest).model_dump()
    fields["training"]["distillation"] = {"probabilities": "teacher.csv"}
    with pytest.raises(ValueError, match="distillation must be off"):
        left_out_scores(Config.model_validate(fields), films, tmp_path, seeds=1, device="cpu")


def test_scores_found_in_the_folder_are_not_computed_again(
    manifest: Path, films: OriginFilms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scores(config: Config, seeds: int) -> np.ndarray:
        return left_out_scores(config, films, tmp_path, seeds=seeds, device="cpu").scores

    plain = without(recipe(manifest), ["augmentation", "crop and local contrast"])
    first = scores(plain, 2)
    monkeypatch.delattr(leave_out, "fold")
    np.testing.assert_array_equal(scores(plain, 2), first)
    np.testing.assert_array_equal(scores(plain, 1), first[:1])
    for other, seeds in ((recipe(manifest), 1), (plain, 3)):
        with pytest.raises(NameError, match="fold"):  # these are
            scores(other, seeds)
    (tmp_path / WEIGHTS).write_bytes(b"of another lung field")
    monkeypatch.setattr(leave_out, "LUNG_FIELD", tmp_path)
    with pytest.raises(NameError, match="fold"):
        scores(plain, 1)


def test_scores_of_other_source_files_are_computed_again(
    manifest: Path, films: OriginFilms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def noted(_: RecipeFilms, origins: tuple[str, ...], origin: str) -> Fold:
        made.append(origin)
        return Fold([0, 2], np.zeros((origins.count(origin), 2)), *SURE)

    source = tmp_path / "network.py"
    source.write_text("one")
    monkeypatch.setattr(leave_out, "LEARNING", (tmp_path,))
    monkeypatch.setattr(leave_out, "fold", noted)
    for text in ("one", "one", "other"):
        source.write_text(text)
        left_out_scores(recipe(manifest), films, tmp_path, seeds=1, device="cpu")
    assert made == ["eastern", "west"] * 2


def test_cached_features_serve_all_origins(
    manifest: Path, films: OriginFilms, tmp_path: Path
) -> None:
    unfreeze = {"layers": [[0, "stages.3"]], "feature_cache": {"copies": 2}}
    cached = recipe(manifest, unfreeze=unfreeze)
    split = RecipeFilms.read(cached, read_manifest(manifest), tmp_path, device="cpu")
    files = set(tmp_path.iterdir())
    fold(split, films.origins, "west")
    assert len(files) == 4  # two copies to learn from; the films as they are; val
    assert set(tmp_path.iterdir()) == files


def test_one_origin_alone_is_refused(manifest: Path) -> None:
    fields = recipe(manifest).model_dump()
    fields["data"]["origins"] = {"all": SOURCES}
    with pytest.raises(ValueError, match="of two origins or more"):
        OriginFilms.of(Config.model_validate(fields).data, read_manifest(manifest))


def test_recipes_with_other_origins_are_not_compared(
    manifest: Path, films: OriginFilms, tmp_path: Path
) -> None:
    fields = recipe(manifest).model_dump()
    fields["data"]["origins"] = {}
    with pytest.raises(ValueError, match="the films and origins of the other recipes"):
        left_out_scores(Config.model_validate(fields), films, tmp_path, seeds=1, device="cpu")


def test_a_copy_of_a_film_in_a_subset_is_a_copy_of_it_in_the_whole(split: RecipeFilms) -> None:
    some = Subset(split.train, [3, 5], [0, 1])
    some.epoch = 0
    for index, whole in ((0, 3), (1, 5), (2, len(split.train) + 3)):
        assert (some[index][0] == split.train[whole][0]).all()
    assert [some[index][1] for index in range(4)] == [0, 1, 0, 1]


@pytest.fixture
def configs(tmp_path: Path) -> list[str]:
    """Write two recipes for the same films, many enough to compare classes within origins."""
    manifest = write_set(tmp_path / "films", films=240)
    random = np.random.default_rng(0)
    head, *rows = manifest.read_text().splitlines()
    rows = [row.replace("drawn", str(random.choice(["east", "west"]))) for row in rows]
    manifest.write_text("\n".join([head, *rows]) + "\n")
    text = write_config(manifest, epochs=1).read_text()
    text = text.replace("[network]", 'normal = "normal"\n\n[network]\ncrop_pct = 0.91')
    files = [tmp_path / "first.toml", tmp_path / "second.toml"]
    files[0].write_text(text)
    files[1].write_text(text.replace("0.1.0", "0.2.0").replace("0.91", "0.92"))
    return [str(file) for file in files]


def test_two_recipes_are_compared_by_the_command(
    configs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, picture = tmp_path / "out/left_out.json", tmp_path / "out/left_out.png"
    first, second = configs
    options = ["--as-is", "--fast", "--folder", str(tmp_path / "work"), "--picture", str(picture)]
    assert cxr.main(["leave-out", first, "--against", second, *options, "-o", str(file)]) == 0
    found = read_leave_out(file)
    assert [one.name for one in found.recipes] == ["spot_cnn 0.1.0", "spot_cnn 0.2.0"]
    assert found.recipes[0].seeds == (0, 1)
    assert {one.difference.name for one in found.differences} == {"pair_auroc", "normal_auroc"}
    assert picture.read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert re.search(r"within west: spot against normal: [01]\.", said)
    assert "spot_cnn 0.1.0 less spot_cnn 0.2.0, east, west: pair auroc" in said


def test_recipes_of_one_name_and_no_seed_are_refused(
    configs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["-o", str(tmp_path / "out.json")]
    assert cxr.main(["leave-out", configs[0], "--as-is", "--against", configs[0], *output]) != 0
    assert "two configs are spot_cnn 0.1.0" in capsys.readouterr().err
    assert cxr.main(["leave-out", configs[0], "--seeds", "0", *output]) != 0
    assert "--seeds must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["chest_cnn", "vgg16", "vgg16_whole_film", "vgg16_plain", "vit_b16"]
)
def test_our_configs_know_that_both_nih_sources_are_one_origin(name: str) -> None:
    folder = Path(__file__).parents[3] / "training/configs"
    data = read_config(folder / f"{name}.toml").data
    assert data.origin("nih_chestxray14") == data.origin("nih_rsna_normal") == "nih"
    assert data.normal == "normal"


def test_real_films_have_figures_within_three_origins(shared: Path) -> None:
    data = read_config(Path(__file__).parents[3] / "training/configs/chest_cnn.toml").data
    own = OriginFilms.of(data, read_manifest(shared / "data/cxr/manifest.csv"))
    assert own.comparable == ("kermany", "mendeley_tb_pk", "nih")
    assert own.having("normal_auroc") == own.comparable
    reasons = {own.obstacle("kermany", pair) for pair in own.all_pairs("kermany")}
    assert len(reasons) == 2  # none for pneumonia against normal, one for viral pneumonia
    assert [origins for _, origins in own.means()] == [
        ("kermany", "mendeley_tb_pk", "nih"),
        ("kermany", "nih"),
    ] * 2
