"""docs/evaluation.md: its tables are what `cxr leave-out` and the benchmark of a marker wrote."""

from pydantic import TypeAdapter

from benchmarks.corner_marker import Learnt, table
from docs.scripts.insert_results import PAGE, RESULTS, left_out, left_out_tables, with_results
from tests.support.left_out import LEFT_OUT

TEXT = PAGE.read_text()


def test_the_tables_are_what_the_command_wrote() -> None:
    assert with_results(TEXT, left_out_tables(left_out())) == TEXT


def test_a_result_takes_the_place_of_what_stood_there() -> None:
    page = with_results(TEXT, left_out_tables([LEFT_OUT.model_dump(mode="json")]))
    assert "No recipe has been measured" not in page
    assert "128 by 128 pixels, 8 epochs, 2 seeds." in page
    assert "| clinic: pneumonia against normal | 9 / 30 | 0.630 (0.100 to 0.900) |" in page
    assert page.startswith(TEXT.partition("<!-- results -->")[0])


def test_the_table_on_a_planted_marker_is_what_was_measured() -> None:
    measured = (RESULTS / "corner_marker.json").read_bytes()
    learnt = TypeAdapter(tuple[Learnt, ...]).validate_json(measured)
    assert "\n".join(table(learnt)) in TEXT
