"""A teacher's file is read row by row, and what it says reaches the loss."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.origin_films import film
from tests.support.small_networks import small_network
from training.data.dataset import FilmDataset
from training.fitting.feature_cache import feature_cache
from training.fitting.loop import TrainingRun
from training.fitting.teacher import read_teacher
from training.training_config import TrainingConfig

FILMS = [film(number, label="normal", source="clinic", split="train") for number in range(2)]
NAMES = ("normal", "spot")


def read(folder: Path, *rows: str) -> np.ndarray:
    file = folder / "teacher.csv"
    file.write_text("\n".join(["spot,path,normal", *rows]) + "\n")
    return read_teacher(file, FILMS, Path("manifest.csv"), NAMES)


def test_rows_are_put_in_the_order_of_films_and_classes(tmp_path: Path) -> None:
    found = read(tmp_path, "0.2,1.png,0.8", "0.9,7.png,0.1", "0.6,0.png,0.2")
    assert found == pytest.approx(np.array([[0.25, 0.75], [0.8, 0.2]]))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["0.2,1.png,0.8"], "says nothing of 1 films of train, first .'0.png'"),
        (["0,0.png,0"], "line 2 of .* must be 0 or more"),
        (["-1,0.png,2"], "line 2 of .* must be 0 or more"),
        (["one,0.png,0"], "line 2 of .* must have probabilities"),
    ],
)
def test_what_is_unfit_is_named(rows: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, *rows)


def taught(folder: Path, **tables: object) -> np.ndarray:
    """Return the head's weights of a network after an epoch that a teacher alone teaches."""
    random = np.random.default_rng(0)
    teacher = random.dirichlet(np.ones(4), 8).astype(np.float32)
    pixels = random.integers(256, size=(8, 32, 32), dtype=np.uint8)
    films = FilmDataset(pixels, [0, 1, 2, 3] * 2, teacher=teacher)
    val = FilmDataset(pixels, films.targets)
    distillation = {"probabilities": "teacher.csv", "weight": 1.0}
    fields = {"epochs": 1, "batch_size": 4, "distillation": distillation} | tables
    config = TrainingConfig.model_validate(fields)
    network = small_network("chest_cnn", size=(32, 32)).float()
    if config.feature_cache:
        cache = feature_cache(network, config, folder)
        training = TrainingRun(
            network, config, *(cache.features(f, copies=1) for f in (films, val))
        )
    else:
        training = TrainingRun(network, config, films, val)
    list(training.epochs())
    return network.head.weight.detach().numpy()


def test_a_teacher_teaches_by_hand_and_from_cached_features_alike(tmp_path: Path) -> None:
    layers = {"layers": [[0, "head"]]}
    plain = taught(tmp_path, unfreeze=layers)
    cache = {"feature_cache": {"dtype": "float32"}}
    assert taught(tmp_path, unfreeze=layers, gradients={"by": "manual"}) == pytest.approx(plain)
    assert taught(tmp_path, unfreeze=layers | cache) == pytest.approx(plain, rel=1e-4)
    unmoved = small_network("chest_cnn", size=(32, 32)).float().head.weight.detach().numpy()
    assert np.abs(plain - unmoved).max() > 1e-4
