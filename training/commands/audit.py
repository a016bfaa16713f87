"""Look for shortcuts that an exported model has learnt: `cxr audit`."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from training.audit.audit import Audit, AuditReport, audited
from training.audit.picture import draw_audit
from training.audit.rows import Verdict
from training.data.lung_regions import read_lung_masks
from training.data.manifest import of_split, read_manifest
from training.data.split import check_split


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cxr audit`."""
    parser.add_argument("model", type=Path, help="ONNX file that `cxr export` wrote")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument(
        "--lungs",
        type=Path,
        help="folder with images.csv and lung_masks/; masks of --split only are read; without it "
        "the lungs are two ellipses",
    )
    parser.add_argument("--report", type=Path, help="folder for audit.json and audit.png")


def run(arguments: argparse.Namespace) -> int:
    """Print a verdict per row; exit code 0, whatever the verdicts are."""
    films = read_manifest(arguments.manifest)
    check_split(films)
    masks = (
        read_lung_masks(arguments.lungs, arguments.manifest, split=arguments.split)
        if arguments.lungs
        else {}
    )
    found = audited(arguments.model, of_split(films, arguments.split), masks)
    _say("\n".join(sentences(found.report)))
    if arguments.report:
        write_report(arguments.report, found)
        _say(f"\nwritten: {arguments.report}/audit.json, audit.png")
    return 0


def sentences(report: AuditReport) -> Iterator[str]:
    """Yield the report as lines for a person: verdict, figure, question; then rule and note."""
    yield f"{report.model} {report.version}, {report.split}: {report.films} films"
    yield "95 % intervals bootstrapped by group_id (1,000 resamples)\n"
    for row in report.rows:
        figure = (
            "-" if row.figure is None else f"{row.figure:.3f} ({row.low:.3f} to {row.high:.3f})"
        )
        yield f"{row.verdict:12} {figure:25} {row.question}"
        yield f"{'':38} {row.rule}"
        if row.note:
            yield f"{'':38} {row.note}"
    yield f"\n{report.verdict}: {_counted(report)}\n{report.note}"


def _counted(report: AuditReport) -> str:
    verdicts: tuple[Verdict, ...] = ("passes", "fails", "cannot tell")
    counts = {verdict: sum(row.verdict == verdict for row in report.rows) for verdict in verdicts}
    return ", ".join(f"{verdict} {count}" for verdict, count in counts.items())


def write_report(folder: Path, found: Audit) -> None:
    """Write the report as JSON, and mean maps and edges as a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "audit.json").write_text(found.report.model_dump_json(indent=2) + "\n")
    draw_audit(
        found.seen,
        found.answers,
        found.changes,
        found.card,
        folder / "audit.png",
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
