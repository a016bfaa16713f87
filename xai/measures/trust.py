"""Trust record of a model: measured properties of its maps, in `<model>.trust.json` beside it.

A record belongs to the one ONNX file whose SHA-256 it holds.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from models.card import ModelName, Record, Sha256

ALLOWED_ABOVE_FLOOR = 0.1
"""Largest rank correlation with the map of a randomised network, above that of unrelated films."""


class Figure(Record):
    """Mean over films with its 95 % interval, bootstrapped by patient."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} ({self.low:.3f} to {self.high:.3f})"


class Likeness(Record):
    """Mean similarity of two maps of a film.

    Of a model that looks only inside the lungs, over positions inside them.

    Attributes:
        what: Difference between the two: the layers randomised, or the change of the film.
        rank_correlation: Spearman's of signed evidence; absolute for randomised networks.
        similarity: SSIM of the maps, each scaled to [0, 1].
        films: Number of films.
        seeds: Number of random weights, or of random noises.
    """

    what: str
    rank_correlation: Figure
    similarity: Figure
    films: int
    seeds: int


class Companion(Record):
    """Agreement of this model's maps with another's, for the class that this one predicts.

    Attributes:
        name: Name of the other model.
        version: Its version.
        sha256: Hash of its file.
        rank_correlation: Spearman's, over the region that both maps cover, and inside the lungs of
            a model that looks only there.
        top_tenth_overlap: Share of the hottest tenth that is also the other's; 0.1 is chance.
    """

    name: ModelName
    version: str
    sha256: Sha256
    rank_correlation: Figure
    top_tenth_overlap: Figure


class Trust(Record):
    """Trust record: sanity checks, stability and agreement of a model's maps.

    Attributes:
        schema_version: Version of this record's own shape.
        name: Name of the model.
        version: Its version.
        sha256: Hash of the file it was measured on.
        code_revision: Revision of this repository that measured.
        packages: Versions of the packages that computed it.
        manifest_sha256: Hash of the manifest of the films.
        split: Split of the films; never test.
        films: Number of films.
        groups: Number of patients (or groups that stay together).
        floor: Similarity of the maps of two unrelated films.
        head: With the head alone randomised.
        last_block: With the last block alone randomised.
        cascade: With all layers from the head down to each one randomised.
        independent: With each layer or block alone randomised.
        noise: Film compared with the same film with slight noise.
        shift: Film compared with the same film shifted by a pixel.
        companions: Agreement with other models on the same films.
    """

    schema_version: Literal[1] = 1
    name: ModelName
    version: str
    sha256: Sha256
    code_revision: str
    packages: dict[str, str]
    manifest_sha256: Sha256
    split: Literal["val"] = "val"
    films: int = Field(gt=0)
    groups: int = Field(gt=0)
    floor: Likeness
    head: Likeness
    last_block: Likeness
    cascade: tuple[Likeness, ...] = ()
    independent: tuple[Likeness, ...] = ()
    noise: Likeness
    shift: Likeness
    companions: tuple[Companion, ...] = ()

    def verdict(self) -> Iterator[str]:
        """Yield sentences that explain the figures to a person."""
        for randomised in (self.head, self.last_block):
            yield randomisation_verdict(randomised, self.floor)
        for changed, words in ((self.noise, "slight noise"), (self.shift, "a shift by one pixel")):
            kept = changed.rank_correlation
            steadiness = "barely changes" if kept.estimate >= 0.9 else "CHANGES"
            yield f"{words[0].upper()}{words[1:]} {steadiness} the map: rank correlation {kept}."
        for other in self.companions:
            yield (
                f"{other.name} explains the same films with maps whose rank correlation with these "
                f"is {other.rank_correlation}; {other.top_tenth_overlap} of the hottest tenth "
                "are shared (0.10 is chance)."
            )


def survives(randomised: Likeness, floor: Likeness) -> bool:
    """Return whether the map changes too little when these layers are randomised."""
    allowed = floor.rank_correlation.estimate + ALLOWED_ABOVE_FLOOR
    return randomised.rank_correlation.estimate > allowed


def randomisation_verdict(randomised: Likeness, floor: Likeness) -> str:
    """Return a sentence: does the map depend on the layers that were randomised?"""
    figures = (
        f"rank correlation {randomised.rank_correlation} with the map of the trained network; "
        f"two unrelated films have {floor.rank_correlation}"
    )
    if survives(randomised, floor):
        return (
            f"The map SURVIVES a random {randomised.what}: {figures}. What it shows is owed to the "
            "film more than to what the network has learnt there."
        )
    return f"The map depends on the {randomised.what}: with it random, {figures}."


def trust_file(model: Path) -> Path:
    """Return the path of a model's trust record."""
    return model.with_suffix(".trust.json")


def read_trust(model: Path, sha256: str) -> Trust | None:
    """Read a model's trust record; None if there is none, or it belongs to another file.

    Args:
        model: The ONNX file.
        sha256: Its hash.

    Raises:
        ValueError: The record is not valid.
    """
    file = trust_file(model)
    if not file.is_file():
        return None
    try:
        trust = Trust.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{file.name} is not valid: {error}") from error
    return trust if trust.sha256 == sha256 else None
