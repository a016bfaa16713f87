"""Check a page with axe-core by the rules of WCAG 2.0 to 2.2, levels A and AA.

Playwright evaluates axe's source through the debugger, which the page's content security policy
does not govern: nothing has to be switched off for it.
"""

from collections.abc import Iterator
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
LONGEST_SNIPPET = 160


def violations(page: Page) -> list[str]:
    """Return one line per element that breaks a rule, in the page's present state."""
    found = Axe().run(page, options={"runOnly": TAGS, "resultTypes": ["violations"]})
    return [line for rule in found.response["violations"] for line in _lines(rule)]


def _lines(rule: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong, with which element, and what axe measured (a contrast, a size)."""
    for node in rule["nodes"]:
        reasons = "; ".join(check["message"] for check in node["any"] + node["all"] + node["none"])
        yield f"{rule['id']} ({rule['impact']}): {node['html'][:LONGEST_SNIPPET]} -- {reasons}"
