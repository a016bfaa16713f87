"""Tests of the lungs' outline on the page: maps end at it, and it is drawn on demand."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, expect
from scipy.ndimage import binary_dilation, binary_erosion

from models.card import DecisionThreshold
from service.answers.film_answer import FilmAnswer, answer_film
from service.app import create_app
from service.settings import Settings
from tests.browser.films import PNEUMONIA, bright_square
from tests.browser.painted import film_samples, heat_painted
from tests.browser.reader import Reader, reading
from tests.browser.test_keeping import WRITTEN, keeps, told
from tests.support.running_server import serving
from tests.support.tiny_lungs import write_lung_model
from tests.support.tiny_model import write_model
from xai.explainer import Explainer
from xai.heatmap import film_heat
from xai.outline import outline_mask

pytestmark = pytest.mark.browser

ROWS, COLUMNS = 320, 480
FILM = bright_square(ROWS, COLUMNS)
ALWAYS_CALLED = [DecisionThreshold(value=0, sensitivity=1, specificity=1)] * 3
TICK = "Outline of the lungs"
LINE = (0x8C, 0xE0, 0xD0)
"""Another colour than that of the line where evidence reaches a level."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model that sees only the lungs, and one that sees the whole film."""
    folder = tmp_path_factory.mktemp("models")
    write_lung_model(folder, decision_thresholds=ALWAYS_CALLED)
    write_model(folder, name="whole")
    return folder


@pytest.fixture(scope="module")
def address_of_lungs(models: Path) -> Iterator[str]:
    settings = Settings(models=models, own_models=False, default_model="tiny")
    with serving(create_app(settings)) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture
def beside(browser: Browser, address_of_lungs: str) -> Iterator[Reader]:
    """A person who looks at a film and at its map beside it, opaque."""
    with reading(browser, address_of_lungs) as reader:
        reader.opens(FILM)
        reader.takes("Film and map")
        reader.chooses(PNEUMONIA)
        reader.sets_opacity(100)
        yield reader
        assert reader.faults == []


@pytest.fixture(scope="module")
def answer(models: Path) -> FilmAnswer:
    return answer_film(Explainer(models / "tiny.onnx"), FILM)


def lungs(answer: FilmAnswer) -> NDArray[np.bool_]:
    return outline_mask(answer.lung_outline or (), ROWS, COLUMNS)


def sampled(reader: Reader) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return both panels at the middle of every 10 x 10 film pixels."""
    plain, mapped = (
        film_samples(reader.sees(panel), ROWS, COLUMNS) for panel in ("plain", "mapped")
    )
    return plain, mapped


def is_bare(reader: Reader) -> bool:
    return np.array_equal(reader.sees("mapped"), reader.sees("plain"))


def test_the_painted_heat_ends_at_the_outline_as_that_of_the_server(
    beside: Reader, answer: FilmAnswer
) -> None:
    painted = heat_painted(*sampled(beside), beside.colours())
    paint = answer.overlay("pneumonia").paint
    expected = film_heat(paint.heat, paint.place, ROWS, COLUMNS, paint.outline)[5::10, 5::10]
    inside, edge = lungs(answer), np.ones((5, 5))
    is_sure = binary_erosion(inside, edge) | ~binary_dilation(inside, edge)
    off = np.abs(painted - expected)[is_sure[5::10, 5::10]]
    assert expected.max() > 0.4
    assert off.max() < 0.05
    assert off.mean() < 0.01


@pytest.mark.parametrize("look", ["Raw grid (2 \u00d7 4 squares)", "For and against", "Outline"])
def test_however_the_map_is_drawn_nothing_of_it_lies_outside(
    beside: Reader, answer: FilmAnswer, look: str
) -> None:
    beside.page.get_by_label(look, exact=True).check()
    plain, mapped = sampled(beside)
    changed = (plain != mapped).any(axis=-1)
    assert changed.any()
    assert not changed[~binary_dilation(lungs(answer), np.ones((9, 9)))[5::10, 5::10]].any()


def test_the_outline_is_drawn_on_demand_where_the_answer_has_it(
    beside: Reader, answer: FilmAnswer
) -> None:
    beside.sets_opacity(0)
    assert is_bare(beside)
    beside.page.get_by_label(TICK).check()
    plain, outlined = beside.sees("plain"), beside.sees("mapped")
    height, width, _ = plain.shape
    scale = min(height / ROWS, width / COLUMNS)
    rows, columns = np.nonzero((plain != outlined).any(axis=-1))
    y = (rows + 0.5 - (height - scale * ROWS) / 2) / scale
    x = (columns + 0.5 - (width - scale * COLUMNS) / 2) / scale
    inside = lungs(answer)
    edge = binary_dilation(inside, np.ones((9, 9))) & ~binary_erosion(inside, np.ones((9, 9)))
    assert len(rows) > 500
    assert edge[y.astype(int), x.astype(int)].all()
    assert (outlined[rows, columns] == LINE).all(axis=-1).any()
    beside.page.get_by_label(TICK).uncheck()
    assert is_bare(beside)


def test_hiding_the_map_hides_the_outline_too(beside: Reader) -> None:
    beside.page.get_by_label(TICK).check()
    assert not is_bare(beside)
    beside.presses("Hide the map, or show it again")
    assert is_bare(beside)


def test_the_outline_is_there_where_the_class_has_no_map(beside: Reader) -> None:
    beside.chooses("Effusion")
    assert is_bare(beside)
    beside.page.get_by_label(TICK).check()
    assert not is_bare(beside)


def test_it_is_switched_from_the_keyboard(beside: Reader) -> None:
    tick = beside.page.get_by_role("checkbox", name=TICK)
    tick.focus()
    beside.page.keyboard.press("Space")
    expect(tick).to_be_checked()


def test_it_is_offered_only_where_the_model_in_view_has_outlined_the_lungs(
    beside: Reader,
) -> None:
    tick = beside.page.get_by_role("checkbox", name=TICK)
    expect(tick).to_be_visible()
    beside.page.locator("#model-picker").get_by_role("radio", name="whole").check()
    expect(beside.page.locator("#facts")).to_contain_text("whole 1.2.3")
    expect(tick).to_be_hidden()
    beside.page.locator("#model-picker").get_by_role("radio", name="tiny").check()
    expect(tick).to_be_visible()


def test_a_link_keeps_the_outline(beside: Reader) -> None:
    beside.page.get_by_label(TICK).check()
    beside.page.wait_for_url("**lungs=true*")
    assert told(beside)["lungs"] == "true"
    beside.page.evaluate("() => (location.hash = '#model=tiny&class=pneumonia')")
    expect(beside.page.get_by_role("checkbox", name=TICK)).not_to_be_checked()


def test_how_much_of_the_map_lies_inside_is_said(beside: Reader, answer: FilmAnswer) -> None:
    inside = answer.inside_lungs[1]
    assert inside is not None
    assert f"{round(100 * inside)}\u202f% of what argues for the class" in beside.explanation()


def test_a_kept_picture_says_where_the_map_ends_and_who_drew_the_lungs(beside: Reader) -> None:
    beside.page.evaluate(WRITTEN)
    beside.page.get_by_label(TICK).check()
    keeps(beside, "picture")
    said = " ".join(beside.page.evaluate("() => window.written"))
    assert "inside the lungs only" in said
    assert "The lungs are outlined as the model found them." in said
