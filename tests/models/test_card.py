"""The card is frozen, complete and strict."""

import pytest
from pydantic import ValidationError

from models.card import Histogram, NetworkSpec

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
