"""What the cache gives back is what the frozen layers would have computed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.card import ReadLayer, ReadOut
from models.lungs.window import LungWindow
from models.network import Network, split_at
from tests.support import lung_networks
from tests.support.small_networks import small_network
from training.config import AugmentationConfig
from training.data.augmentation import FilmAugmentation
from training.data.dataset import FilmDataset
from training.fitting.feature_cache import FeatureCache, feature_cache, from_entry
from training.fitting.loop import TrainingRun
from training.training_config import TrainingConfig

FIRST = {"chest_cnn": "stages.2", "vgg16": "trunk.9", "vit_b16 average": "blocks.1"}


def films(*, augmented: bool = False) -> FilmDataset:
    pixels = np.random.default_rng(0).integers(256, size=(8, 32, 32), dtype=np.uint8)
    change = FilmAugmentation(AugmentationConfig()) if augmented else None
    return FilmDataset(pixels, [0, 1, 2, 3] * 2, augmentation=change)


def config(name: str = "vgg16", **changes: object) -> TrainingConfig:
    """Return a training of two epochs with a cache, whose `[training.unfreeze]` is changed."""
    layers = [[0, "head"], [1, FIRST[name]]]
    unfreeze = {"layers": layers, "feature_cache": {"dtype": "float32"}} | changes
    return TrainingConfig.model_validate({"epochs": 2, "batch_size": 4, "unfreeze": unfreeze})


def network(name: str = "vgg16") -> Network:
    return small_network(name, size=(32, 32)).float()


def cache(folder: Path, **changes: object) -> FeatureCache:
    return feature_cache(network(), config(**changes), folder)


def weights_after(name: str, settings: TrainingConfig, folder: Path) -> dict[str, Tensor]:
    """Return a network's weights after a training with the cache, or without."""
    torch.manual_seed(0)
    trained, shown = network(name), films()
    if settings.feature_cache:
        shown = feature_cache(trained, settings, folder).features(shown, copies=1)
    training = TrainingRun(trained, settings, shown, shown)
    list(training.epochs())
    return {**trained.state_dict(), **training.state.history[-1]}


@pytest.mark.parametrize("name", FIRST)
def test_training_with_the_cache_equals_training_without(name: str, tmp_path: Path) -> None:
    cached = weights_after(name, config(name), tmp_path)
    plain = weights_after(name, config(name, feature_cache=None), tmp_path)
    torch.testing.assert_close(cached, plain, rtol=1e-4, atol=1e-5)


def outlined_films(*, given: bool = True, smaller: float = 1.0) -> FilmDataset:
    """Return films of lungs, with their outlines unless the network is to find them."""
    pixels, lungs = (255 * lung_networks.outlined_films(4)).round().byte().numpy().swapaxes(0, 1)
    lungs = (lungs * smaller).astype(np.uint8)
    return FilmDataset(pixels, [0, 1, 2, 3], lungs=lungs if given else None)


