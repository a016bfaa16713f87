"""Tests of the place of a film on a canvas (`geometry.js`)."""

from typing import Any

import pytest

from tests.browser.reader import Reader

pytestmark = pytest.mark.browser

FILM = {"rows": 320, "columns": 480}
CANVAS = {"width": 700, "height": 500}
FITTED = {"zoom": None, "x": 0.5, "y": 0.5, "turns": 0}


@pytest.fixture(scope="module")
def reader(shared_reader: Reader) -> Reader:
    return shared_reader


@pytest.fixture
def geometry(reader: Reader) -> Any:
    """Call a function of the module by its name."""

    def call(name: str, *arguments: Any) -> Any:
        script = "async ([name, args]) => (await import('/desk/geometry.js'))[name](...args)"
        return reader.page.evaluate(script, [name, list(arguments)])

    return call


def test_a_fitted_film_is_whole_in_the_middle(geometry: Any) -> None:
    affine = geometry("filmToCanvas", FITTED, FILM, CANVAS)
    assert geometry("moved", affine, [240, 160]) == pytest.approx([350, 250])
    assert geometry("moved", affine, [0, 160]) == pytest.approx([0, 250])
    assert geometry("moved", affine, [480, 160]) == pytest.approx([700, 250])


def test_a_film_turned_once_stands_with_its_left_side_up(geometry: Any) -> None:
    view = geometry("turned", FITTED, 1)
    affine = geometry("filmToCanvas", view, FILM, CANVAS)
    assert geometry("moved", affine, [0, 160]) == pytest.approx([350, 0])
    assert geometry("moved", affine, [240, 0])[0] > 350  # its top is at the right


def test_four_turns_are_none(geometry: Any) -> None:
    view = FITTED
    for _ in range(4):
        view = geometry("turned", view, 1)
    assert view == FITTED


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("factor", [1.7, 0.8])
def test_zooming_holds_the_film_under_the_pointer(geometry: Any, turns: int, factor: float) -> None:
    view = {"zoom": 2.0, "x": 0.4, "y": 0.6, "turns": turns}
    point = [123, 321]
    held = geometry(
        "moved", geometry("undone", geometry("filmToCanvas", view, FILM, CANVAS)), point
    )
    zoomed = geometry("zoomed", view, FILM, CANVAS, factor, point)
    assert zoomed["zoom"] == pytest.approx(2 * factor)
    affine = geometry("filmToCanvas", zoomed, FILM, CANVAS)
    assert geometry("moved", affine, held) == pytest.approx(point)


def test_dragging_moves_the_film_with_the_pointer(geometry: Any) -> None:
    view = {"zoom": 2.0, "x": 0.5, "y": 0.5, "turns": 1}
    before = geometry("moved", geometry("filmToCanvas", view, FILM, CANVAS), [200, 100])
    panned = geometry("panned", view, FILM, CANVAS, [30, -20])
    after = geometry("moved", geometry("filmToCanvas", panned, FILM, CANVAS), [200, 100])
    assert after == pytest.approx([before[0] + 30, before[1] - 20])


def test_a_film_cannot_be_dragged_out_of_sight(geometry: Any) -> None:
    panned = geometry("panned", FITTED, FILM, CANVAS, [9999, -9999])
    assert (panned["x"], panned["y"]) == (0, 1)


def test_zoom_ends_somewhere(geometry: Any) -> None:
    assert geometry("zoomed", FITTED, FILM, CANVAS, 1e9)["zoom"] == 32
    assert geometry("zoomed", FITTED, FILM, CANVAS, 1e-9)["zoom"] > 0.4


def test_an_affine_undone_takes_a_point_back(geometry: Any) -> None:
    affine = [2, 1, 5, -1, 3, 7]
    there = geometry("moved", affine, [4, 9])
    assert geometry("moved", geometry("undone", affine), there) == pytest.approx([4, 9])


def test_a_rectangle_is_whole_pixels_of_the_film_whichever_way_it_was_drawn(geometry: Any) -> None:
    assert geometry("rectangle", FILM, [100.5, 50.5], [-20, 400]) == [0, 50, 101, 320]
