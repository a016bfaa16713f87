"""Tests of the view's state in the address: `permalink.js`."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.browser.reader import Reader

pytestmark = pytest.mark.browser

READ = "async (hash) => (await import('/page/permalink.js')).stateFromHash(hash)"
WRITE = "async (state) => (await import('/page/permalink.js')).hashOf(state)"
DEFAULTS = "async () => (await import('/page/permalink.js')).DEFAULTS"

NAMES = st.from_regex(r"[A-Za-z0-9_.-]+", fullmatch=True)
SHARES = st.integers(0, 1000).map(lambda number: number / 1000)
STATES = st.fixed_dictionaries(
    {},
    optional={
        "model": NAMES,
        "className": NAMES,
        "mode": st.sampled_from(["beside", "compare"]),
        "zoom": st.integers(1, 10_000).map(lambda number: number / 100),
        "viewCentre": st.fixed_dictionaries({"x": SHARES, "y": SHARES}),
        "rotation": st.sampled_from([90, 180, 270]),
        "invert": st.just(True),
        "window": st.fixed_dictionaries(
            {"centre": st.integers(-9999, 9999), "width": st.integers(1, 99_999)}
        ),
        "opacity": SHARES.filter(lambda share: share != 0.5),
        "threshold": SHARES.filter(lambda share: share > 0),
        "colourMap": NAMES.filter(lambda name: name != "inferno"),
        "signed": st.just(True),
        "raw": st.just(True),
        "outline": SHARES,
        "lungs": st.just(True),
    },
)


@pytest.fixture(scope="module")
def reader(shared_reader: Reader) -> Reader:
    return shared_reader


def read(reader: Reader, hash_: str) -> dict[str, Any]:
    return reader.page.evaluate(READ, hash_)


def write(reader: Reader, state: dict[str, Any]) -> str:
    return reader.page.evaluate(WRITE, state)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STATES)
def test_a_state_that_is_written_is_read_back(reader: Reader, state: dict[str, Any]) -> None:
    assert read(reader, write(reader, state)) == state


def test_a_fresh_page_has_no_hash(reader: Reader) -> None:
    assert write(reader, reader.page.evaluate(DEFAULTS)) == ""
    assert read(reader, "") == {}


def test_a_link_reads_well(reader: Reader) -> None:
    state = {"model": "vgg16", "className": "pneumonia", "window": {"width": 400, "centre": 40}}
    assert write(reader, state) == "#model=vgg16&class=pneumonia&window=40_400"


def test_nothing_of_the_film_gets_into_a_link(reader: Reader) -> None:
    state = {"filmName": "Zoë.dcm", "film": {"rows": 3}, "answer": {}, "zoom": 2}
    assert write(reader, state) == "#zoom=2"


@pytest.mark.parametrize(
    "hash_",
    [
        "#unknown=1",
        "#__proto__=1&constructor=2",
        "#model=../secret&class=%3Cscript%3E",
        "#model=&class",
        "#mode=four&theme=pink",
        "#zoom=Infinity&opacity=NaN",
        "#zoom=0&opacity=1.01&threshold=-0.1&outline=2",
        "#zoom=0x10&opacity=%201&threshold=1e",
        "#rotation=45&invert=yes&signed=1",
        "#window=40&centre=0.5_0.5_0.5",
        "#window=40_0&centre=0.5_2",
        "#%E0%A4%A=%",
    ],
)
def test_what_is_not_valid_is_ignored(reader: Reader, hash_: str) -> None:
    assert read(reader, hash_) == {}


def test_the_valid_part_of_a_bad_link_is_kept(reader: Reader) -> None:
    assert read(reader, "#zoom=2&opacity=7&class=a%20b&raw=true") == {"zoom": 2, "raw": True}


@pytest.mark.parametrize(
    "state", [{"zoom": 1e9}, {"className": "a b"}, {"window": {"centre": 1}}, {"mode": "x"}]
)
def test_an_invalid_state_is_not_written(reader: Reader, state: dict[str, Any]) -> None:
    assert write(reader, state) == ""
