"""A report holds every figure with its interval, needs nothing else, and says what it can't say."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from docs.scripts.insert_results import tables
from tests.support.drawn_answers import evaluation, films
from tests.support.left_out import LEFT_OUT
from training.evaluation.curves import Curves, curves
from training.evaluation.evaluation import Evaluation
from training.evaluation.figures import Figures, figures
from training.evaluation.leave_out_result import joined, read_leave_out
from training.evaluation.operating_points import operating_points
from training.report import page as report
from training.report.page import report_html
from training.statistics.calibration import threshold_at_specificity

Page = Callable[[Figures], str]


def models(split: str) -> list[Evaluation]:
    chosen = films(90, split)  # type: ignore[arg-type]
    return [
        evaluation(chosen, name="tiny", skill=2),
        evaluation(chosen, name="tinier", skill=0.5, seed=1),
    ]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    manifest = tmp_path_factory.mktemp("films") / "manifest.csv"
    manifest.write_text("any")
    return figures(
        models("test"),
        models("val"),
        manifest=manifest,
        films=films(90) + films(90, "val") + films(90, "train"),
        baselines=False,
        left_out=LEFT_OUT,
    )


@pytest.fixture(scope="module")
def page(found: Figures) -> str:
    lines = (curve for model in models("test") for curve in curves(model))
    return report_html(found, Curves(curves=tuple(lines)))


@pytest.fixture
def page_without_curves(monkeypatch: pytest.MonkeyPatch) -> Page:
    """Make pages quickly, where their pictures don't matter."""
    names = ("roc", "precision_recall", "reliability", "net_benefit", "risk_coverage")
    monkeypatch.setattr(report, "pictures", lambda _: dict.fromkeys(names, "data:,"))
    return lambda found: report_html(found, Curves(curves=()))


