"""The folders: few files side by side in each, and every verb where one would look for it."""

import ast
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import cxr

ROOT = Path(__file__).parents[1]
PACKAGES = ("models", "xai", "training", "service")
MOST_FILES = 13
MOST_LINES = 40
KINDS = (".py", ".js")


def test_no_folder_holds_more_files_of_a_kind_than_one_takes_in_at_a_look() -> None:
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*"))
    held = Counter(
        (file.parent.relative_to(ROOT), file.suffix)
        for file in files
        if file.suffix in KINDS and file.name != "__init__.py" and file.parent.name != "commands"
    )
    assert len(held) > len(PACKAGES)
    assert {folder: number for folder, number in held.items() if number > MOST_FILES} == {}


def test_every_verb_is_a_module_of_its_name_under_commands() -> None:
    assert {verb: cxr.module_of(verb) for verb in cxr.VERBS} == {
        verb: f"{package}.commands.{verb.replace('-', '_')}"
        for verb, (package, _) in cxr.VERBS.items()
    }
    assert [verb for verb in cxr.VERBS if find_spec(cxr.module_of(verb)) is None] == []


def test_every_module_under_commands_is_a_verb_or_what_verbs_share() -> None:
    verbs = {cxr.module_of(verb) for verb in cxr.VERBS}
    modules = {
        f"{package}.commands.{file.stem}"
        for package in ("service", "training")
        for file in (ROOT / package / "commands").glob("*.py")
        if file.stem != "__init__"
    }
    assert modules - verbs == {"service.commands.model_argument"}


def test_no_module_imports_what_another_keeps_to_itself() -> None:
    private = [
        f"{file.relative_to(ROOT)}: {name.name}"
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES
        for name in node.names
        if name.name.startswith("_")
    ]
    assert private == []


def test_no_function_is_longer_than_a_screen() -> None:
    functions = [
        (node.end_lineno - node.lineno + 1, f"{file.relative_to(ROOT)}:{node.name}")
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    ]
    assert len(functions) > 1000
    assert [(lines, name) for lines, name in functions if lines > MOST_LINES] == []
