"""The page for operators: its table of contents, and the way back for the audit trail."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command

from tests.docs.test_links import ROOT, anchors, prose
from tests.support.audit_rows import open_file, request_ids, row

PAGE = ROOT / "docs/operations.md"
VERSIONS = ("v1", "v2", "v3", "v4", "v5")


def test_the_table_of_contents_names_every_heading_in_its_order():
    head, _, rest = prose(PAGE).partition("\n## ")
    headings = re.findall(r"^##+ (.*)$", f"\n## {rest}", re.MULTILINE)
    listed = re.findall(r"\[([^]]+)\]\(#([^)]+)\)", head)
    assert [name for name, _ in listed] == headings
    assert {anchor for _, anchor in listed} <= anchors(PAGE)


def way_back(version: str) -> str:
    """Return the page's statements that make a table of this version from the next."""
    return re.search(rf"-- v\d to {version}\n(.*?)(?:--|```)", PAGE.read_text(), re.DOTALL)[1]


def columns(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return [row[1] for row in connection.execute("PRAGMA table_info(audit)")]


@pytest.fixture
def made_as_of(tmp_path: Path, monkeypatch) -> Callable[[str], list[str]]:
    """Returns the columns that a server of a version made."""

    def made(version: str) -> list[str]:
        file, upgrade = tmp_path / version, command.upgrade
        with monkeypatch.context() as patched:
            patched.setattr(command, "upgrade", lambda config, _: upgrade(config, version))
            open_file(file).close()
        return columns(file)

    return made


def test_an_older_server_finds_its_table_after_the_way_back_and_a_newer_one_its_rows(
    tmp_path: Path, made_as_of: Callable[[str], list[str]]
):
    file = tmp_path / "audit.sqlite"
    trail = open_file(file)
    trail.write(row(request_id="before", mask=(1, 2, 3, 4)))
    trail.close()
    for version in reversed(VERSIONS[:-1]):
        with closing(sqlite3.connect(file)) as connection:
            connection.executescript(way_back(version))
            [(known,)] = connection.execute("SELECT version_num FROM audit_version")
        assert (known, columns(file)) == (version, made_as_of(version))
    trail = open_file(file)
    assert request_ids(trail) == ["before"]
    trail.close()
