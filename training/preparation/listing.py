"""Records of the films that a collection lists, as the readers in `layouts` return them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from training.data.manifest import Split

FINDING_PREFIX = "finding:"
ADULT_FROM_YEARS = 18
OLDEST_YEARS = 120
SEXES = {"M": "M", "MALE": "M", "F": "F", "FEMALE": "F"}
YEARS_PER_UNIT = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


@dataclass(frozen=True)
class ListedFilm:
    """One film as its collection lists it.

    Attributes:
        path: The film's file; may be absent.
        targets: The manifest's target columns: `label`, or one `finding:<Name>` per finding with
            "1", "0" or "" (unknown).
        patient_id: The film's patient.
        source: Where the film comes from.
        split: The publisher's; None if `cxr prepare` may choose it.
        group_id: Films that must stay together; empty for those of the patient.
        sha256: Expected hash of the file; empty if unknown.
        details: Further columns of the manifest, as they are written.
    """

    path: Path
    targets: Mapping[str, str]
    patient_id: str
    source: str
    split: Split | None = None
    group_id: str = ""
    sha256: str = ""
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def positives(self) -> tuple[str, ...]:
        """The film's label, or its positive findings."""
        if "label" in self.targets:
            return (self.targets["label"],)
        return tuple(
            column.removeprefix(FINDING_PREFIX)
            for column, value in self.targets.items()
            if value == "1"
        )


@dataclass(frozen=True)
class Listing:
    """All films of a collection.

    Attributes:
        films: In the collection's order.
        skipped: Number of films that are listed but not taken, by reason.
        notes: Sentences for users of these films.
    """

    films: tuple[ListedFilm, ...]
    skipped: Counter[str] = field(default_factory=Counter)
    notes: tuple[str, ...] = ()


def finding_columns(findings: Mapping[str, str]) -> dict[str, str]:
    """Return the target columns of a film that may have several findings."""
    return {f"{FINDING_PREFIX}{name}": value for name, value in findings.items()}


def person(sex: str, age: str, where: str) -> dict[str, str]:
    """Return a patient's columns `sex`, `age_years` and `age_group`; "" where unknown.

    Args:
        sex: M, F, Male or Female; anything else is unknown.
        age: Years ("58"), or as DICOM writes it ("058Y", "006M"). Above 120 years is unknown:
            ChestX-ray14 as first published holds a few such slips.
        where: Place of the row, for the error.

    Raises:
        ValueError: `age` is neither.
    """
    years = _years(age.strip().upper(), where)
    return {
        "sex": SEXES.get(sex.strip().upper(), ""),
        "age_years": "" if years is None else f"{years:.3g}",
        "age_group": "" if years is None else "adult" if years >= ADULT_FROM_YEARS else "child",
    }


def _years(age: str, where: str) -> float | None:
    if not age:
        return None
    number, unit = (age[:-1], age[-1]) if age[-1] in YEARS_PER_UNIT else (age, "Y")
    try:
        years = float(number) * YEARS_PER_UNIT[unit]
    except ValueError:
        raise ValueError(f"{where}: age must be years or as in DICOM, not {age!r}") from None
    return years if 0 <= years <= OLDEST_YEARS else None


def view_of(position: str) -> str:
    """Return AP or PA, or "" for anything else."""
    position = position.strip().upper()
    return position if position in ("AP", "PA") else ""


def names(paths: Iterable[Path], most: int = 5) -> str:
    """Return the paths of the first files, and how many more there are."""
    paths = list(paths)
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(str(path) for path in paths[:most]) + more
