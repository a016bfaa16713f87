"""docs/backpropagation.md: it says what its snippets print, and what it claims is so."""

import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from docs.scripts.write_backpropagation import CELL, DRAWINGS, FIGURES, PAGE, Written, run
from models.backprop.activation import relu_backward

pytestmark = pytest.mark.slow

TEXT = PAGE.read_text(encoding="utf-8")
LINKS = re.findall(r"\]\((?!http)([^)]+)\)", TEXT)
MAX_FIGURE_BYTES = 120_000


@pytest.fixture(scope="module")
def written() -> Written:
    return run(TEXT)


def headings() -> list[str]:
    """Return the page's headings of the second level."""
    prose = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    return re.findall(r"^## (.*)$", prose, re.MULTILINE)


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_running_the_page_changes_nothing(written: Written) -> None:
    assert written.page == TEXT


def test_a_wrong_number_on_the_page_is_put_right() -> None:
    page = "```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n\nText.\n"
    assert run(page).page == page.replace("3", "2")


def test_a_wrong_derivative_shows_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(grad_out: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        return 1.01 * relu_backward(grad_out, out)

    monkeypatch.setattr("models.backprop.activation.relu_backward", wrong)
    assert "autograd: False" in run(TEXT[: TEXT.index("## A deeper one")]).page


def test_a_table_is_written_as_a_table() -> None:
    page = run('```python\nprint("| a |")\n```\n').page
    assert page.endswith("```\n\n<!-- printed -->\n| a |\n<!-- end of printed -->\n")
    assert run(page).page == page


def test_an_error_names_its_line_on_the_page() -> None:
    with pytest.raises(ZeroDivisionError) as error:
        run("# Title\n\n```python\nx = 1\nx / 0\n```\n")
    assert error.traceback[-1].lineno + 1 == 5


def test_a_page_gives_back_the_settings_it_changed() -> None:
    before = torch.get_default_dtype(), torch.get_num_threads(), torch.get_rng_state().tolist()
    change = "torch.set_default_dtype(torch.float64); torch.set_num_threads(1); torch.rand(1)"
    run(f"```python\nimport torch; {change}\n```\n")
    after = torch.get_default_dtype(), torch.get_num_threads(), torch.get_rng_state().tolist()
    assert after == before


def test_every_comparison_on_the_page_came_out_true() -> None:
    outputs = [cell[0][cell.end("code") - cell.start() :] for cell in CELL.finditer(TEXT)]
    assert sum("True" in output for output in outputs) >= 10
    assert not any("False" in output for output in outputs)


def test_the_contents_name_every_section_but_the_sources_in_order() -> None:
    contents = TEXT[TEXT.index("Contents: ") :].split("\n\n")[0]
    assert re.findall(r"\]\(#([^)]+)\)", contents) == [anchor(h) for h in headings()[:-1]]
    assert headings()[-1] == "Sources"


def test_every_figure_is_shown_and_small() -> None:
    shown = {Path(link).stem for link in LINKS if link.endswith(".png")}
    assert shown == set(DRAWINGS) == {file.stem for file in FIGURES.iterdir()}
    assert all(file.stat().st_size <= MAX_FIGURE_BYTES for file in FIGURES.iterdir())


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_figure_is_drawn_from_what_the_page_computed(name: str, written: Written) -> None:
    figure = DRAWINGS[name](written.names)
    assert all(axes.has_data() for axes in figure.axes)


def test_the_textbook_network_has_as_many_parameters_as_pytorch_counts(written: Written) -> None:
    widths = (784, 256, 128, 10)
    layers = [torch.nn.Linear(i, o, device="meta") for i, o in pairwise(widths)]
    counted = sum(p.numel() for layer in layers for p in layer.parameters())
    assert sum(written.names["parameters"](*widths)) == counted == 235_146


def test_the_slope_of_gelu_is_steepest_at_the_square_root_of_two(written: Written) -> None:
    def slope(x: float) -> float:
        density = math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        return (1 + math.erf(x / math.sqrt(2))) / 2 + x * density

    lowest, highest = written.names["gelu_slope"].aminmax()
    assert lowest.item() == pytest.approx(slope(-math.sqrt(2)), abs=1e-6)
    assert highest.item() == pytest.approx(slope(math.sqrt(2)), abs=1e-6)


def test_the_way_back_costs_about_two_forward_passes(written: Written) -> None:
    assert all(1.9 < ratio < 2.1 for ratio in written.names["ratios"].values())


def test_twenty_sigmoids_vanish_and_each_remedy_helps(written: Written) -> None:
    first_to_last = {name: s[0] / s[-1] for name, s in written.names["error_sizes"].items()}
    assert first_to_last.pop("sigmoid, Xavier") < 0.25**20
    assert 1e-6 < first_to_last.pop("sigmoid, weights 4 x Xavier") < 1e-2
    assert len(first_to_last) == 3
    assert all(0.1 < ratio < 10 for ratio in first_to_last.values())


def test_wider_networks_fit_better(written: Written) -> None:
    fits, values = written.names["fits"], written.names["values_to_fit"]
    narrow, middle, wide = ((fit - values).square().mean().item() for fit in fits.values())
    assert narrow > middle > wide
