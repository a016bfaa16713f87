"""Answers of models that were never trained, for films that were never taken."""

from pathlib import Path

import numpy as np

from models.card import TrainingData
from tests.support.tiny_model import CLASS_NAMES, card
from training.data.manifest import Film, Split
from training.data.split import split_sha256
from training.evaluation.evaluation import Evaluation
from training.statistics.calibration import calibrated


def films(number: int, split: Split = "test") -> tuple[Film, ...]:
    """Return films in threes of a group: classes in turn, two sources, views that tell a little."""
    return tuple(
        Film(
            path=Path(f"{split}{index}.png"),
            label=CLASS_NAMES[index % 3],
            patient_id=f"{split}{index // 3}",
            group_id=f"{split}{index // 3}",
            source="clinic" if index % 6 < 4 else "<hospital>",
            split=split,
            view="AP" if index % 3 == 1 or index % 7 == 0 else "PA",
            sex="F" if index % 5 else "unknown",
            age_group="adult" if index else "child",
        )
        for index in range(number)
    )


def evaluation(
    chosen: tuple[Film, ...], *, name: str = "tiny", skill: float = 2.0, seed: int = 0
) -> Evaluation:
    """Return the answers of a model whose logit of the true class is larger by `skill`."""
    random = np.random.default_rng(seed)
    targets = np.array([CLASS_NAMES.index(film.label) for film in chosen])
    logits = random.normal(0, 1, (len(chosen), 3)) + skill * (targets[:, None] == np.arange(3))
    data = TrainingData(
        manifest_sha256="0", split_sha256=split_sha256(chosen), films={}, description="drawn"
    )
    return Evaluation(
        card=card(name=name, training_data=data),
        model_sha256="0" * 64,
        films=chosen,
        logits=logits,
        probabilities=calibrated(logits, 1.0),
        distance=random.uniform(0, 10, len(chosen)),
    )
