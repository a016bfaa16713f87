"""Print what of constraints.txt the server needs, for `pip install --require-hashes -r`.

python deploy/pinned.py audit,otel    # the server with these extras, or groups, of pyproject.toml

Run it where both files lie. pip can't check hashes of what a folder requires, so it installs these
lines first, and then the folder with `--no-deps`.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Pin:
    """One release in constraints.txt.

    Attributes:
        name: Of the package, as registries normalise it.
        lines: The requirement with its marker and hashes, as pip reads it.
        asked_by: Names of the packages that require it.
    """

    name: str
    lines: str
    asked_by: frozenset[str]


def pins(constraints: str) -> list[Pin]:
    """Return the releases of constraints.txt, in its order."""
    return [_pin(block) for block in re.split(r"\n(?=\w)", constraints) if block[0] != "#"]


def _pin(block: str) -> Pin:
    requirement, _, asked_by = block.partition("    # via")
    names = re.findall(r"^[ #]*([\w.-]+)", asked_by, re.MULTILINE)
    return Pin(block.partition("==")[0], requirement, frozenset(names))


def required(pyproject: Mapping[str, Any], extras: Iterable[str] = ()) -> set[str]:
    """Return the packages that pyproject.toml itself names for the server with some extras.

    Raises:
        ValueError: There is neither an extra nor a dependency group of that name.
    """
    project = pyproject["project"]
    offered = project["optional-dependencies"] | pyproject["dependency-groups"]
    if unknown := [extra for extra in extras if extra not in offered]:
        raise ValueError(f"pyproject.toml has {', '.join(sorted(offered))}, but no {unknown[0]}")
    names = set()
    for line in chain(project["dependencies"], *(offered[extra] for extra in extras)):
        name, _, its_extras = re.match(r"([\w.-]+)(\[(.*?)\])?", line).groups()  # type: ignore[union-attr]
        if name == project["name"]:
            names |= required(pyproject, its_extras.split(","))
        else:
            names.add(re.sub(r"[-_.]+", "-", name).lower())
    return names


def needed(offered: Sequence[Pin], names: Iterable[str]) -> list[Pin]:
    """Return the pins of some packages, of what these require, and so on.

    Raises:
        ValueError: A package has no pin.
    """
    found = set(names)
    if missing := sorted(found - {pin.name for pin in offered}):
        raise ValueError(f"constraints.txt does not pin {', '.join(missing)}")
    while more := {pin.name for pin in offered if pin.asked_by & found} - found:
        found |= more
    return [pin for pin in offered if pin.name in found]


def main() -> None:
    """Print the requirements of the server with the extras that the arguments name."""
    extras = [extra for words in sys.argv[1:] for extra in words.split(",") if extra]
    try:
        names = required(tomllib.loads(Path("pyproject.toml").read_text()), extras)
        chosen = needed(pins(Path("constraints.txt").read_text()), names)
    except ValueError as error:
        sys.exit(f"pinned.py: {error}")
    sys.stdout.writelines(pin.lines for pin in chosen)


if __name__ == "__main__":
    main()
