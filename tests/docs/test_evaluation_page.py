"""docs/evaluation.md: its tables are what commands and benchmarks wrote."""

from pydantic import TypeAdapter

from benchmarks.ablation import Ablation, MapFigures
from benchmarks.corner_marker import Learnt, table
from docs.scripts.insert_results import (
    PAGE,
    RESULTS,
    ablation_tables,
    left_out_tables,
    page_tables,
    with_results,
)
from tests.support.left_out import LEFT_OUT
from training.evaluation.leave_out_result import LeaveOutResult
from xai.measures.trust import Figure

TEXT = PAGE.read_text()


def test_the_tables_are_what_the_commands_wrote() -> None:
    assert with_results(TEXT, page_tables()) == TEXT


def test_a_result_takes_the_place_of_what_stood_there() -> None:
    page = with_results(TEXT, left_out_tables([LEFT_OUT.model_dump(mode="json")]))
    assert "No recipe has been measured" not in page
    assert "128 by 128 pixels, 8 epochs, 2 seeds." in page
    assert "| clinic: pneumonia against normal | 9 / 30 | 0.630 (0.100 to 0.900) |" in page
    assert page.startswith(TEXT.partition("<!-- results -->")[0])


def test_each_part_of_an_ablation_is_a_row_with_its_difference_from_the_first() -> None:
    tenth = Figure(estimate=0.1, low=0.0, high=0.2)
    maps = MapFigures(
        row="as shipped",
        inside=None,
        hit_rate=tenth,
        energy=None,
        deletion=tenth,
        deletion_random=tenth,
        random_head=tenth,
        unrelated=tenth,
        milliseconds=6.94,
    )
    (shipped,), (found,) = LEFT_OUT.recipes, LEFT_OUT.differences
    left_out = LeaveOutResult(
        recipes=(shipped, shipped.model_copy(update={"name": "+ blank"})),
        differences=(found.model_copy(update={"first": "+ blank", "second": shipped.name}),),
    )
    ablation = Ablation(network="chest_cnn", films=40, left_out=left_out, maps=(maps,))
    lines = list(ablation_tables(ablation.model_dump(mode="json")))
    mean = "0.650 (0.100 to 0.900)"
    assert f"| {shipped.name} | {mean} | - |" in lines
    assert f"| + blank | {mean} | -0.050 (0.100 to 0.900) |" in lines
    assert lines[-1].startswith("| as shipped | - | 0.100 (0.000 to 0.200) | - | ")
    assert lines[-1].endswith("| 6.9 |")


def test_the_table_on_a_planted_marker_is_what_was_measured() -> None:
    measured = (RESULTS / "corner_marker.json").read_bytes()
    learnt = TypeAdapter(tuple[Learnt, ...]).validate_json(measured)
    assert "\n".join(table(learnt)) in TEXT
