"""`cxr evaluate`: an exported model on the films of one split, beside trivial baselines."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from models.card import Metric
from training.baselines import baseline_probabilities
from training.evaluation import Evaluation, discrimination, evaluated
from training.manifest import Film, of_split, read_manifest
from training.plots import draw_confusion
from training.split import check_split, split_sha256
from xai.explainer import Explainer

WARNING = (
    "Research use only. Films of the sources that the model was trained on; class and source may "
    "be confounded, so that these figures say little about films from elsewhere."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr evaluate`."""
    parser.add_argument("model", type=Path, help="ONNX file that `cxr export` wrote")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument("--report", type=Path, help="folder for evaluation.json and confusion.png")
    parser.add_argument(
        "--no-baselines", action="store_true", help="leave out the baselines of classes"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the figures of one split; exit code 0."""
    films = read_manifest(arguments.manifest)
    check_split(films)
    explainer = Explainer(arguments.model)
    if split_sha256(films) != explainer.card.training_data.split_sha256:
        _write("Mind: these are not the films, or not the splits, of the model's training.\n")
    evaluation = evaluated(explainer, of_split(films, arguments.split))
    _write("\n".join(sentences(evaluation)))
    without = arguments.no_baselines or evaluation.is_multilabel
    baselines = {} if without else baseline_figures(films, evaluation)
    _write("\n".join(baseline_sentences(baselines)))
    _write(f"\n{WARNING}")
    if arguments.report:
        write_report(arguments.report, evaluation, baselines, model_sha256=explainer.sha256)
        _write(f"\nwritten: {arguments.report}")
    return 0


def baseline_figures(
    films: Sequence[Film], evaluation: Evaluation
) -> dict[str, tuple[Metric, ...]]:
    """Return the discrimination of each trivial baseline, fitted on the train split."""
    names = evaluation.card.class_names
    answers = baseline_probabilities(of_split(films, "train"), evaluation.films, names)
    return {
        baseline: discrimination(probabilities, evaluation.films, names)
        for baseline, probabilities in answers.items()
    }


def sentences(evaluation: Evaluation) -> Iterator[str]:
    """Yield the model's figures and confusion matrices as lines for a person."""
    card = evaluation.card
    yield f"{card.name} {card.version}, {evaluation.films[0].split}: {len(evaluation.films)} films"
    yield "95 % intervals bootstrapped by group_id (1,000 resamples)\n"
    yield from (_line(_label(metric), metric) for metric in evaluation.metrics)
    by_chance = evaluation.calibration_error_by_chance
    if by_chance is not None:
        yield f"{'calibration error by chance alone':40} {by_chance:.3f}"
    yield f"{'refused as unlike the training films':40} {evaluation.refused_share:.3f}"
    for source, matrix in evaluation.confusion_by_source().items():
        yield f"\nconfusion, {source} (row: true class; column: largest probability)"
        for name, row in zip(card.class_names, matrix, strict=True):
            yield f"{name:18}" + "".join(f"{count:6}" for count in row)


def baseline_sentences(baselines: dict[str, tuple[Metric, ...]]) -> Iterator[str]:
    """Yield the baselines' figures as lines for a person."""
    for baseline, metrics in baselines.items():
        yield f"\nbaseline: {baseline}"
        yield from (_line(_label(metric), metric) for metric in metrics)


def _label(metric: Metric) -> str:
    return metric.name.replace("_", " ") + (f", {metric.class_name}" if metric.class_name else "")


def _line(label: str, metric: Metric) -> str:
    return f"{label:40} {metric.estimate:.3f} ({metric.low:.3f} to {metric.high:.3f})"


def write_report(
    folder: Path,
    evaluation: Evaluation,
    baselines: dict[str, tuple[Metric, ...]],
    *,
    model_sha256: str,
) -> None:
    """Write the figures as JSON, and the confusion matrices, if there are any, as a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {
        "model": {
            "name": evaluation.card.name,
            "version": evaluation.card.version,
            "sha256": model_sha256,
        },
        "split": evaluation.films[0].split,
        "films": len(evaluation.films),
        "metrics": [metric.model_dump() for metric in evaluation.metrics],
        "calibration_error_by_chance": evaluation.calibration_error_by_chance,
        "refused_share": evaluation.refused_share,
        "baselines": {
            baseline: [metric.model_dump() for metric in metrics]
            for baseline, metrics in baselines.items()
        },
        "class_names": evaluation.card.class_names,
        "confusion_by_source": evaluation.confusion_by_source(),
        "note": WARNING,
    }
    (folder / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n")
    matrices = evaluation.confusion_by_source()
    if matrices:
        draw_confusion(matrices, evaluation.card.class_names, folder / "confusion.png")


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
