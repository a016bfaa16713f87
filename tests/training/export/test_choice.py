"""The temperature and the weights of val films are chosen as `[training.choice]` says."""

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from models.card import TrainingData
from tests.models.test_vgg16 import SPEC
from tests.support.origin_films import film
from tests.support.small_networks import small_network
from training.config import Config
from training.data.dataset import FilmDataset
from training.export.export import chosen_temperature
from training.export.model_card import decision_thresholds
from training.export.trained_run import FilmSet, TrainedRun
from training.statistics.calibration import calibrated

ORIGINS = ["home"] * 400 + ["clinic"] * 60 + ["away"] * 40
FACTORS = np.where(np.array(ORIGINS) == "home", 1.0, 4.0)[:, None]


def run(**choice: str) -> TrainedRun:
    """Return a run, of which only the config counts here; clinic and away are one origin."""
    config = Config.model_validate(
        {
            "name": "tiny",
            "version": "1",
            "intended_use": "tests",
            "limits": [],
            "data": {
                "manifest": "m.csv",
                "description": "",
                "origins": {"abroad": ["clinic", "away"]},
            },
            "training": {"epochs": 1, "choice": choice},
        }
    )
    films = TrainingData(manifest_sha256=64 * "0", split_sha256=64 * "0", films={}, description="")
    return TrainedRun(config, small_network("chest_cnn"), SPEC, films, ())


class Val(NamedTuple):
    """Films of val with a network's logits."""

    films: FilmSet
    logits: NDArray[np.float64]


@pytest.fixture(scope="module")
def val() -> Val:
    films = tuple(
        film(number, label="normal", source=source, split="val")
        for number, source in enumerate(ORIGINS)
    )
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (len(ORIGINS), 3))
    targets = [int(random.choice(3, p=row)) for row in calibrated(logits, 1.0)]
    unread = np.zeros((len(ORIGINS), 1, 1), np.uint8)
    return Val(FilmSet(films, FilmDataset(unread, targets)), logits * FACTORS)


def test_the_temperature_follows_the_choice(val: Val) -> None:
    found = [
        chosen_temperature(run(temperature=by), val.films, val.logits)
        for by in ("films", "origins", "largest")
    ]
    assert found == sorted(found)
    assert found[0] + 0.3 < found[1] < found[2] - 0.3
    assert found[2] == pytest.approx(4, rel=0.3)


def test_origins_alike_choose_other_thresholds_than_films_alike(val: Val) -> None:
    scores, truth = calibrated(val.logits, 1.0), val.films.truth(3)
    weights = run().val_weights(val.films, "origins")
    assert weights is not None
    assert weights[:400].sum() == pytest.approx(weights[400:].sum())
    assert run().val_weights(val.films, "films") is None
    alike, films = (decision_thresholds(scores, truth, own) for own in (weights, None))
    assert [one.value for one in alike] != [one.value for one in films]
    called = scores[:, 0] >= alike[0].value
    own = truth[:, 0] == 1
    assert np.average(called[own], weights=weights[own]) == pytest.approx(alike[0].sensitivity)
