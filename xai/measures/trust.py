"""What was measured of a model's maps: `<model>.trust.json`, which lies beside the file.

It belongs to the one file whose SHA-256 it holds, and to no other.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from models.card import ModelName, Record, Sha256

ALLOWED_ABOVE_FLOOR = 0.1
"""How much more alike a map and that of a randomised network may be than those of two films."""


class Figure(Record):
    """A mean over films with its 95 % interval, bootstrapped by patient."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} ({self.low:.3f} to {self.high:.3f})"


class Likeness(Record):
    """How alike two maps of a film are, on average.

    Attributes:
        what: What lies between the two: the part drawn anew, or what was done to the film.
        rank_correlation: Spearman's of signed evidence; of randomised networks its absolute value.
        similarity: SSIM of the maps, each brought to [0, 1].
        films: Number of films.
        seeds: How often weights, or noise, were drawn.
    """

    what: str
    rank_correlation: Figure
    similarity: Figure
    films: int
    seeds: int


class Companion(Record):
    """How alike this model's maps are to another's, for the class that this one predicts.

    Attributes:
        name: The other model's.
        version: Likewise.
        sha256: Of the other file.
        rank_correlation: Spearman's, over the region that both cover.
        top_tenth_overlap: Share of the hottest tenth that is also the other's; 0.1 is chance.
    """

    name: ModelName
    version: str
    sha256: Sha256
    rank_correlation: Figure
    top_tenth_overlap: Figure


class Trust(Record):
    """How far a model's maps may be trusted, as far as that was measured.

    Attributes:
        schema_version: Version of this record's own shape.
        name: The model's.
        version: Likewise.
        sha256: Of the file it was measured on.
        code_revision: Revision of this repository that measured.
        packages: Versions of what computed it.
        manifest_sha256: Of the manifest whose films were looked at.
        split: Never test.
        films: How many.
        groups: How many patients (or groups that stay together) they are of.
        floor: How alike the maps of two unrelated films are.
        head: With the head alone drawn anew.
        last_block: With the last block alone drawn anew.
        cascade: With all parts from the head down to each one drawn anew.
        independent: With each part alone drawn anew.
        noise: Film against the same film with slight noise.
        shift: Film against the same film moved by a pixel.
        companions: Other models on the same films.
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
        """Yield what the figures mean, in sentences for a person."""
        for part in (self.head, self.last_block):
            yield randomisation_verdict(part, self.floor)
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


def survives(part: Likeness, floor: Likeness) -> bool:
    """Return whether the map is too little changed when this part of the network is random."""
    allowed = floor.rank_correlation.estimate + ALLOWED_ABOVE_FLOOR
    return part.rank_correlation.estimate > allowed


def randomisation_verdict(part: Likeness, floor: Likeness) -> str:
    """Return in words whether the map depends on this part of the network."""
    figures = (
        f"rank correlation {part.rank_correlation} with the map of the trained network; "
        f"two unrelated films have {floor.rank_correlation}"
    )
    if survives(part, floor):
        return (
            f"The map SURVIVES a random {part.what}: {figures}. What it shows is owed to the film "
            "more than to what the network has learnt there."
        )
    return f"The map depends on the {part.what}: with it random, {figures}."


def trust_file(model: Path) -> Path:
    """Return where the figures of a model lie."""
    return model.with_suffix(".trust.json")


def read_trust(model: Path, sha256: str) -> Trust | None:
    """Return what was measured of a model, or None where nothing was, or of another file.

    Args:
        model: The ONNX file.
        sha256: Its hash.

    Raises:
        ValueError: The file beside it can't be understood.
    """
    file = trust_file(model)
    if not file.is_file():
        return None
    try:
        trust = Trust.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{file.name} is not valid: {error}") from error
    return trust if trust.sha256 == sha256 else None
