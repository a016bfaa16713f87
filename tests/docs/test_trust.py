"""docs/trust.md: its tables are what was measured, of the models in the box."""

import re

import pytest

from docs.scripts.write_trust import (
    DRAWINGS,
    FIGURES,
    NAMES,
    PAGE,
    TABLES,
    results,
    trust,
    with_tables,
)
from service.settings import OWN_MODELS
from xai.explainer import Explainer

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_tables_are_what_was_measured() -> None:
    assert with_tables(TEXT) == TEXT


def test_a_wrong_figure_on_the_page_is_put_right() -> None:
    page = "<!-- table: summary -->\n| 1.00 |\n<!-- end of table -->\n"
    assert "| 1.00 |" not in with_tables(page)


def test_every_table_stands_on_the_page() -> None:
    assert set(re.findall("<!-- table: (.*) -->", TEXT)) == set(TABLES)


def test_every_figure_is_shown_and_there() -> None:
    shown = set(re.findall(r"\]\(trust/(.*)\.png\)", TEXT))
    assert shown == set(DRAWINGS) == {file.stem for file in FIGURES.glob("*.png")}


@pytest.mark.parametrize("name", NAMES)
def test_what_was_measured_is_of_the_models_in_the_box(name: str) -> None:
    own = Explainer(OWN_MODELS / f"{name}.onnx", lazy=True).sha256
    kinds = ("localisation", "faithfulness")
    assert {results(f"{kind}_{name}")["sha256"] for kind in kinds} == {own}
    assert trust(name).films >= 50
    assert (trust(name).head.seeds, trust(name).split) == (10, "val")