@pytest.mark.parametrize("read_layer", ["conv4_3", "conv5_3"])
@pytest.mark.parametrize("first", ["trunk.3", "trunk.9", "inside", "pool", "head"])
@pytest.mark.parametrize("given", [True, False], ids=["given", "found"])
def test_the_lungs_cells_are_cached_where_a_later_layer_takes_them(
    read_layer: ReadLayer, first: str, given: bool, tmp_path: Path
) -> None:
    lungs = lung_networks.lung_vgg16(read_layer).float()
    settings = config(layers=[[0, first]])
    shown = outlined_films(given=given)
    features = feature_cache(lungs, settings, tmp_path).features(shown, copies=1)
    entry = from_entry(lungs, settings)
    pixels, cached = (torch.stack([films[n][0] for n in range(4)]) for films in (shown, features))
    with torch.no_grad():
        torch.testing.assert_close(entry(cached), lungs(pixels), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("read_out", ["token", "average"])
@pytest.mark.parametrize("first", ["blocks.1", "blocks.2", "norm", "head"])
def test_a_transformers_patches_are_cached_with_the_lungs_cells(
    read_out: ReadOut, first: str, tmp_path: Path
) -> None:
    lungs = lung_networks.lung_vit(read_out).float()
    settings, shown = config(layers=[[0, first]]), outlined_films()
    features = feature_cache(lungs, settings, tmp_path).features(shown, copies=1)
    entry = from_entry(lungs, settings)
    pixels, cached = (torch.stack([films[n][0] for n in range(4)]) for films in (shown, features))
    with torch.no_grad():
        torch.testing.assert_close(entry.eval()(cached), lungs.eval()(pixels), rtol=1e-5, atol=1e-5)


def lung_weights_after(settings: TrainingConfig, folder: Path) -> dict[str, Tensor]:
    lungs, shown = lung_networks.lung_vgg16("conv4_3").float(), outlined_films()
    if settings.feature_cache:
        shown = feature_cache(lungs, settings, folder).features(shown, copies=1)
    training = TrainingRun(lungs, settings, shown, shown)
    list(training.epochs())
    return {**lungs.state_dict(), **training.state.history[-1]}


def test_training_inside_the_lungs_with_the_cache_equals_training_without(tmp_path: Path) -> None:
    cached = lung_weights_after(config(), tmp_path)
    plain = lung_weights_after(config(feature_cache=None), tmp_path)
    torch.testing.assert_close(cached, plain, rtol=1e-4, atol=1e-5)


def test_other_windows_outlines_or_grids_have_another_file(tmp_path: Path) -> None:
    first = lung_networks.lung_vgg16("conv5_3").float()
    grid = lung_networks.lung_vgg16("conv4_3").float()
    grid.trunk.load_state_dict(first.trunk.state_dict(), strict=False)
    window = lung_networks.lung_vgg16("conv5_3").float()
    spec = lung_networks.SPEC.model_copy(update={"margin": 0.2})
    window.normalise[0] = LungWindow(lung_networks.DarkCells(), spec, lung_networks.FILM)
    for lungs, shown in (
        (first, outlined_films()),
        (first, outlined_films(given=False)),
        (first, outlined_films(smaller=0.8)),
        (grid, outlined_films()),
        (window, outlined_films()),
    ):
        feature_cache(lungs, config(), tmp_path).features(shown, copies=1)
    assert len(list(tmp_path.glob("*.npy"))) == 5


def test_each_copy_is_the_film_changed_by_another_draw(tmp_path: Path) -> None:
    shown = films(augmented=True)
    features = cache(tmp_path).features(shown, copies=2)
    frozen, _ = split_at(network().eval(), FIRST["vgg16"])
    for copy in range(2):
        features.epoch = shown.epoch = copy
        torch.testing.assert_close(features[3][0], frozen(shown[3][0][None])[0].detach())
    assert not np.array_equal(features.copies[0], features.copies[1])


def test_epochs_and_repeated_films_take_turns_with_the_copies(tmp_path: Path) -> None:
    features = cache(tmp_path).features(films(augmented=True), copies=2)
    features.epoch = 0
    first, again = features[3], features[3 + len(features)]
    features.epoch = 1
    assert torch.equal(features[3][0], again[0])
    assert not torch.equal(first[0], again[0])
    assert first[1] == again[1] == 3


def test_half_precision_is_near_and_half_as_large(tmp_path: Path) -> None:
    whole = cache(tmp_path).features(films(), copies=1).copies[0]
    half = cache(tmp_path, feature_cache={"dtype": "float16"}).features(films(), copies=1).copies[0]
    assert half.nbytes * 2 == whole.nbytes
    np.testing.assert_allclose(half, whole, rtol=1e-3, atol=1e-3)


def test_what_is_there_is_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = np.array(cache(tmp_path).features(films(), copies=1).copies[0])
    monkeypatch.setattr(FeatureCache, "_write", None)
    assert np.array_equal(cache(tmp_path).features(films(), copies=1).copies[0], before)


def test_a_kill_while_writing_leaves_no_file_behind_that_would_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(np.memmap, "flush", lambda array: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            cache(tmp_path).features(films(), copies=1)
    assert not list(tmp_path.glob("*.npy"))
    assert len(cache(tmp_path).features(films(), copies=1)) == 8


def test_features_too_large_for_half_precision_are_refused(tmp_path: Path) -> None:
    large = network()
    torch.nn.init.constant_(large.trunk[0].bias, 1e9)
    with pytest.raises(ValueError, match="dtype of feature_cache must be float32"):
        feature_cache(large, config(feature_cache={}), tmp_path).features(films(), copies=1)
    assert not list(tmp_path.glob("*.npy"))


def other_films() -> FilmDataset:
    other = films()
    other.pixels = 255 - other.pixels
    return other


def test_other_films_changes_or_weights_have_another_file(tmp_path: Path) -> None:
    cache(tmp_path).features(films(), copies=1)
    cache(tmp_path).features(other_films(), copies=1)
    cache(tmp_path).features(films(augmented=True), copies=1)
    changed = network()
    torch.nn.init.zeros_(changed.trunk[0].weight)
    feature_cache(changed, config(), tmp_path).features(films(), copies=1)
    assert len(list(tmp_path.glob("*.npy"))) == 4


def test_weights_that_train_do_not_matter(tmp_path: Path) -> None:
    cache(tmp_path).features(films(), copies=1)
    changed = network()
    torch.nn.init.zeros_(changed.trunk[9].weight)
    feature_cache(changed, config(), tmp_path).features(films(), copies=1)
    assert len(list(tmp_path.glob("*.npy"))) == 1


def test_without_a_frozen_layer_there_is_nothing_to_cache(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="feature_cache needs a frozen layer"):
        cache(tmp_path, layers=[[0, "head"], [1, "normalise"]])
