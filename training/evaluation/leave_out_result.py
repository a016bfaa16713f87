"""Write and read the file of `cxr leave-out`: figures on origins left out of the training."""

from pathlib import Path

from pydantic import ValidationError

from models.card import Metric, Record


class LeaveOutRecipe(Record):
    """Figures of a recipe, trained once without each origin; the scores of all films are pooled.

    Attributes:
        name: Of the recipe, in a few words.
        kept_classes: Those that stay trainable whichever origin is left out.
        dropped_classes: The others, each with the reason.
        aurocs: Of each kept class against the other kept ones.
        macro_auroc: Their mean.
        films_by_origin: How many films of each origin were scored.
    """

    name: str
    kept_classes: tuple[str, ...]
    dropped_classes: dict[str, str]
    aurocs: tuple[Metric, ...]
    macro_auroc: Metric
    films_by_origin: dict[str, int]


class LeaveOutResult(Record):
    """Figures of all recipes, plain fine-tuning first."""

    recipes: tuple[LeaveOutRecipe, ...]


def read_leave_out(path: Path) -> LeaveOutResult:
    """Return the recipes' figures.

    Raises:
        ValueError: The file is not one that `cxr leave-out` wrote.
        OSError: It can't be read.
    """
    try:
        return LeaveOutResult.model_validate_json(path.read_text())
    except ValidationError as error:
        raise ValueError(f"left-out file {path} is not valid: {error}") from error
