"""Tests of the controls and the legend of a map (`map_controls.js`)."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Locator, expect

from tests.browser.reader import Reader
from xai.heatmap import ColourMapName, colour_map, colours

pytestmark = pytest.mark.browser

BUILD = """
async () => {
  const [{ MapControls }, { colourMaps }] = [
    await import("/maps/map_controls.js"), await import("/page/api.js"),
  ];
  const container = document.createElement("section");
  document.body.replaceChildren(container);
  window.looks = [];
  const onChange = (look) => window.looks.push(look);
  window.controls = new MapControls(container, { colourMaps: await colourMaps(), onChange });
  window.controls.show({ evidenceScale: 0.021, grid: [14, 12], enabled: true });
}
"""
PIXELS = """(canvas) =>
Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, 1).data)"""


@pytest.fixture(scope="module")
def reader(shared_reader: Reader) -> Reader:
    return shared_reader


class Controls:
    """A person at the controls, and what they say has been chosen."""

    def __init__(self, reader: Reader) -> None:
        self.page = reader.page
        self.page.evaluate(BUILD)
        self.box = self.page.locator(".map-controls")

    def look(self) -> dict[str, Any]:
        return self.page.evaluate("() => window.controls.look")

    def told(self) -> list[dict[str, Any]]:
        return self.page.evaluate("() => window.looks")

    def set_look(self, **look: Any) -> None:
        self.page.evaluate(f"() => {{ window.controls.look = {json.dumps(look)}; }}")

    def slider(self, name: str) -> Locator:
        return self.box.get_by_role("slider", name=name, exact=True)

    def tick(self, name: str) -> None:
        self.box.get_by_role("checkbox", name=name, exact=True).check()

    def colours(self) -> Locator:
        return self.box.get_by_role("combobox", name="Colours")

    def ramp(self, place: str) -> NDArray[np.int64]:
        pixels = self.box.locator(f"{place} canvas").evaluate(PIXELS)
        return np.array(pixels).reshape(-1, 4)


@pytest.fixture
def controls(reader: Reader) -> Iterator[Controls]:
    yield Controls(reader)
    reader.page.evaluate("() => document.body.replaceChildren()")


PLAIN = {
    "opacity": 0.5,
    "threshold": 0,
    "colourMap": "inferno",
    "signed": False,
    "raw": False,
    "outline": None,
    "lungs": False,
}


def test_a_map_is_drawn_plainly_at_first(controls: Controls) -> None:
    assert controls.look() == PLAIN
    assert controls.told() == []


def test_every_choice_is_told_at_once(controls: Controls) -> None:
    controls.slider("Opacity").fill("80")
    controls.slider("Hide weak evidence").fill("20")
    controls.colours().select_option("Viridis")
    controls.tick("Raw grid (14 \u00d7 12 squares)")
    controls.tick("Outline")
    controls.slider("Level of the outline").fill("30")
    chosen = PLAIN | {"opacity": 0.8, "threshold": 0.2, "colourMap": "viridis", "raw": True}
    assert controls.told()[-1] == chosen | {"outline": 0.3}
    assert len(controls.told()) == 6
    assert controls.look() == controls.told()[-1]


def test_the_signed_view_has_diverging_colours_and_gives_the_others_back(
    controls: Controls,
) -> None:
    controls.colours().select_option("Cividis")
    controls.tick("For and against")
    assert controls.told()[-1] == PLAIN | {"signed": True, "colourMap": "managua_r"}
    assert controls.colours().locator("option").all_inner_texts() == ["Managua"]
    controls.box.get_by_role("checkbox", name="For and against").uncheck()
    assert controls.told()[-1] == PLAIN | {"colourMap": "cividis"}
    expect(controls.colours()).to_have_value("cividis")


def test_a_look_can_be_set_without_being_told(controls: Controls) -> None:
    look = PLAIN | {"signed": True, "colourMap": "managua_r", "outline": 0.25, "opacity": 0.7}
    controls.set_look(**look)
    assert (controls.look(), controls.told()) == (look, [])
    expect(controls.slider("Level of the outline")).to_have_value("25")
    controls.set_look(signed=False)
    assert controls.look()["colourMap"] == "inferno"


def test_a_look_with_faults_is_put_right(controls: Controls) -> None:
    controls.set_look(opacity=7, threshold=-1, colourMap="jet", outline=0)
    assert controls.look() == PLAIN | {"opacity": 1, "outline": 0.05}


def test_sliders_say_their_value_in_words(controls: Controls) -> None:
    expect(controls.box).to_contain_text("nothing hidden")
    controls.slider("Hide weak evidence").fill("20")
    words = "below 20\u202f% of full colour"
    expect(controls.box).to_contain_text(words)
    expect(controls.slider("Hide weak evidence")).to_have_attribute("aria-valuetext", words)


def test_the_outline_has_a_level_only_while_it_is_on(controls: Controls) -> None:
    expect(controls.slider("Level of the outline")).to_be_disabled()
    controls.tick("Outline")
    expect(controls.slider("Level of the outline")).to_be_enabled()
    assert controls.look()["outline"] == 0.5


def test_all_of_it_works_by_keyboard(controls: Controls) -> None:
    controls.slider("Opacity").focus()
    for key in ["ArrowRight", "Tab", "End", "Tab", "ArrowDown", "Tab", "Space", "Tab", "Space"]:
        controls.page.keyboard.press(key)
    expected = PLAIN | {"opacity": 0.51, "threshold": 1, "signed": True, "raw": True}
    assert controls.look() == expected | {"colourMap": "managua_r"}
    controls.set_look(signed=False)
    assert controls.look()["colourMap"] == "viridis"


def test_nothing_can_be_chosen_where_no_map_is_shown(controls: Controls) -> None:
    controls.page.evaluate(
        "() => window.controls.show({ evidenceScale: 1, grid: [7, 7], enabled: false })"
    )
    for control in controls.box.locator("input, select").all():
        expect(control).to_be_disabled()


def test_the_legend_shows_the_colours_as_they_are_painted(controls: Controls) -> None:
    controls.slider("Hide weak evidence").fill("40")
    bar = controls.ramp(".map-legend")
    assert bar[:102, 3].max() == 0  # 40 % of 255
    assert np.array_equal(bar[102:, 3], np.arange(102, 256))
    shown = colours(np.arange(102, 256) / 255).astype(int)
    assert np.abs(bar[102:, :3] - shown).max() <= 2  # a canvas keeps them multiplied by alpha
    expect(controls.box.locator(".map-legend canvas")).to_have_css("opacity", "0.5")


def test_the_swatch_shows_the_bare_colours(controls: Controls) -> None:
    controls.colours().select_option("Magma")
    rgb = colour_map(ColourMapName.MAGMA)["rgb"]
    assert np.array_equal(controls.ramp(".map-control")[:, :3], rgb)


def test_the_legend_names_the_scale(controls: Controls) -> None:
    ends = controls.box.locator(".legend-ends span")
    assert ends.all_inner_texts() == ["0", "0.0105", "0.021 or more"]
    expect(controls.box).to_contain_text("one scale for every class and film of this model")
    controls.tick("For and against")
    left, middle, right = ends.all_inner_texts()
    assert (left, middle) == ("\u22120.021 or beyond: argues against", "0")
    assert right == "0.021 or more: argues for"
    expect(controls.box).to_contain_text("against it left of 0")
