"""A report for readers: one HTML file that needs nothing else, made from the figures alone."""

from collections.abc import Iterable, Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined

from models.card import Metric
from training.evaluation.curves import Curves
from training.evaluation.figures import Figures
from training.evaluation.subgroups import SMALLEST
from training.report import plots
from training.report.checklist import checklist


def report_html(figures: Figures, curves: Curves) -> str:
    """Return the page."""
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
        pictures=pictures(curves),
    )


def pictures(curves: Curves) -> Mapping[str, str]:
    """Return every figure as a data URL."""
    lines = curves.curves
    return {
        "roc": plots.draw_by_class(lines, "roc", plots.RATES),
        "precision_recall": plots.draw_by_class(lines, "precision_recall", plots.RECALL),
        "reliability": plots.draw_reliability(lines),
        "net_benefit": plots.draw_net_benefit(lines),
        "risk_coverage": plots.draw_risk_coverage(lines),
    }


def metric(metrics: Iterable[Metric], name: str, class_name: str | None = None) -> Metric | None:
    """Return the figure of that name, or None where there is none."""
    return next((m for m in metrics if (m.name, m.class_name) == (name, class_name)), None)


def interval(found: Metric | None) -> str:
    """Return the estimate with its 95 % interval, or a dash."""
    return f"{found.estimate:.3f} ({found.low:.3f} to {found.high:.3f})" if found else "-"


def words(name: str) -> str:
    """Return a field's name as words."""
    return name.replace("_", " ")
