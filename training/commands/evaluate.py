"""Evaluate exported models on the films of one split: `cxr evaluate`."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from models.card import Metric
from training.config import read_config
from training.data.manifest import read_manifest
from training.data.split import check_split
from training.evaluation.evaluation import evaluated_models
from training.evaluation.figures import Figures, ModelFigures, figures
from training.evaluation.leave_out_result import joined, read_leave_out
from training.report.page import write_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr evaluate`."""
    parser.add_argument("models", type=Path, nargs="+", help="ONNX files, or ensemble.json")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument(
        "--report",
        type=Path,
        help="folder for evaluation.json and, of classes, report.html and curves.json",
    )
    parser.add_argument(
        "--left-out", type=Path, nargs="+", default=(), help="JSON of `cxr leave-out`, to be shown"
    )
    parser.add_argument(
        "--origins",
        type=Path,
        metavar="CONFIG",
        help="training config that says which sources are one origin, for figures by origin",
    )
    parser.add_argument(
        "--no-baselines", action="store_true", help="leave out the baselines of classes"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the figures of one split; exit code 0."""
    films = read_manifest(arguments.manifest)
    check_split(films)
    left_out = joined(read_leave_out(file) for file in arguments.left_out)
    asked, vals = evaluated_models(arguments.models, films, arguments.split)
    found = figures(
        asked,
        vals,
        manifest=arguments.manifest,
        films=films,
        baselines=not arguments.no_baselines,
        left_out=left_out,
        data=read_config(arguments.origins).data if arguments.origins else None,
    )
    _write("\n".join(sentences(found)))
    if arguments.report:
        files = write_report(arguments.report, found, asked)
        _write(f"\nwritten: {', '.join(map(str, files))}")
    return 0


def sentences(found: Figures) -> Iterator[str]:
    """Yield the main figures as lines for a person; the report has the others."""
    yield f"{found.split}: {found.films} films in {found.groups} groups"
    yield "95 % intervals bootstrapped by group_id (1,000 resamples)"
    for model in found.models:
        yield from _model_sentences(model, found.class_names)
    for baseline, metrics in found.baselines.items():
        yield f"\nbaseline: {baseline}"
        yield from _lines(metrics)
    yield from _contrast_sentences(found)
    for comparison in found.comparisons:
        difference = f"{comparison.first} - {comparison.second}, {_label(comparison.difference)}"
        yield _line(difference, comparison.difference)
    yield f"\n{found.note}"


def _model_sentences(model: ModelFigures, class_names: Sequence[str]) -> Iterator[str]:
    yield f"\n{model.label}"
    if not model.is_trained_on_these_splits:
        yield "Mind: these are not the films, or not the splits, of the model's training."
    yield from _lines(model.metrics)
    if model.calibration_error_by_chance is not None:
        yield f"{'calibration error by chance alone':48} {model.calibration_error_by_chance:.3f}"
    yield f"{'refused (lungs, distance, novelty)':48} {model.refused_share:.3f}"
    yield f"{'not refused, but undecided':48} {model.unsure_share:.3f}"
    yield from _lines(model.decisions)
    for source, matrix in model.confusion_by_source.items():
        yield f"\nconfusion, {source} (row: true class; column: largest probability)"
        for name, row in zip(class_names, matrix, strict=True):
            yield f"{name:18}" + "".join(f"{count:6}" for count in row)


def _contrast_sentences(found: Figures) -> Iterator[str]:
    for contrast in found.contrasts:
        pair = f"{contrast.positive} against {contrast.negative}"
        yield f"\nwithin {contrast.source}: auroc of {pair}"
        for model, metric in contrast.auroc.items():
            yield _line(model, metric)
        if contrast.view_alone:
            yield _line("view alone", contrast.view_alone)


def _lines(metrics: Iterable[Metric]) -> Iterator[str]:
    return (_line(_label(metric), metric) for metric in metrics)


def _label(metric: Metric) -> str:
    return metric.name.replace("_", " ") + (f", {metric.class_name}" if metric.class_name else "")


def _line(label: str, metric: Metric) -> str:
    return f"{label:48} {metric.estimate:.3f} ({metric.low:.3f} to {metric.high:.3f})"


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
