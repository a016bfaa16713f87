"""Tests that the map lies on the film: the model's finding is where the film shows it.

Both places are measured on the canvas alone: the square's, where the film is bright, and the
map's hottest, from what it made of the film's grey. No geometry of the page goes in.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Route

from models.card import DecisionThreshold, ResizeMode
from tests.browser.films import PNEUMONIA, dark_noise
from tests.browser.hand import Hand
from tests.browser.painted import heat_painted
from tests.browser.reader import Reader
from tests.support import tiny_model
from tests.support.tiny_model import picture

pytestmark = pytest.mark.browser

GRID = (8, 12)
ALWAYS_CALLED = [DecisionThreshold(value=0, sensitivity=1, specificity=1)] * 3
STEP = 3  # canvas pixels between measured ones


@dataclass(frozen=True)
class Film:
    """A dark film with a bright square of a cell and a half.

    Attributes:
        rows: Of the film, as `columns`.
        resize_mode: How the model sees it.
    """

    rows: int
    columns: int
    resize_mode: ResizeMode

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns}-{self.resize_mode}"

    @property
    def cell(self) -> tuple[float, float]:
        """Height and width of a cell in film pixels."""
        height, width = self.rows / GRID[0], self.columns / GRID[1]
        longer = max(height, width)
        return (height, width) if self.resize_mode == "stretch" else (longer, longer)

    @property
    def side(self) -> int:
        """Of the square, in film pixels."""
        return round(1.5 * max(self.cell))

    def picture(self) -> bytes:
        """Return the film; the square lies right of and below its middle, not on a cell."""
        film = dark_noise(self.rows, self.columns)
        top, left = round(0.58 * self.rows), round(0.58 * self.columns)
        film[top : top + self.side, left : left + self.side] = 235
        return picture(film)


@pytest.fixture
def shows(reader_of: Callable[..., Reader]) -> Iterator[Callable[[Film], Reader]]:
    """Open a film before a tiny model with a fine grid."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_model, "GRID", GRID)

        def shows(film: Film) -> Reader:
            return reader_of(
                resize_mode=film.resize_mode,
                decision_thresholds=ALWAYS_CALLED,
                evidence_scale=2.5,  # nothing is beyond full colour: there is one hottest place
            )

        yield shows


def looks_at(reader: Reader, film: Film) -> None:
    reader.opens(film.picture())
    reader.chooses(PNEUMONIA)
    reader.sets_opacity(100)


def miss(reader: Reader, film: Film, *, turned: bool = False) -> NDArray[np.float64]:
    """Return how many cells, down and across, the hottest pixel is off the square's middle."""
    mapped = reader.sees()
    reader.page.keyboard.press("Space")
    plain = reader.sees()
    reader.page.keyboard.press("Space")
    rows, columns = np.nonzero(plain[..., 0] > 200)
    square = np.array([rows.mean(), columns.mean()])
    hot = hottest(plain, mapped, reader.colours())
    zoom = np.sqrt(len(rows)) / film.side
    cell = film.cell[::-1] if turned else film.cell
    return np.abs(hot - square) / (zoom * np.array(cell))


def hottest(
    plain: NDArray[np.uint8], mapped: NDArray[np.uint8], colours: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Return row and column of the hottest canvas pixel, the mean of equals."""
    few = [seen[::STEP, ::STEP].astype(np.int32) for seen in (plain, mapped)]
    heat = heat_painted(*few, colours)
    return STEP * np.argwhere(heat == heat.max()).mean(axis=0)


def comes_close(reader: Reader) -> None:
    """Zoom to three screen pixels for a film pixel, and move the square into the middle."""
    hand = Hand(reader)
    rows, columns = np.nonzero(reader.sees()[..., 0] > 200)
    for _ in range(5):
        reader.page.keyboard.press("+")  # 1.25 each
    x, y = hand.middle()
    hand.drags((x, y), (3 * (x - columns.mean()), 3 * (y - rows.mean())))


FILMS = [
    Film(rows, columns, mode)
    for rows, columns in [(320, 600), (600, 320)]
    for mode in ("stretch", "letterbox")
]


@pytest.mark.parametrize("film", FILMS, ids=str)
def test_the_hottest_pixel_lies_within_a_cell_of_the_square_at_every_zoom_and_turned(
    shows: Callable[[Film], Reader], film: Film
) -> None:
    reader = shows(film)
    looks_at(reader, film)
    assert miss(reader, film).max() < 1
    reader.page.keyboard.press("1")
    assert miss(reader, film).max() < 1
    comes_close(reader)
    assert miss(reader, film).max() < 1
    reader.page.keyboard.press("0")
    reader.page.keyboard.press("r")
    assert miss(reader, film, turned=True).max() < 1


@pytest.mark.parametrize(("scale", "shift", "axis"), [(0, 2, 1), (4, 5, 0)])
def test_a_map_that_lies_two_cells_off_would_be_noticed(
    shows: Callable[[Film], Reader], scale: int, shift: int, axis: int
) -> None:
    film = FILMS[0]
    reader = shows(film)

    def misplace(route: Route) -> None:
        response = route.fetch()
        answer = json.loads(response.body())
        for finding in answer["findings"]:
            affine = finding["explanation"]["affine"]
            affine[shift] -= 2 * affine[scale]
        route.fulfill(response=response, body=json.dumps(answer))

    reader.page.route("**/v1/explain*", misplace)
    looks_at(reader, film)
    off = miss(reader, film)
    assert 1 < off[axis] < 3
    assert off[1 - axis] < 1
