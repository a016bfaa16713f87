"""The tables on novelty are those of the results that the repository holds."""

import json

import pytest

from docs.scripts import write_novelty
from docs.scripts.write_novelty import END, PAGE, RESULTS, START, tables


def test_the_page_has_the_tables_of_the_results() -> None:
    written = PAGE.read_text().partition(START)[2].partition(END)[0].split("\n")
    results = [json.loads(file.read_text()) for file in sorted(RESULTS.glob("novelty*.json"))]
    assert results
    assert written == [line for result in results for line in tables(result)]


def test_a_result_with_distance_and_risk_has_a_cell_for_each_figure() -> None:
    figure = {"estimate": 0.5, "low": 0.4, "high": 0.6}
    told = {name: figure for name in ("auroc", "flagged", "flagged_at_home")}
    error = {"score": "novelty", "area": figure, "errors": [{"coverage": 1.0, "error": figure}]}
    right = {name: figure for name in ("right_known", "right_novel", "difference")}
    result = {
        "config": "cnn 1",
        "statistics": 29,
        "split": "test",
        "origins": [
            {"origin": "east", "films": 9, "split": "test", "novelty": told, "distance": told}
        ],
        "novelty_auroc": figure,
        "distance_auroc": figure,
        "at_home": [{"attribute": "label", "value": "normal", "films": 4, "flagged": figure}],
        "risk": {"recipe": "cnn 1", "seeds": 2, "films": 9, "known": 0.7, "by_score": [error]}
        | right,
    }
    lines = list(tables(result))
    cells = {line.count("|") for line in lines if line.startswith(("| left", "| east", "| **mean"))}
    assert cells == {9}
    assert "| label normal | 4 | 0.500 (0.400 to 0.600) |" in lines
    assert any("0.700 of them within the limit" in line for line in lines)


def test_the_page_is_rewritten_in_place(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{START}old\n{END}\nafter\n")
    monkeypatch.setattr(write_novelty, "PAGE", page)
    assert write_novelty.main() == 0
    text = page.read_text()
    assert text.startswith(f"before\n{START}")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text.partition(START)[2].partition(END)[0].split("\n")
