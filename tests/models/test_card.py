"""The card is frozen, complete and strict."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.card import Histogram, LungLimits, ModelCard, NetworkSpec
from tests.support.tiny_model import CLASS_NAMES, card, first_schema, softmax, write_model
from xai.explainer import Explainer

SPEC = {
    "architecture": "chest_cnn",
    "class_names": ("normal", "opacity"),
    "image_size": (64, 64),
    "resize_mode": "stretch",
    "target_layer": "stages.3",
    "activation_grid": (4, 4),
    "mean": 0.5,
    "std": 0.25,
}


def test_a_spec_survives_being_written_and_read() -> None:
    spec = NetworkSpec.model_validate(SPEC)
    assert NetworkSpec.model_validate_json(spec.model_dump_json()) == spec


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(ValidationError, match="learning_rate"):
        NetworkSpec.model_validate(SPEC | {"learning_rate": 1})


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        NetworkSpec.model_validate(SPEC).mean = 0.4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("class_names", ("normal", "normal"), "must differ"),
        ("class_names", ("normal",), "at least 2"),
        ("std", 0.0, "greater than 0"),
        ("image_size", (0, 64), "greater than 0"),
        ("architecture", "alexnet", "chest_cnn"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field: str, value: object, rule: str) -> None:
    with pytest.raises(ValidationError, match=f"(?s){field}.*{rule}|{rule}"):
        NetworkSpec.model_validate(SPEC | {field: value})


def test_a_histogram_has_one_edge_more_than_counts() -> None:
    with pytest.raises(ValidationError, match="one more than counts"):
        Histogram(edges=(0.0, 1.0), counts=(1, 2))


LIMITS = LungLimits(area=(0.1, 0.6), balance=0.5, stray=0.02)
PLAUSIBLE = (0.3, 0.9, 0.0)


def test_a_film_within_all_limits_is_answered() -> None:
    assert card(lung_limits=LIMITS).refusals(8.0, PLAUSIBLE) == ()
    assert card().refusals(8.0, None) == ()


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ((0.05, 0.9, 0.0), "they cover 0.05 of the film, the limits are 0.1 and 0.6"),
        ((0.7, 0.9, 0.0), "they cover 0.7 of the film, the limits are 0.1 and 0.6"),
        ((0.3, 0.4, 0.0), "one half of the film has 0.4 of the lung area of the other, the limit"),
        ((0.3, 0.9, 0.03), "0.03 of what looks like lung is apart from them, the limit is 0.02"),
        ((float("nan"), 0.9, 0.0), "they cover nan of the film"),
    ],
)
def test_a_film_beyond_one_of_the_lungs_limits_is_refused(
    figures: tuple[float, ...], words: str
) -> None:
    asked = card(lung_limits=LIMITS)
    assert asked.refusals(4.0, figures) == ("lungs",)
    assert words in asked.reasons(4.0, figures)["lungs"]


@pytest.mark.parametrize("distance", [8.001, float("inf"), float("nan")])
def test_a_film_beyond_the_distance_is_refused(distance: float) -> None:
    assert card(lung_limits=LIMITS).refusals(distance, PLAUSIBLE) == ("distance",)
    assert card(lung_limits=LIMITS).refusals(distance, (0.0, 0.0, 0.0)) == ("lungs", "distance")


def novel_card(limit: float | None) -> ModelCard:
    """Return a card whose golden film has a novelty."""
    known = card().golden.model_copy(update={"novelty": 1.0})
    return card(lung_limits=LIMITS, golden=known, novelty_threshold=limit)


@pytest.mark.parametrize("novelty", [2.501, float("inf"), float("nan")])
def test_a_film_of_a_new_acquisition_is_refused_with_figure_and_limit(novelty: float) -> None:
    asked = novel_card(2.5)
    assert asked.refusals(4.0, PLAUSIBLE, novelty) == ("novelty",)
    assert asked.refusals(9.0, (0.0, 0.0, 0.0), novelty) == ("lungs", "distance", "novelty")
    words = asked.reasons(4.0, PLAUSIBLE, novelty)["novelty"]
    assert words.startswith("It was acquired in a way that training never saw: its novelty is ")
    assert words.endswith(f"{novelty:.3g}, the model's limit is 2.5.")


def test_a_film_within_the_limit_of_novelty_or_without_one_is_answered() -> None:
    assert novel_card(2.5).refusals(4.0, PLAUSIBLE, 2.5) == ()
    assert novel_card(None).refusals(4.0, PLAUSIBLE, 99.0) == ()
    assert card().refusals(4.0, None, None) == ()


def test_a_limit_of_novelty_needs_a_file_that_answers_it() -> None:
    with pytest.raises(ValidationError, match="novelty_threshold must be null"):
        card(novelty_threshold=2.5)


PROBABLE = [0.6, 0.3, 0.1]
MULTILABEL = {"task": "multilabel"}


def test_a_refused_film_gets_no_decision() -> None:
    assert card().decisions([0.9, 0.1, 0.0], ()) == [True, False, False]
    assert card().decisions([0.9, 0.1, 0.0], ("lungs",)) == [None] * 3
    assert not card().is_decided([0.9, 0.1, 0.0], ("lungs",))


def test_findings_are_decided_each_by_its_threshold() -> None:
    several = card(**MULTILABEL)
    assert several.is_decided([0.9, 0.1, 0.0], ())
    assert several.decisions([0.9, 0.1, 0.0], ()) == [True, True, False]
    assert several.decisions([0.9, 0.1, 0.0], ("lungs",)) == [None] * 3
    assert several.prediction_set([0.9, 0.1, 0.0]) is None


def test_a_class_is_excluded_when_it_is_less_probable_than_its_quantile_allows() -> None:
    asked = card(conformal_quantiles=(0.5, 0.75, 0.85))
    assert asked.prediction_set(PROBABLE) == ["normal", "pneumonia"]
    assert asked.is_possible(PROBABLE) == [True, True, False]
    assert asked.excluded_below(1) == 0.25
    assert card().prediction_set(PROBABLE) is None
    assert card().excluded_below(1) is None


def test_a_film_is_decided_when_one_class_is_left() -> None:
    assert card(conformal_quantiles=(0.5, 0.75, 0.85)).decisions(PROBABLE, ()) == [None] * 3
    decided = card(conformal_quantiles=(0.0, 0.65, 0.85))
    assert decided.prediction_set(PROBABLE) == ["normal"]
    assert decided.decisions(PROBABLE, ()) == [True, False, False]
    assert decided.decisions(PROBABLE, ("distance",)) == [None] * 3


def test_a_film_that_is_not_confident_is_not_decided() -> None:
    shy = {"confidence_threshold": 0.7}
    assert card(**shy).decisions(PROBABLE, ()) == [None] * 3
    assert not card(conformal_quantiles=(0.0, 0.0, 0.0), **shy).is_decided(PROBABLE, ())


@settings(max_examples=50)
@given(
    logits=st.lists(st.floats(-9, 9), min_size=3, max_size=3),
    quantiles=st.lists(st.floats(0, 1), min_size=3, max_size=3),
)
def test_one_class_or_none_is_decided_for_and_it_is_the_most_probable(
    logits: list[float], quantiles: list[float]
) -> None:
    probabilities = softmax(np.array(logits, np.float32)).tolist()
    asked = card(conformal_quantiles=tuple(quantiles))
    most, possible = asked.most_probable_class(probabilities), asked.prediction_set(probabilities)
    assert possible is not None
    assert most in possible
    decisions = asked.decisions(probabilities, ())
    decided_for = [name for name, is_in in zip(CLASS_NAMES, decisions, strict=True) if is_in]
    assert decided_for == ([most] if possible == [most] else [])
    assert (None in decisions) == (len(possible) > 1)


@pytest.mark.parametrize("changes", [{}, MULTILABEL])
def test_quantiles_are_one_per_class_of_a_multi_class_model(changes: dict[str, str]) -> None:
    quantiles = (0.5, 0.5) if not changes else (0.5, 0.5, 0.5)
    with pytest.raises(ValidationError, match="conformal_quantiles must have one entry per class"):
        card(conformal_quantiles=quantiles, **changes)


def test_files_of_the_first_schema_are_read_with_the_new_fields_null(tmp_path: Path) -> None:
    read = Explainer(write_model(tmp_path, card_json=first_schema()), lazy=True).card
    assert (read.schema_version, read.lungs, read.lung_limits) == (1, None, None)
    assert (read.conformal_quantiles, read.prediction_set([0.3] * 3)) == (None, None)
    assert read.decisions([0.3, 0.4, 0.3], ()) == [False, True, False]
    assert card().schema_version == 2
