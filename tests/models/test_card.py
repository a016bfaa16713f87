"""The card is frozen, complete and strict."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from models.card import Histogram, LungLimits, ModelCard, NetworkSpec
from service.settings import OWN_MODELS
from tests.support.tiny_model import card
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


def test_a_refused_film_gets_no_decision() -> None:
    assert card().decisions([0.9, 0.1, 0.0], ()) == [True, True, False]
    assert card().decisions([0.9, 0.1, 0.0], ("lungs",)) == [None] * 3


@pytest.mark.parametrize("model", sorted(OWN_MODELS.glob("*.onnx")), ids=lambda path: path.stem)
def test_files_of_the_first_schema_are_read_with_the_new_fields_null(model: Path) -> None:
    read = Explainer(model, lazy=True).card
    assert (read.schema_version, read.lungs, read.lung_limits) == (1, None, None)
    assert card().schema_version == 2
