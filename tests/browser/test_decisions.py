"""Tests of what the page says of a decided film, and of one to which several classes are left."""

from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.films import EFFUSION, NORMAL, PNEUMONIA, all_bright, bright_square
from tests.browser.reader import Reader

pytestmark = pytest.mark.browser

# The film's probabilities are 0.45 (normal), 0.23 (pneumonia) and 0.32 (effusion).
OPEN = (0.5, 0.5, 0.7)
SURE = (0.5, 0.5, 0.5)


def test_an_undecided_film_is_said_to_be_so_with_the_classes_that_are_left(
    reader_of: Callable[..., Reader],
) -> None:
    reader = reader_of(conformal_quantiles=OPEN)
    reader.opens(bright_square())
    expect(reader.page.locator("#summary")).to_have_text("Undecided: Normal or Effusion")
    hint = reader.page.locator("#findings-hint")
    expect(hint).to_contain_text("Undecided: Normal or Effusion.")
    expect(hint).to_contain_text("decided when one class is left")
    expect(reader.finding(NORMAL)).to_contain_text("Cannot be excluded")
    expect(reader.finding(EFFUSION)).to_contain_text("Cannot be excluded")
    expect(reader.finding(PNEUMONIA)).to_contain_text("Excluded: below its limit of 50")
    expect(reader.page.locator("label.called")).to_have_count(0)
    assert reader.faults == []


def test_the_map_of_an_excluded_class_is_hidden_until_asked_for(
    reader_of: Callable[..., Reader],
) -> None:
    reader = reader_of(conformal_quantiles=OPEN)
    reader.opens(bright_square())
    assert "Where the model sees" in reader.explanation()
    reader.chooses(PNEUMONIA)
    assert "Excluded: map hidden" in reader.explanation()
    reader.presses("Show it anyway")
    assert "Shown although the class is excluded" in reader.explanation()
    assert np.ptp(reader.sees("mapped"), axis=-1).max() > 40


def test_a_decided_film_is_said_to_be_so_for_one_class(reader_of: Callable[..., Reader]) -> None:
    reader = reader_of(conformal_quantiles=SURE)
    reader.opens(bright_square())
    expect(reader.page.locator("#summary")).to_contain_text("Film read. Called: Normal")
    expect(reader.page.locator("#findings-hint")).to_contain_text("Decided: Normal.")
    expect(reader.finding(NORMAL)).to_contain_text("Called: every other class is excluded")
    expect(reader.finding(EFFUSION)).to_contain_text("Excluded: below its limit of 50")
    expect(reader.page.locator("label.called")).to_have_count(1)
    reader.presses("Model card")
    card = reader.page.get_by_role("dialog")
    expect(card).to_contain_text("A film is decided when one class is left")
    expect(card.get_by_role("row", name="Effusion 50\u202f%")).to_be_visible()


def test_nothing_is_said_to_be_excluded_on_a_refused_film(
    reader_of: Callable[..., Reader],
) -> None:
    reader = reader_of(conformal_quantiles=SURE)
    reader.opens(all_bright())
    for name in (NORMAL, PNEUMONIA, EFFUSION):
        expect(reader.finding(name)).to_contain_text("No decision")
    expect(reader.page.locator(".tag")).to_have_count(0)
    reader.presses("Ask for the maps anyway")
    reader.chooses(PNEUMONIA)
    assert "Where the model sees" in reader.explanation()
    reader.chooses(NORMAL)
    assert "No position argues for this class" in reader.explanation()
