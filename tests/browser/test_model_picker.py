"""Tests of the choice of a model (`model_picker.js`): its buttons and their states."""

from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.axe import violations
from tests.browser.reader import Reader

pytestmark = pytest.mark.browser

MODELS = [
    {"name": "chest_cnn", "version": "2.0.0", "is_default": True, "is_loaded": True},
    {"name": "vgg16", "version": "1.0.0", "is_default": False, "is_loaded": True},
    {"name": "vit_b16", "version": "1.0.0", "is_default": False, "is_loaded": False},
]
SHOW = """
async ([models, chosen, states]) => {
  const { ModelPicker } = await import("/answer/model_picker.js");
  window.chosen ??= [];
  if (!window.picker) {
    const container = document.createElement("div");
    document.querySelector("header").after(container);
    window.picker = new ModelPicker(container, { onChoose: (name) => window.chosen.push(name) });
  }
  window.picker.show(models, chosen, { states });
}
"""
LISTED = "async () => (await import('/page/api.js')).models()"


def show(reader: Reader, models: list[dict[str, Any]], chosen: str, **states: str) -> Locator:
    reader.page.evaluate(SHOW, [models, chosen, states])
    return reader.page.locator(".model-picker")


def test_the_models_of_the_server_can_be_shown(reader: Reader) -> None:
    [model] = reader.page.evaluate(LISTED)
    picker = show(reader, [model, *MODELS], "tiny")
    expect(picker.get_by_role("radio", name="tiny")).to_be_checked()


def test_a_choice_is_told_by_its_name(reader: Reader) -> None:
    picker = show(reader, MODELS, "chest_cnn")
    picker.get_by_text("vgg16").click()
    reader.page.keyboard.press("ArrowRight")
    assert reader.page.evaluate("() => window.chosen") == ["vgg16", "vit_b16"]


def test_each_model_says_how_far_its_answer_is(reader: Reader) -> None:
    picker = show(reader, MODELS, "chest_cnn", chest_cnn="ready", vgg16="asking")
    for name in ("chest_cnn", "vgg16 reading\u2026", "vit_b16"):
        expect(picker.get_by_role("radio", name=name, exact=True)).to_be_visible()
    show(reader, MODELS, "chest_cnn", chest_cnn="ready", vgg16="failed")
    expect(picker.get_by_role("radio", name="vgg16 failed", exact=True)).to_be_visible()


def test_the_keyboard_stays_where_it_is_when_an_answer_comes(reader: Reader) -> None:
    picker = show(reader, MODELS, "vgg16", vgg16="asking")
    picker.get_by_role("radio", name="vgg16").focus()
    show(reader, MODELS, "vgg16", vgg16="ready")
    expect(picker.get_by_role("radio", name="vgg16")).to_be_focused()


def test_a_single_model_is_no_choice(reader: Reader) -> None:
    expect(show(reader, MODELS[:1], "chest_cnn")).to_be_hidden()


def test_the_picker_has_no_violation(reader: Reader) -> None:
    show(reader, MODELS, "vgg16", chest_cnn="failed", vgg16="asking")
    assert violations(reader.page) == []
