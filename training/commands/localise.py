"""Measure how well maps fall on marked findings and lungs: `cxr localise`."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from training.data.manifest import of_split, read_manifest
from training.maps.annotations import LAYOUTS, read_annotations
from training.maps.localisation import LEAST_INSIDE, LocalisationReport, localisation_report
from training.maps.localisation_picture import draw_films
from training.maps.localised import MODEL, Marked, chosen_films, localised, marked_films
from training.maps.mean_maps import MeanMaps, mean_maps, read_mean_maps
from xai.explainer import Explainer
from xai.measures.localisation import THRESHOLDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr localise`."""
    parser.add_argument("model", type=Path, help="ONNX file that `cxr export` wrote")
    parser.add_argument("--data", type=Path, required=True, help="table, JSON or folder of marks")
    parser.add_argument("--layout", choices=LAYOUTS, default="localisation")
    parser.add_argument("--images", type=Path, help="the films' folder; not for `localisation`")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument(
        "--threshold",
        type=float,
        choices=THRESHOLDS,
        help="of the tuned IoU, if it was tuned before; default: on the validation films of --data",
    )
    parser.add_argument("--mean-maps", type=Path, help="JSON of an earlier run, with --manifest")
    parser.add_argument("--manifest", type=Path, help="its training films give the mean maps")
    parser.add_argument(
        "--mean-films", type=int, default=100, help="most of each class behind a mean map"
    )
    parser.add_argument("--films", type=int, help="most of each kind, evenly spread; default all")
    parser.add_argument("--report", type=Path, help="folder for localisation.json, mean_maps.json")
    parser.add_argument(
        "--pictures", type=int, default=0, help="how many best and worst films to draw in --report"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the figures with intervals; exit code 0, whatever they are."""
    for name in ("mean_films", "films"):
        if getattr(arguments, name) is not None and getattr(arguments, name) < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1")
    explainer = Explainer(arguments.model)
    mean = _mean_maps(explainer, arguments)
    films, without_class = _marked(explainer, arguments)
    found = list(localised(explainer, films, mean))
    made = localisation_report(
        explainer,
        found,
        layout=arguments.layout,
        split=arguments.split,
        threshold=arguments.threshold,
        mean=mean,
        notes=list(_notes(arguments, mean, without_class)),
    )
    sys.stdout.write("\n".join(sentences(made)) + "\n")
    if arguments.report:
        _write(arguments, made, mean)
        if arguments.pictures:
            draw_films(explainer, found, arguments.pictures, arguments.report)
    return 0


def _mean_maps(explainer: Explainer, arguments: argparse.Namespace) -> MeanMaps | None:
    if arguments.mean_maps:
        return read_mean_maps(arguments.mean_maps, explainer)
    if arguments.manifest:
        films = of_split(read_manifest(arguments.manifest), "train")
        return mean_maps(explainer, films, most=arguments.mean_films)
    return None


def _marked(explainer: Explainer, arguments: argparse.Namespace) -> tuple[list[Marked], list[str]]:
    """Return the films to measure, and marked findings for which the model has no class."""
    annotations = read_annotations(
        arguments.layout, arguments.data, images=arguments.images, split=arguments.split
    )
    marked, without_class = marked_films(annotations, explainer.card.class_names)
    films = chosen_films(marked, arguments.split, arguments.films)
    if not films:
        raise ValueError(f"nothing in {arguments.data} was marked for a class of the model")
    return films, without_class


def _notes(
    arguments: argparse.Namespace, mean: MeanMaps | None, without_class: list[str]
) -> Iterator[str]:
    for finding in without_class:
        yield f"marked as {finding}: the model has no such class"
    if mean is None:
        yield "no mean map: give --manifest or --mean-maps"
    if arguments.split == "val" and arguments.threshold is None:
        yield "the tuned IoU is no result: its threshold was tuned on these very films"


def sentences(made: LocalisationReport) -> Iterator[str]:
    """Yield the report as lines for a person."""
    yield f"{made.model} {made.version}, {made.data}, {made.split}"
    yield "95 % intervals bootstrapped by patient (1,000 resamples)\n"
    if made.marks:
        yield from _mark_lines(made)
    if made.lungs:
        yield from _lung_lines(made)
    yield from made.notes


def _mark_lines(made: LocalisationReport) -> Iterator[str]:
    heads = ("class", "map", "hit rate", "mean IoU (Otsu)", "mean IoU (tuned)", "energy / area")
    yield "{:14} {:15} {:24} {:24} {:31} {}".format(*heads)
    for row in made.marks:
        tuned = f"{row.iou_tuned} at {row.threshold}" if row.iou_tuned else "-"
        figures = f"{row.hit_rate!s:24} {row.iou_otsu!s:24} {tuned:31} {row.energy_ratio or '-'}"
        yield f"{row.class_name:14} {row.map:15} {figures}"
    counts = {row.class_name: row.films for row in made.marks}
    yield "; ".join(f"{name}: {films} films" for name, films in counts.items()) + "\n"


def _lung_lines(made: LocalisationReport) -> Iterator[str]:
    yield "share of the positive evidence for the films' class inside their lungs, forced"
    for row in made.lungs:
        beside = "" if row.map == MODEL else f"  model's share less this one: {row.more_than_map}"
        yield f"{row.class_name:14} {row.map:15} {row.inside!s:24}{beside}"
    for row in (row for row in made.lungs if row.map == MODEL):
        is_met = row.inside.estimate >= LEAST_INSIDE
        yield (
            f"{row.class_name}, {row.films} films of this class alone: at least {LEAST_INSIDE:.2f} "
            f"is {'met' if is_met else 'not met'}"
        )
    yield ""


def _write(arguments: argparse.Namespace, made: LocalisationReport, mean: MeanMaps | None) -> None:
    folder = arguments.report
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "localisation.json").write_text(made.model_dump_json(indent=2) + "\n")
    if mean:
        (folder / "mean_maps.json").write_text(mean.model_dump_json() + "\n")
