"""Measure whether the novelty tells films of origins that training never saw: `cxr novelty`."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from models.card import Metric
from training.commands.train import add_start_arguments, with_arguments
from training.config import Config, read_config
from training.evaluation.leave_out import left_out_scores
from training.evaluation.leave_out_films import OriginFilms
from training.fitting.start import checked_films
from training.novelty.left_out import MeasuredFilms, asked_films, left_out_novelty, measured_films
from training.novelty.result import LeftOutRisk, NoveltyResult, ToldApart
from training.novelty.risk import draw_risk, left_out_risk
from training.statistics.bootstrap import Estimate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr novelty`."""
    add_start_arguments(parser)
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        help="trained network, such as `best` in a run folder: its distance is measured as well, "
        "and the novelty of its own input",
    )
    parser.add_argument(
        "--scores",
        type=Path,
        metavar="FOLDER",
        help="that of `cxr leave-out` with this recipe: ask which of its answers are right (what "
        "it lacks is trained)",
    )
    parser.add_argument("--seeds", type=int, default=2, help="trainings in that folder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--picture", type=Path, help="PNG file to draw errors by coverage to")


def run(arguments: argparse.Namespace) -> int:
    """Print figures by origin left out; exit code 0."""
    if arguments.picture and not arguments.scores:
        raise ValueError("--picture must come with --scores: it shows what answers are right")
    config = with_arguments(read_config(arguments.config), arguments)
    films = asked_films(config, arguments.split)
    measured = measured_films(config, films, arguments.checkpoint)
    result = left_out_novelty(config, measured, arguments.split)
    if arguments.scores:
        risk = _risk(config, measured, arguments)
        result = result.model_copy(update={"risk": risk})
        if arguments.picture:
            draw_risk(risk, arguments.picture)
    sys.stdout.writelines(f"{line}\n" for line in sentences(result))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(result.model_dump_json(indent=2) + "\n")
    return 0


def _risk(config: Config, measured: MeasuredFilms, arguments: argparse.Namespace) -> LeftOutRisk:
    films = OriginFilms.of(config.data, checked_films(config))
    asked = {"seeds": arguments.seeds, "device": arguments.device}
    said = left_out_scores(config, films, arguments.scores, **asked)
    return left_out_risk(config, said.scores, films, measured)


def sentences(result: NoveltyResult) -> Iterator[str]:
    """Yield the figures as lines for a person."""
    yield f"{result.config}, {result.split}, {result.statistics} statistics of each film"
    yield "95 % intervals bootstrapped by group_id (1,000 resamples)\n"
    for one in result.origins:
        yield f"without {one.origin}: {one.films} of its films ({one.split}), {one.home} at home"
        yield f"  novelty: {_told(one.novelty)}"
        if one.distance:
            yield f"  distance: {_told(one.distance)}"
    yield f"mean over origins: novelty AUROC {_interval(result.novelty_auroc)}"
    if result.distance_auroc:
        yield f"mean over origins: distance AUROC {_interval(result.distance_auroc)}"
    for kind in result.at_home:
        beyond = f"beyond the limit {_interval(kind.flagged)} of {kind.films}"
        yield f"all origins known, {kind.attribute} {kind.value}: {beyond}"
    if result.risk:
        yield from _risk_sentences(result.risk)


def _told(found: ToldApart) -> str:
    flagged, home = (_interval(one) for one in (found.flagged, found.flagged_at_home))
    return f"AUROC {_interval(found.auroc)}, beyond the limit {flagged}, at home {home}"


def _risk_sentences(risk: LeftOutRisk) -> Iterator[str]:
    yield f"\n{risk.recipe}, {risk.seeds} seeds, {risk.films} films of origins never seen:"
    yield f"  right within the limit of novelty ({risk.known:.3f}): {_interval(risk.right_known)}"
    yield f"  beyond it: {_interval(risk.right_novel)}; difference {_interval(risk.difference)}"
    for one in risk.by_score:
        errors = ", ".join(f"{at.coverage:.0%} {at.error.estimate:.3f}" for at in one.errors)
        yield f"  refused by {one.score}: area {_interval(one.area)}; error at {errors}"


def _interval(metric: Metric) -> str:
    return str(Estimate(metric.estimate, metric.low, metric.high))
