"""Tests of the button that tests the map in view: `faithfulness_view.js`."""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.browser.axe import violations
from tests.browser.films import all_bright
from tests.browser.reader import Reader
from tests.support.tiny_model import FILM

pytestmark = pytest.mark.browser


@pytest.fixture
def answered(reader: Reader) -> Reader:
    """A person with pneumonia's map in view."""
    reader.opens(FILM)
    reader.chooses("Pneumonia")
    return reader


def test_the_verdict_is_said_with_both_probabilities(answered: Reader):
    answered.presses("Test this map")
    said = answered.page.locator("#faithfulness")
    expect(said).to_contain_text(re.compile(r"from \d+\s?% to \d+\s?%; masking elsewhere: \d+\s?%"))
    expect(said.locator(".threshold-bar")).to_have_count(2)
    expect(answered.page.get_by_role("button", name="Test this map")).to_have_count(0)


def test_the_figures_are_the_servers(answered: Reader):
    with answered.page.expect_response(re.compile("faithfulness=true")) as response:
        answered.presses("Test this map")
    test = response.value.json()["faithfulness"]
    bar = answered.page.locator("#faithfulness .threshold-bar").first
    value = bar.evaluate("bar => Number(bar.style.getPropertyValue('--value'))")
    assert value == pytest.approx(test["probability_masked"])
    assert test["class_name"] == "pneumonia"


def test_the_keyboard_is_not_lost_where_the_button_was(answered: Reader):
    button = answered.page.get_by_role("button", name="Test this map")
    button.focus()
    answered.page.keyboard.press("Enter")
    expect(answered.page.locator("#faithfulness dl")).to_be_visible()
    expect(answered.page.locator("#faithfulness [role=status]")).to_be_focused()


def test_a_test_stays_with_its_class(answered: Reader):
    answered.presses("Test this map")
    expect(answered.page.locator("#faithfulness dl")).to_be_visible()
    answered.chooses("Effusion")
    expect(answered.page.locator("#faithfulness")).to_be_hidden()
    answered.chooses("Pneumonia")
    expect(answered.page.locator("#faithfulness dl")).to_be_visible()


def test_a_film_whose_maps_are_withheld_offers_no_test(reader: Reader):
    reader.opens(all_bright())
    expect(reader.page.locator("#explanation-heading")).to_be_visible()
    expect(reader.page.locator("#faithfulness")).to_be_hidden()


def test_a_server_that_is_busy_is_said_and_can_be_asked_again(answered: Reader):
    def busy(route: Route) -> None:
        route.fulfill(status=503, json={"title": "Overloaded", "detail": "Later."})

    answered.page.route("**/v1/explain?*faithfulness*", busy)
    answered.presses("Test this map")
    expect(answered.page.locator("#faithfulness")).to_contain_text("Overloaded. Later.")
    expect(answered.page.get_by_role("button", name="Test this map")).to_be_visible()
    answered.faults.clear()  # Chromium reports the 503 that was asked for


def test_the_tested_map_has_no_axe_violation(answered: Reader):
    answered.presses("Test this map")
    expect(answered.page.locator("#faithfulness dl")).to_be_visible()
    assert violations(answered.page) == []
