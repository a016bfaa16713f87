"""Write an evaluation as JSON and as one self-contained HTML page."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from models.card import Metric
from training.evaluation.curves import Curves, curves
from training.evaluation.evaluation import Evaluation
from training.evaluation.figures import Figures
from training.evaluation.subgroups import SMALLEST
from training.report import plots
from training.report.checklist import checklist


def write_report(folder: Path, found: Figures, evaluations: Sequence[Evaluation]) -> list[Path]:
    """Write the figures as JSON and, of classes, the curves' points and the page that shows both.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"evaluation.json": found.model_dump_json(indent=2) + "\n"}
    if not any(evaluation.is_multilabel for evaluation in evaluations):
        points = Curves(curves=tuple(curve for each in evaluations for curve in curves(each)))
        texts["curves.json"] = points.model_dump_json() + "\n"
        texts["report.html"] = report_html(found, points)
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [folder / name for name in texts]


def report_html(figures: Figures, points: Curves) -> str:
    """Return the page, made from the figures and the curves' points alone."""
    environment = Environment(
        loader=PackageLoader("training.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"interval": interval, "words": words}
    environment.globals |= {"metric": metric}
    page = environment.get_template("report.html.jinja")
    return page.render(
        figures=figures,
        smallest=SMALLEST,
        checklist=list(checklist(figures)),
        pictures=pictures(points),
    )


def pictures(points: Curves) -> Mapping[str, str]:
    """Return every picture of the page as a data URL, by its name in the template."""
    lines = points.curves
    return {
        "roc": plots.draw_by_class(lines, "roc", plots.RATES),
        "precision_recall": plots.draw_by_class(lines, "precision_recall", plots.RECALL),
        "reliability": plots.draw_reliability(lines),
        "net_benefit": plots.draw_net_benefit(lines),
        "risk_coverage": plots.draw_risk_coverage(lines),
    }


def metric(metrics: Iterable[Metric], name: str, class_name: str | None = None) -> Metric | None:
    """Return the metric of that name, or None if there is none."""
    return next((m for m in metrics if (m.name, m.class_name) == (name, class_name)), None)


def interval(found: Metric | None) -> str:
    """Return the estimate with its 95 % interval, or a dash."""
    return f"{found.estimate:.3f} ({found.low:.3f} to {found.high:.3f})" if found else "-"


def words(name: str) -> str:
    """Return a field's name with spaces instead of underscores."""
    return name.replace("_", " ")
