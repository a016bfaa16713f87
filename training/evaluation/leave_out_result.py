"""Write and read the file of `cxr leave-out`: figures on origins left out of the training."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from models.card import Grid, Metric, Record


class OriginPair(Record):
    """One class against another within an origin, by networks that never saw the origin.

    Attributes:
        positive: The class that should get the higher share of the two probabilities.
        negative: The other.
        films: Of each, in this order.
        auroc: Mean over seeds; None where there is none.
        reason: Why there is none; else empty.
    """

    positive: str
    negative: str
    films: tuple[int, int]
    auroc: Metric | None
    reason: str = ""


class WithinOrigin(Record):
    """Figures within one origin, by networks that never saw it.

    Attributes:
        origin: Its name.
        films: By class.
        pairs: Of its classes.
        pair_auroc: Mean over the pairs that have an AUROC; None where none has.
        normal_auroc: The normal class's probability, among all classes that the networks know,
            against films of all other classes, known or not; None where there is none.
        reason: Why both are missing; else empty.
    """

    origin: str
    films: dict[str, int]
    pairs: tuple[OriginPair, ...]
    pair_auroc: Metric | None
    normal_auroc: Metric | None
    reason: str = ""


class OriginMean(Record):
    """A figure within each of some origins, averaged over them and over seeds.

    Attributes:
        origins: Averaged over; each counts alike.
        auroc: `pair_auroc` or `normal_auroc`. Its interval is of other films, not of other seeds.
        by_seed: The mean for each seed.
    """

    origins: tuple[str, ...]
    auroc: Metric
    by_seed: tuple[float, ...]


class LeftOutSets(Record):
    """Prediction sets of films of origins that the networks never saw.

    Quantiles are chosen on the films of val that are not the origin's. No film is refused here: it
    is decided when one class is left in its set.

    Attributes:
        origins: One, or all that are left out; each film counts alike.
        films: Measured.
        never_trained: Films of classes that no network without the origin knows, by class: their
            class can be in no set, and they are not measured.
        figures: `set_coverage`, `mean_set_size`, `decided_share`, `right_if_decided`,
            `right_if_undecided` and the difference of both; means over seeds. One that is not
            defined for every seed is absent.
    """

    origins: tuple[str, ...]
    films: int
    never_trained: dict[str, int]
    figures: tuple[Metric, ...]


class RecipeDifference(Record):
    """Difference of a figure within origins between two recipes: same films, same resamples.

    Attributes:
        first: Name of a recipe.
        second: Name of another.
        origins: Averaged over.
        difference: First minus second, of `pair_auroc` or `normal_auroc`.
        by_seed: The difference for each seed.
    """

    first: str
    second: str
    origins: tuple[str, ...]
    difference: Metric
    by_seed: tuple[float, ...]


class LeaveOutRecipe(Record):
    """Figures of a recipe, trained once without each origin; means over seeds.

    Pooled figures rank films of different origins with scores of different networks, so that they
    also tell how well the networks guess an origin's classes. What a constant reaches stands beside
    each of them: every film of an origin gets the class frequencies of the other origins' films, as
    the training weighs them.

    Attributes:
        name: Of the recipe, in a few words.
        kept_classes: Those that stay trainable whichever origin is left out.
        dropped_classes: The others, each with the reason.
        aurocs: Of each kept class against the other kept ones, pooled over origins; probabilities
            are renormalised to the kept classes.
        macro_auroc: Their mean.
        films_by_origin: How many films of each origin were scored for the pooled figures.
        constant_aurocs: What a constant for each origin gets instead of `aurocs`.
        constant_macro_auroc: What it gets instead of `macro_auroc`.
        within: Figures within each origin.
        means: Their means over origins, also without origins in which the machine tells the class.
        sets: Of prediction sets, of each origin and of all; empty in files from before there were.
        seeds: Of the trainings.
        epochs: Of each training.
        image_size: Rows and columns of the network's input.
    """

    name: str
    kept_classes: tuple[str, ...]
    dropped_classes: dict[str, str]
    aurocs: tuple[Metric, ...]
    macro_auroc: Metric
    films_by_origin: dict[str, int]
    constant_aurocs: tuple[Metric, ...]
    constant_macro_auroc: Metric
    within: tuple[WithinOrigin, ...]
    means: tuple[OriginMean, ...]
    sets: tuple[LeftOutSets, ...] = ()
    seeds: tuple[int, ...]
    epochs: int
    image_size: Grid


class LeaveOutResult(Record):
    """Figures of all recipes, plain fine-tuning first, and differences between all pairs of them.

    Attributes:
        recipes: In the order they were asked for.
        differences: Of the figures within origins.
    """

    recipes: tuple[LeaveOutRecipe, ...]
    differences: tuple[RecipeDifference, ...] = ()


def read_leave_out(path: Path) -> LeaveOutResult:
    """Return the recipes' figures.

    Raises:
        ValueError: The file is not one that `cxr leave-out` wrote, or is from before it measured
            within origins.
        OSError: It can't be read.
    """
    try:
        return LeaveOutResult.model_validate_json(path.read_text())
    except ValidationError as error:
        raise ValueError(
            f"left-out file {path} is not valid, or older than the figures within origins: {error}"
        ) from error


def joined(results: Iterable[LeaveOutResult]) -> LeaveOutResult | None:
    """Return several results as one; None where there is none."""
    results = tuple(results)
    if not results:
        return None
    return LeaveOutResult(
        recipes=tuple(recipe for result in results for recipe in result.recipes),
        differences=tuple(found for result in results for found in result.differences),
    )
