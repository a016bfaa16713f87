"""Every relative link of every Markdown page leads to a file, and to a heading that it has."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("benchmarks", "deploy", "docs", "models", "service", "training", "xai")
PAGES = sorted([*ROOT.glob("*.md"), *(p for name in FOLDERS for p in (ROOT / name).rglob("*.md"))])


def prose(page: Path) -> str:
    """Return a page without its code."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def links() -> set[tuple[str, str]]:
    """Return page and target of every relative link and picture."""
    return {
        (str(page.relative_to(ROOT)), target)
        for page in PAGES
        for target in re.findall(r"\]\(([^()\s]+)\)", prose(page))
        if not re.match(r"[a-z]+:", target)
    }


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("page", "link"), sorted(links()))
def test_every_link_leads_somewhere(page: str, link: str) -> None:
    path, _, section = link.partition("#")
    target = (ROOT / page).parent / path if path else ROOT / page
    assert target.exists()
    assert not section or section in anchors(target)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_of_a_page_is_overlooked(page: Path) -> None:
    read = re.findall(r"\]\([^()\s]+\)", prose(page))
    assert len(read) == prose(page).count("](")
    assert not re.search(r"(href|src)=", prose(page))
