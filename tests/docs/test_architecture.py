"""docs/architecture.md: its trees are the folders, in the order of the import rules."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text()
PACKAGES = ("models", "xai", "training", "service")
TREES = {
    package: re.search(rf"^## {package}\n.*?^```\n(.*?)^```", TEXT, re.M | re.S)[1]  # type: ignore[index]
    for package in PACKAGES
}
CHANGES = TEXT.partition("## Where do I change")[2]


def named(tree: str) -> list[str]:
    """Return the files and folders that a tree names, from top to bottom."""
    heads = (re.split(r" {3,}", line)[0] for line in tree.splitlines())
    return [name.rstrip("/").removesuffix(".py") for head in heads for name in head.split()]


def layers(package: str) -> list[set[str]]:
    """Return the layers of a package's import contract, highest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    [found] = [one for one in contracts["contracts"] if one.get("containers") == [package]]
    return [{name.strip() for name in layer.split("|")} for layer in found["layers"]]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tree_names_all_that_is_in_the_package(package: str) -> None:
    folder = ROOT / package
    there = {file.stem for file in folder.glob("*.py")} | {
        child.name for child in folder.iterdir() if child.is_dir() and any(child.glob("*.*"))
    }
    unnamed = {"__init__", "__main__", "__pycache__", "configs"}
    assert there - unnamed == set(named(TREES[package])) - unnamed


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tree_stands_in_the_order_of_the_import_rules(package: str) -> None:
    level = {name: number for number, layer in enumerate(layers(package)) for name in layer}
    levels = [level[name] for name in named(TREES[package]) if name in level]
    assert levels == sorted(levels)


@pytest.mark.parametrize("package", ["training", "service"])
def test_every_file_in_a_drawing_exists(package: str) -> None:
    [drawing] = re.findall(rf"^## {package}\n.*?^```mermaid\n(.*?)^```", TEXT, re.M | re.S)
    files = re.findall(r"\b(\w+/\w+\.py)", drawing)
    assert len(files) > 1
    assert [
        file for file in files if not any(ROOT.glob(f"*/{file}")) and not (ROOT / file).exists()
    ] == []


def test_every_place_to_change_exists() -> None:
    places = re.findall(r"`((?:models|xai|training|service|tests)/[\w./]*)`", CHANGES)
    made_anew = [place for place in places if not re.search(r"NAME|FILE", place)]
    assert len(made_anew) > 10
    assert [place for place in made_anew if not (ROOT / place).exists()] == []
