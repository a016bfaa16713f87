"""docs/evaluation.md on the lung field: its table is what was measured of the weights we ship."""

import hashlib
import json

from docs.scripts.write_lung_field import ALONE, MEASURED, PAGE, with_alone, with_table
from models.checkpoint import LUNG_FIELD, WEIGHTS

FIGURES = json.loads(MEASURED.read_text())
TOLD = json.loads(ALONE.read_text())


def test_the_table_is_what_was_measured() -> None:
    assert with_table(PAGE.read_text(), FIGURES) == PAGE.read_text()


def test_the_table_of_what_outlines_tell_is_what_was_measured() -> None:
    assert with_alone(PAGE.read_text(), TOLD) == PAGE.read_text()


def test_a_wrong_figure_on_the_page_is_put_right() -> None:
    page = "a\n<!-- lung field -->\n| 1.00 |\n<!-- end of lung field -->\nb\n"
    written = with_table(page, FIGURES)
    assert "| 1.00 |" not in written
    assert written.startswith("a\n")
    assert written.endswith("\nb\n")


def test_the_figures_are_of_the_weights_in_the_package_on_test() -> None:
    weights = (LUNG_FIELD / WEIGHTS).read_bytes()
    own = hashlib.sha256(weights).hexdigest()
    assert {FIGURES["weights_sha256"], TOLD["weights_sha256"]} == {own}
    assert FIGURES["split"] == "test"


def test_the_outlines_of_people_are_met_better_than_by_knowing_where_lungs_are() -> None:
    of_people = FIGURES["figures"][0]
    assert (of_people["source"], of_people["mask_by"]) == (None, "human")
    assert of_people["dice"]["estimate"] >= 0.95
    assert of_people["tenth"]["estimate"] >= 0.9
    assert of_people["baseline"]["high"] < of_people["dice"]["low"]