class Tables(HTMLParser):
    """Counts what a reader who hears the page needs of a table or a picture."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    assert "<script" not in page
    assert "<link" not in page
    assert all(image["src"].startswith("data:image/svg+xml") for image in Tables(page).of("img"))
    assert not re.search(r"url\(|@import|https?://", page)


def test_tables_and_pictures_can_be_read_aloud(page: str) -> None:
    read = Tables(page)
    assert len(read.of("table")) == len(read.of("caption")) > 12
    assert {cell.get("scope") for cell in read.of("th")} == {"col", "row"}
    assert len(read.of("img")) == 5
    assert all(image["alt"] for image in read.of("img"))


def test_words_from_the_manifest_are_escaped(page: str) -> None:
    assert "<hospital>" not in page
    assert "&lt;hospital&gt;" in page
    assert "plain &lt;fine-tuning&gt;" in page


def test_links_within_the_page_lead_somewhere(page: str) -> None:
    read = Tables(page)
    anchors = {f"#{attributes['id']}" for _, attributes in read.tags if "id" in attributes}
    assert {link["href"] for link in read.of("a")} == anchors


def test_every_class_of_every_model_has_its_interval(page: str, found: Figures) -> None:
    for model in found.models:
        for metric in (*model.metrics, *model.decisions):
            assert f"{metric.estimate:.3f} ({metric.low:.3f} to {metric.high:.3f})" in page


def test_what_is_too_few_is_said_and_not_shown(page: str) -> None:
    assert re.search(r"<td>child</td><td>normal</td><td>1 / 0</td>", page)
    assert "too few" in page


def test_what_was_not_measured_is_said(
    page: str, found: Figures, page_without_curves: Page
) -> None:
    assert "one origin only" in page
    assert '<td class="text">effusion 9<br>' in page  # films that no set could cover
    without = page_without_curves(found.model_copy(update={"left_out": None}))
    assert "nothing in this report says how well the models do on films from elsewhere" in without
    assert "left out by --no-baselines" in without


def test_films_of_other_splits_are_not_called_internal(
    found: Figures, page_without_curves: Page
) -> None:
    model = found.models[0].model_copy(update={"is_trained_on_these_splits": True})
    at_home = page_without_curves(found.model_copy(update={"models": (model,)}))
    assert '<td>yes</td><td class="text">this report</td>' in at_home
    assert "was trained with other films" not in at_home
    elsewhere = page_without_curves(found)
    assert "these are not the models&#39; own films or splits" in elsewhere
    assert "Mind: tiny 1.2.3 was trained with other films" in elsewhere


def test_figures_on_val_are_called_what_they_are(
    page: str, found: Figures, page_without_curves: Page
) -> None:
    assert "These films are not the test split" not in page
    on_val = page_without_curves(found.model_copy(update={"split": "val"}))
    assert "These films are not the test split" in on_val


def test_figures_survive_the_way_through_json(found: Figures) -> None:
    assert Figures.model_validate_json(found.model_dump_json()) == found


def test_differences_are_paired_and_delong_stands_beside(found: Figures) -> None:
    first, second = (
        next(m.estimate for m in model.metrics if m.name == "macro_auroc") for model in found.models
    )
    over_all, *_ = found.comparisons
    assert over_all.difference.estimate == pytest.approx(first - second)
    of_class = [c for c in found.comparisons if c.delong]
    assert {c.difference.class_name for c in of_class} == {"normal", "pneumonia", "effusion"}
    assert all(c.delong.low <= c.difference.estimate <= c.delong.high for c in of_class)


def test_thresholds_are_vals_and_rates_the_films(found: Figures) -> None:
    asked, val = models("test")[0], models("val")[0]
    point = next(operating_points(asked, val))
    chosen = threshold_at_specificity(val.probabilities[:, 0], val.is_class[:, 0], 0.9)
    assert point.threshold == chosen.value
    called = asked.probabilities[:, 0] >= point.threshold
    assert point.sensitivity.estimate == called[asked.is_class[:, 0]].mean()
    assert point.sensitivity.split == "test"
    assert point == found.models[0].operating_points[0]


def test_the_surest_errors_come_first(found: Figures) -> None:
    failures = found.models[1].failures
    assert [f.probability for f in failures] == sorted(f.probability for f in failures)[::-1]
    assert all(f.true_class != f.predicted_class for f in failures)


def test_models_of_one_name_and_version_are_refused(tmp_path: Path) -> None:
    twice = [models("test")[0]] * 2
    with pytest.raises(ValueError, match="differ in name or version"):
        figures(twice, [None, None], manifest=tmp_path, films=films(90))


def test_readmes_tables_hold_all_models_and_left_out_origins(found: Figures) -> None:
    kind = {"kind": "drawings", "silent": 0.5, "low": 0.25, "high": 0.75}
    outcomes = [{"outcome": outcome} for outcome in ("answered", "refused", "undecided")]
    refused = {"model": "tiny", "version": "1", "kinds": [kind], "images": outcomes}
    written = "\n".join(tables(found.model_dump(mode="json"), [refused]))
    assert "| **tiny 1.2.3** |" in written
    assert "| tinier 1.2.3 |" in written
    assert "| AUROC | films | plain <fine-tuning> |" in written
    assert "| clinic: pneumonia against normal | 9 / 30 | 0.630 (0.100 to 0.900) |" in written
    assert "| clinic: effusion against normal | 9 / 30 | none: few |" in written
    assert "| web: none, one class | 60 |" in written
    assert "| **mean of clinic, hospital: pairs of classes** |  | 0.650" in written
    assert "| pairs of classes | clinic, hospital | 0.660, 0.640 |" in written
    assert (
        "| plain <fine-tuning> less other, pairs of classes | clinic, hospital | -0.050" in written
    )
    assert "| macro AUROC | 0.715 (0.100 to 0.900) | 0.615 (0.100 to 0.900) |" in written
    assert "Not in the pooled figures: effusion, one origin only." in written
    assert "clinic: pneumonia against normal | 15 / 30 |" in written
    assert "| drawings | 50% (25% to 75%) |" in written
    assert "to be refused | 2 of 3 |" in written


def test_left_out_origins_stand_beside_what_a_constant_gets(page: str) -> None:
    assert "pair auroc</td>" in page
    assert "0.650 (0.100 to 0.900)</td><td>0.660 0.640 </td>" in page
    assert "-0.050 (0.100 to 0.900)" in page
    assert "0.610 (0.100 to 0.900) (0.710)" in page
    assert '<td class="text">few</td>' in page
    assert '<td class="text" colspan="4">one class</td>' in page


def test_several_left_out_files_are_shown_as_one() -> None:
    both = joined([LEFT_OUT, LEFT_OUT])
    assert both is not None
    assert both.recipes == LEFT_OUT.recipes * 2
    assert both.differences == LEFT_OUT.differences * 2
    assert joined([]) is None


def test_a_left_out_file_is_read_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "left_out.json"
    file.write_text(LEFT_OUT.model_dump_json())
    assert read_leave_out(file) == LEFT_OUT
    older = LEFT_OUT.recipes[0].model_dump(exclude={"within", "means"})
    for text in ("{}", json.dumps({"recipes": [older]})):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"left_out\.json is not valid, or older"):
            read_leave_out(file)
