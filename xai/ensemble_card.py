"""Card of an ensemble: its members, and what was chosen on val films for all of them together."""

from typing import Literal

from pydantic import Field

from models.card import (
    ClassGroup,
    DecisionThreshold,
    Histogram,
    Metric,
    ModelCard,
    PositiveFloat,
    Probability,
    Record,
    Sha256,
)

ENSEMBLE = "ensemble"
"""Its name in requests and answers; no model may bear it."""


class Member(Record):
    """A model of an ensemble: that very file, or the ensemble was not measured."""

    name: str
    version: str
    sha256: Sha256


class EnsembleCard(Record):
    """Card of an ensemble: its members, and what a model's card says of them together.

    Attributes:
        schema_version: Version of this record's own shape.
        version: Version of the ensemble.
        members: Its models.
        temperature: Divides the mean of the members' logits, which their own have divided.
        decision_thresholds: One per class, in class order.
        groups: Groups of classes that all members have; their scales stand for nothing.
        conformal_quantiles: One per class: below 1 minus it a class is excluded.
        score_histograms: Calibrated probabilities of val films, one histogram per class.
        metrics: Figures with intervals.
    """

    schema_version: Literal[1] = 1
    version: str
    members: tuple[Member, ...] = Field(min_length=2)
    temperature: PositiveFloat
    decision_thresholds: tuple[DecisionThreshold, ...]
    groups: tuple[ClassGroup, ...] = ()
    conformal_quantiles: tuple[Probability, ...]
    score_histograms: tuple[Histogram, ...]
    metrics: tuple[Metric, ...] = ()

    def model_card(self, base: ModelCard) -> ModelCard:
        """Return a card by which the ensemble decides as a model does.

        Args:
            base: A member's; what the ensemble has none of (golden answer, layers) stays its.

        Raises:
            ValueError: The classes are others than the ensemble's.
        """
        own = self.model_dump(exclude={"schema_version", "members"})
        # The distance is a share of each member's own limit; the rest is judged by each member.
        limits: dict[str, float | None] = {"distance_threshold": 1.0, "evidence_scale": 1.0}
        limits |= dict.fromkeys(("lung_limits", "novelty_threshold", "confidence_threshold"))
        return ModelCard.model_validate(base.model_dump() | own | limits | {"name": ENSEMBLE})
