"""Tests of the evaluation's page in a browser without a network."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.drawn_answers import evaluation, films
from training.evaluation.curves import Curves, curves
from training.evaluation.figures import figures
from training.report.page import report_html

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    (folder / "manifest.csv").write_text("any")
    asked = evaluation(films(60))
    found = figures(
        [asked], [None], manifest=folder / "manifest.csv", films=films(60), baselines=False
    )
    file = folder / "report.html"
    file.write_text(report_html(found, Curves(curves=tuple(curves(asked)))))
    return file


def test_the_report_opens_offline_and_its_pictures_show(page: Path, browser: Browser) -> None:
    opened = browser.new_context(offline=True).new_page()
    faults: list[str] = []
    opened.on("console", lambda message: faults.append(message.text))
    opened.goto(page.as_uri())
    widths = opened.eval_on_selector_all("img", "images => images.map(i => i.naturalWidth)")
    opened.context.close()
    assert len(widths) == 5
    assert min(widths) > 100
    assert faults == []


def test_wide_tables_scroll_and_the_page_does_not(page: Path, browser: Browser) -> None:
    opened = browser.new_page(viewport={"width": 600, "height": 800})
    opened.goto(page.as_uri())
    width = opened.evaluate("document.documentElement.scrollWidth")
    opened.close()
    assert width <= 600
