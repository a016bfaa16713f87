"""Tests of imports between the viewer's modules: folders only from folders below, no circle.

The import lines are read as text: no browser is started.
"""

import re
from graphlib import CycleError, TopologicalSorter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from service.app import VIEWER

ALLOWED = {
    "page": set(),
    "maps": {"page"},
    "answer": {"page", "maps"},
    "films": {"page", "answer"},
    "desk": {"page", "maps", "answer"},
    "keeping": {"page", "maps", "answer", "desk"},
}
"""The other folders whose modules those of a folder may import; main.js may import from all."""

IMPORT = re.compile(
    r"""^(?:import|export)\b([^"';]*)\bfrom "([^"]+)";|\bimport\("([^"]+)"\)""", re.M
)
EXPORT = re.compile(r"^export (?:async )?(?:function|const|class) (\w+)", re.M)

Graph = dict[Path, set[Path]]


def imports(module: Path) -> list[tuple[set[str], Path]]:
    """Return what a module imports: names (none of a whole module) and the file they are in."""
    found = []
    for names, static, dynamic in IMPORT.findall(module.read_text(encoding="utf-8")):
        wanted = {name.split(" as ")[0].strip() for name in names.strip(" {}\n").split(",")}
        target = (module.parent / (static or dynamic)).resolve()
        found.append((set() if "*" in names else wanted - {""}, target))
    return found


GRAPH: Graph = {
    module: {target for _, target in imports(module)} for module in VIEWER.resolve().rglob("*.js")
}


def upward(graph: Graph) -> list[str]:
    """Return the imports that no rule of `ALLOWED` allows, as "from -> to"."""
    return [
        f"{module.relative_to(VIEWER)} -> {target.relative_to(VIEWER)}"
        for module, targets in graph.items()
        if module.parent != VIEWER
        for target in targets
        if target.parent != module.parent and target.parent.name not in ALLOWED[module.parent.name]
    ]


def test_every_folder_has_its_place() -> None:
    assert {module.parent for module in GRAPH} - {VIEWER} == {VIEWER / name for name in ALLOWED}
    assert [module.name for module in GRAPH if module.parent == VIEWER] == ["main.js"]


def test_every_import_leads_to_a_file_that_exports_its_names() -> None:
    assert sum(map(len, GRAPH.values())) > 100
    for module in GRAPH:
        for names, target in imports(module):
            exported = set(EXPORT.findall(target.read_text(encoding="utf-8")))
            assert names - exported == set(), f"{module.name} from {target.name}"


def test_no_module_imports_from_a_folder_above_its_own() -> None:
    assert upward(GRAPH) == []


def test_no_circle_runs_through_the_modules() -> None:
    TopologicalSorter(GRAPH).prepare()


def test_an_import_that_leads_upwards_would_be_found() -> None:
    api, reading = VIEWER / "page" / "api.js", VIEWER / "desk" / "reading.js"
    planted = GRAPH | {api: GRAPH[api] | {reading}}
    assert upward(planted) == ["page/api.js -> desk/reading.js"]
    with pytest.raises(CycleError):
        TopologicalSorter(planted).prepare()


def test_every_module_is_reached_from_main() -> None:
    reached, coming = set[Path](), {VIEWER / "main.js"}
    while coming:
        reached |= coming
        coming = {target for module in coming for target in GRAPH[module]} - reached
    assert set(GRAPH) - reached == set()


def test_what_is_preloaded_is_imported_by_the_first_page() -> None:
    preloaded: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if ("rel", "modulepreload") in attrs:
                preloaded.append(str(dict(attrs)["href"]))

    Links().feed((VIEWER / "index.html").read_text(encoding="utf-8"))
    assert preloaded == ["page/strings.js", "page/formats.js"]
    assert all(VIEWER / path in GRAPH for path in preloaded)
