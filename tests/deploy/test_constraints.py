"""constraints.txt is what pyproject.toml asks for; `make check-constraints` asks a registry too."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.pinned import Pin, needed, pins, required

ROOT = Path(__file__).parents[2]
CONSTRAINTS = (ROOT / "constraints.txt").read_text()
PINS = pins(CONSTRAINTS)
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OFFERED = PYPROJECT["project"]["optional-dependencies"] | PYPROJECT["dependency-groups"]
PINNED = sorted(OFFERED.keys() - {"dev", "gpu", "train"})


def names(*extras: str) -> set[str]:
    return {pin.name for pin in needed(PINS, required(PYPROJECT, extras))}


def ranges() -> list[Requirement]:
    """Return what pyproject.toml says of other packages, for the server and its extras."""
    lines = [*PYPROJECT["project"]["dependencies"], *(x for name in PINNED for x in OFFERED[name])]
    asked = [Requirement(line) for line in lines]
    return [one for one in asked if one.name != PYPROJECT["project"]["name"]]


@pytest.mark.parametrize("asked", ranges(), ids=str)
def test_each_pin_is_within_the_range_of_pyproject(asked: Requirement) -> None:
    found = [pin for pin in PINS if pin.name == canonicalize_name(asked.name)]
    versions = [re.search(r"==(\S+)", pin.lines)[1] for pin in found]
    assert versions
    assert all(asked.specifier.contains(version, prereleases=True) for version in versions)


@pytest.mark.parametrize("pin", PINS, ids=lambda pin: pin.lines.split(" \\")[0])
def test_each_pin_has_hashes_and_nothing_else(pin: Pin) -> None:
    requirement, *hashes = (line.removesuffix(" \\") for line in pin.lines.splitlines())
    assert re.fullmatch(r"[\w.-]+==[\w.]+( ; .*)?", requirement)
    assert hashes
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}", line) for line in hashes)


def test_no_host_and_no_option_is_named() -> None:
    assert "://" not in CONSTRAINTS
    assert not re.findall(r"^-", CONSTRAINTS, re.MULTILINE)


def test_the_server_gets_no_package_of_an_extra() -> None:
    assert names().isdisjoint({"sqlalchemy", "httpx", "highdicom", "ray", "hatchling"})
    assert names("audit", "client") - names() >= {"sqlalchemy", "alembic", "httpx", "httpcore"}


def test_an_extra_brings_the_extras_that_it_names() -> None:
    assert names("watch") >= {"pynetdicom", "highdicom"}


def test_no_pin_is_idle() -> None:
    assert names(*PINNED) == {pin.name for pin in PINS}


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [("gpu", "does not pin onnxruntime-gpu"), ("nonsense", "but no nonsense")],
)
def test_what_is_not_pinned_is_refused(extra: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        names(extra)


def test_the_pinned_build_tools_are_those_that_build_the_package() -> None:
    assert set(PYPROJECT["build-system"]["requires"]) <= set(OFFERED["build"])


def test_every_extra_is_pinned_by_make() -> None:
    pinned = re.search(r"^PINNED := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    assert {"build", *pinned.split()} == set(PINNED)


@pytest.mark.parametrize("file", ["Makefile", "Dockerfile"])
def test_nothing_is_installed_beside_it(file: str) -> None:
    server = (ROOT / file).read_text().replace("\\\n", "").partition("$(TRAINING)/installed:")[0]
    installs = re.findall(r"pip.* install .*", server)
    assert installs
    for line in installs:
        assert "--require-hashes" in line or "--no-deps" in line
