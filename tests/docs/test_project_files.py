"""CONTRIBUTING, CHANGELOG, SECURITY, CITATION and the licences agree with the rest."""

import hashlib
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from models.card import ModelCard
from service.settings import OWN_MODELS
from xai.explainer import Explainer

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TERMS = OWN_MODELS / "TERMS.md"
PAGES = [ROOT / f"{name}.md" for name in ("CONTRIBUTING", "CHANGELOG", "SECURITY")]
APACHE = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""SHA-256 of the text of the Apache License 2.0 as the Apache Software Foundation publishes it."""


def cards() -> list[ModelCard]:
    return [Explainer(file, lazy=True).card for file in sorted(OWN_MODELS.glob("*.onnx"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!http)([^)#]+)", page.read_text())
    assert all((ROOT / target).exists() for target in targets)


def test_the_version_is_one() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == PROJECT["version"]
    heads = re.findall(r"^## \[([\d.]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heads[0] == PROJECT["version"]


def test_contributing_fits_on_a_screen() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) <= 40


def test_the_licence_of_the_code_is_whole() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE
    assert PROJECT["license"] == "Apache-2.0"
    assert all((ROOT / file).is_file() for file in PROJECT["license-files"])


def test_the_terms_speak_of_every_model_in_the_box_and_of_all_its_films() -> None:
    terms = TERMS.read_text()
    films = [int(count.replace(",", "")) for count in re.findall(r"^\| ([\d,]+) \|", terms, re.M)]
    for card in cards():
        assert f"`{card.name}.onnx`" in terms
        assert f"| `{card.name}` |" in terms
        assert sum(card.training_data.films.values()) == sum(films)


@pytest.mark.parametrize("package", ["models", "xai", "training", "service"])
def test_type_checkers_may_read_the_packages(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
