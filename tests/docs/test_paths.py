"""The pages: every test that one of them names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TEST = re.compile(r"\b[\w/]*(?:tests/|test_)[\w/]*\.py")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    assert [name for name in TEST.findall(page.read_text()) if not (ROOT / name).is_file()] == []


def test_the_pages_name_tests() -> None:
    assert any(TEST.search(page.read_text()) for page in PAGES)
