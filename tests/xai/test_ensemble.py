"""Models answer together by the mean of their logits, each at its temperature."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models.card import LungLimits
from tests.support.tiny_ensemble import TEMPERATURE, write_ensemble
from tests.support.tiny_groups import write_group_model
from tests.support.tiny_model import card, write_model
from xai.ensemble import Ensemble, check_members, mean_logits
from xai.explainer import Answers, Explainer

LOGITS = (np.array([[2.0, 0, -2]], np.float32), np.array([[0.0, 3, 0]], np.float32))


def answers(logits: np.ndarray, distance: float = 1.0, **others: Any) -> Answers:
    far = np.array([distance], np.float32)
    return Answers(logits, logits, logits[:, :, None, None], far, **others)


@pytest.fixture
def ensemble(tmp_path: Path) -> Ensemble:
    return Ensemble.beside(write_ensemble(tmp_path))


def test_its_logits_are_the_mean_of_the_members_after_their_temperatures() -> None:
    cards = [card(temperature=2), card(temperature=0.5)]
    found = mean_logits([answers(one) for one in LOGITS], cards)
    np.testing.assert_allclose(found, [[0.5, 3, -0.5]])


def test_its_probabilities_are_their_softmax_at_its_own_temperature(ensemble: Ensemble) -> None:
    found = ensemble.answers([answers(one) for one in LOGITS])
    powers = np.exp(np.array([1, 1.5, -1]) / TEMPERATURE)
    np.testing.assert_allclose(found.probabilities[0], powers / powers.sum(), rtol=1e-5)
    assert (ensemble.card.name, ensemble.card.version) == ("ensemble", "3.0.0")
    odds = np.log(found.all_probabilities(ensemble.card)[0, 3:])
    odds -= np.log(1 - found.all_probabilities(ensemble.card)[0, 3:])
    np.testing.assert_allclose(found.group_log_odds(ensemble.card)[0], odds, rtol=1e-4)


def test_a_film_that_one_member_refuses_is_refused(ensemble: Ensemble) -> None:
    near, far = answers(LOGITS[0], 2.0), answers(LOGITS[1], 9.0)
    found = ensemble.answers([near, far])
    assert found.refusals(ensemble.card) == [("distance",)]
    np.testing.assert_allclose(found.distance, [9 / 8])
    assert ensemble.answers([near, near]).refusals(ensemble.card) == [()]


def test_lungs_that_one_member_does_not_find_refuse_the_film(ensemble: Ensemble) -> None:
    limits = LungLimits(area=(0.1, 0.5), balance=0.5, stray=0.1)
    seeing = card(lung_limits=limits)
    ensemble.members = (ensemble.members[0], SimpleNamespace(card=seeing))
    blind = answers(LOGITS[0], lung_figures=np.array([[0.0, 0, 0]], np.float32))
    found = ensemble.answers([answers(LOGITS[0]), blind])
    assert found.refusals(ensemble.card) == [("lungs",)]
    [film] = found.films()
    assert film.refusals(ensemble.card) == [("lungs",)]


def test_models_of_other_classes_or_groups_can_not_answer_together(tmp_path: Path) -> None:
    one = Explainer(write_group_model(tmp_path, name="one"), lazy=True)
    other = Explainer(write_model(tmp_path, name="x", class_names=("a", "b", "c")), lazy=True)
    without = Explainer(write_model(tmp_path, name="y"), lazy=True)
    findings = Explainer(write_model(tmp_path, name="z", task="multilabel"), lazy=True)
    for second, message in [
        (other, "must have the same classes: one has"),
        (without, "must have the same groups of classes"),
        (findings, "must be multiclass, but z is multilabel"),
        (one, "two models or more, each once"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_members([one, second])


def test_another_file_of_a_member_than_was_measured_is_refused(tmp_path: Path) -> None:
    file = write_ensemble(tmp_path)
    write_group_model(tmp_path, name="other", version="2.0.0")
    with pytest.raises(ValueError, match="its member other is another file"):
        Ensemble.beside(file)
    (tmp_path / "other.onnx").unlink()
    with pytest.raises(ValueError, match=r"its member other is not among \['one'\]"):
        Ensemble.beside(file)
    file.write_text("{}")
    with pytest.raises(ValueError, match=r"ensemble ensemble\.json"):
        Ensemble.beside(file)
