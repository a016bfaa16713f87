"""Measure recipes on origins left out of their training: `cxr leave-out`."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from models.card import Metric
from training.commands.train import add_start_arguments, with_arguments
from training.config import Config, read_config
from training.evaluation.leave_out import fast, left_out_scores, measures_added, seeds_of
from training.evaluation.leave_out_figures import SeedScores, recipe_differences, recipe_figures
from training.evaluation.leave_out_films import OriginFilms
from training.evaluation.leave_out_picture import draw_left_out
from training.evaluation.leave_out_result import LeaveOutRecipe, LeaveOutResult, RecipeDifference
from training.fitting.start import checked_films
from training.statistics.bootstrap import Estimate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr leave-out`."""
    add_start_arguments(parser)
    parser.add_argument(
        "--against",
        type=Path,
        nargs="+",
        default=(),
        help="other configs, with the same films and origins, to measure as they are and compare",
    )
    parser.add_argument(
        "--as-is",
        action="store_true",
        help="measure the recipe only whole, not its measures against shortcuts one by one",
    )
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each recipe and origin")
    parser.add_argument(
        "--fast",
        action="store_true",
        help="to choose by: 128 pixels, 8 epochs, only origins whose classes can be compared",
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("artifacts/left_out"), help="to work in, and go on in"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--picture", type=Path, help="PNG file to draw the figures to")


def run(arguments: argparse.Namespace) -> int:
    """Print figures within origins of each recipe, and differences between them; exit code 0."""
    if arguments.seeds < 1:
        raise ValueError(f"--seeds must be at least 1, not {arguments.seeds}")
    recipes = asked_recipes(arguments)
    data = next(iter(recipes.values()))
    films = OriginFilms.of(data.data, checked_films(data), compared=arguments.fast)
    scores: dict[str, SeedScores] = {}
    measured = []
    for name, recipe in recipes.items():
        scores[name], sets = left_out_scores(
            recipe, films, arguments.folder, seeds=arguments.seeds, device=arguments.device
        )
        seeds = seeds_of(recipe, arguments.seeds)
        measured.append(recipe_figures(name, recipe, seeds, scores[name], films, sets))
        _say(recipe_sentences(measured[-1]))
    differences = tuple(recipe_differences(scores, films))
    _say(difference_sentences(differences))
    result = LeaveOutResult(recipes=tuple(measured), differences=differences)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(result.model_dump_json(indent=2) + "\n")
    if arguments.picture:
        draw_left_out(result, arguments.picture)
    return 0


def asked_recipes(arguments: argparse.Namespace) -> Mapping[str, Config]:
    """Return the recipes to measure, by their names.

    Raises:
        ValueError: Two have the same name.
    """
    config = with_arguments(read_config(arguments.config), arguments)
    recipes = {_label(config): config}
    if not arguments.as_is:
        measures = measures_added(config).items()
        recipes = {f"{config.name}: {name}": recipe for name, recipe in measures}
    only_manifest = argparse.Namespace(
        manifest=arguments.manifest, weights=None, mean=None, std=None
    )
    for file in arguments.against:
        other = with_arguments(read_config(file), only_manifest)
        if _label(other) in recipes:
            raise ValueError(f"two configs are {_label(other)}: name or version must differ")
        recipes[_label(other)] = other
    return {name: fast(own) if arguments.fast else own for name, own in recipes.items()}


def _label(config: Config) -> str:
    return f"{config.name} {config.version}"


def recipe_sentences(recipe: LeaveOutRecipe) -> Iterator[str]:
    """Yield a recipe's figures as lines for a person."""
    yield f"{recipe.name}: on origins that the networks never saw, seeds {recipe.seeds}"
    for origin in recipe.within:
        if origin.reason:
            yield f"  within {origin.origin}: {origin.reason}"
        for pair in origin.pairs:
            names = f"  within {origin.origin}: {pair.positive} against {pair.negative}"
            yield f"{names}: {_interval(pair.auroc) if pair.auroc else pair.reason}"
        if origin.normal_auroc:
            yield f"  within {origin.origin}: {_named(origin.normal_auroc)}"
    for mean in recipe.means:
        seeds = ", ".join(f"{value:.3f}" for value in mean.by_seed)
        yield f"  mean of {', '.join(mean.origins)}: {_named(mean.auroc)}; by seed {seeds}"
    for found in recipe.sets:
        left = "".join(f", without {films} of {n}" for n, films in found.never_trained.items())
        yield f"  sets of {', '.join(found.origins)}, {found.films} films{left}"
        for metric in found.figures:
            yield f"    {_named(metric)}"
    constant = recipe.constant_macro_auroc.estimate
    yield f"  pooled {_named(recipe.macro_auroc)}; a constant for each origin: {constant:.3f}"


def difference_sentences(differences: Iterable[RecipeDifference]) -> Iterator[str]:
    """Yield the differences between recipes as lines for a person."""
    for found in differences:
        where = f"{found.first} less {found.second}, {', '.join(found.origins)}"
        yield f"{where}: {_named(found.difference)}"


def _named(metric: Metric) -> str:
    return f"{metric.name.replace('_', ' ')} {_interval(metric)}"


def _interval(metric: Metric) -> str:
    return str(Estimate(metric.estimate, metric.low, metric.high))


def _say(sentences: Iterable[str]) -> None:
    sys.stdout.writelines(f"{sentence}\n" for sentence in sentences)
    sys.stdout.flush()
